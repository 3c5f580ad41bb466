"""The releases of Cloud Hypervisor whose texts are known, and ranges of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from otelmig.migration.side import SideState
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.migration.side import Role

__all__ = [
    "AFTER_HEAD",
    "ALL",
    "DEVICES_FIRST",
    "DRAFT",
    "FORK",
    "RELEASES",
    "SYSTEM",
    "LastWord",
    "Releases",
    "last_release",
    "may_be_after_head",
    "releases_of",
    "send_blocks",
    "since",
    "until",
]

SYSTEM: Final = "cloud_hypervisor"
"""As ``vm.migration.system.name`` names the hypervisor."""
_LAST_MAJOR: Final = 53
"""That of the last release whose texts are known."""
_HEAD: Final = "HEAD"
"""Commit ae44c2971 of 2026-08-22, after the last release; what a build names ``v53.0-NNN-gHASH``."""
_COMMITS_TO_HEAD: Final = 246
"""How many commits HEAD is ahead of the last release."""

RELEASES: Final = (
    *(f"v{major}.0" for major in range(36, _LAST_MAJOR + 1)),
    _HEAD,
)
"""Main releases in order of their tags; a point release counts as its main release.

(v51.2 was tagged on the day of v52.0 and still has v51's migration code.)
"""


FORK: Final = "the Cyberus fork"
DRAFT: Final = "the wording first proposed for the downtime breakdown"
AFTER_HEAD: Final = "events after HEAD"
"""Who prints what no release does."""


class Releases(Struct, frozen=True, kw_only=True):
    """A contiguous range of releases, as indices into :data:`RELEASES`, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        if self.first == self.last:
            return RELEASES[self.first]
        return f"{RELEASES[self.first]}..{RELEASES[self.last]}"

    def meet(self, other: Releases) -> bool:
        """Return whether any release is in both ranges."""
        return self.first <= other.last and other.first <= self.last

    def __and__(self, other: Releases) -> Releases | None:
        """Return the releases in both ranges, or None if there are none."""
        first, last = max(self.first, other.first), min(self.last, other.last)
        return Releases(first=first, last=last) if first <= last else None


class LastWord(Struct, frozen=True, kw_only=True):
    """Where a line is the last one of an attempt that changes its trace; within moments a few more may follow."""

    role: Role
    releases: Releases
    """The releases in which nothing else comes after it."""
    state: SideState = SideState.OVER
    """``ASK_PARTNER`` where the line tells that nothing more may come, not that nothing more will."""


ALL: Final = Releases(first=0, last=len(RELEASES) - 1)


def since(release: str) -> Releases:
    """Return ``release`` and everything after it."""
    return Releases(first=RELEASES.index(release), last=ALL.last)


def until(release: str, *, first: str = RELEASES[0]) -> Releases:
    """Return ``first`` to ``release``."""
    return Releases(first=RELEASES.index(first), last=RELEASES.index(release))


DEVICES_FIRST: Final = since("v52.0")
"""``Vm::resume`` starts the vCPUs after it has resumed the devices; before that, it starts them first."""
_DISPATCHING: Final = since("v53.0")
"""``vm.send-migration`` is answered once the migration is handed to a thread of its own; before that, at its end."""


def send_blocks(releases: Releases) -> bool | None:
    """Return whether ``vm.send-migration`` is answered at the migration's end; None if some of ``releases`` differ."""
    if releases.meet(_DISPATCHING):
        return None if releases.first < _DISPATCHING.first else False
    return True


def may_be_after_head(releases: Releases, version: str | None) -> bool:
    """Return whether a process that may be of any of ``releases``, and prints ``version``, may be of a later version.

    A version says so by its number, or by how many commits lie between it and the last release.
    """
    if releases.last < ALL.last:
        return False
    known = None if version is None else _VERSION.fullmatch(version)
    if known is None:
        return True
    return int(known["major"]) > _LAST_MAJOR or int(known["commits"] or 0) > _COMMITS_TO_HEAD


_VERSION: Final = re.compile(
    r"v(?P<major>\d{1,4})\.\d{1,4}(?:\.\d{1,4})?(?:-(?P<commits>\d{1,6})-g[0-9a-f]{4,40})?(?:-dirty)?"
)


@lru_cache(maxsize=1024)
def releases_of(releases_text: str) -> Releases:
    """Return the releases that a log can be of, by their text in :attr:`~otelmig.migration.vmm.Vmm.releases_text`."""
    first, _, last = releases_text.partition(",")[0].partition("..")
    return Releases(first=RELEASES.index(first), last=RELEASES.index(last or first))


def last_release(releases_texts: Iterable[str]) -> int:
    """Return the last release (an index into :data:`RELEASES`) that logs with these texts can be of."""
    return max((releases_of(text).last for text in releases_texts), default=ALL.last)
