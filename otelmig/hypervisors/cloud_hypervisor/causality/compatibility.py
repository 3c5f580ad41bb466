"""Which releases of Cloud Hypervisor speak to each other over a migration's connections.

A destination takes the protocol of its own release and those before it; a release before v53.0 sends zeros where the
version stands, which is version 0. What a release added (further connections, postcopy, TLS) its predecessors do not
know. To an older release migrations are not supported, but nobody prevents them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt_lines import lines_of
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import releases_of, since, until
from otelmig.hypervisors.hypervisor import Incompatibility
from otelmig.migration.side import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.hypervisors.cloud_hypervisor.releases import Releases
    from otelmig.migration.side import Side

__all__ = ["incompatibility"]

_FIRST_WITH_CONNECTIONS: Final = since("v52.0").first
"""Sends memory over further connections at once; those after it say first what a connection carries."""
_FIRST_WITH_ROLES: Final = until("v52.0").last + 1
"""Prints the protocol's version, knows postcopy and TLS, and names the role of each further connection."""


def incompatibility(source: Side, destination: Side) -> Incompatibility | None:
    """Return why these two do not speak to each other; None if they may."""
    for excludes, why in _IMPOSSIBLE:
        if excludes(source, destination):
            return Incompatibility(reason=why, impossible=True)
    sender, receiver = _releases(source), _releases(destination)
    if sender.first <= receiver.last or _is_patched(source) or _is_patched(destination):
        return None
    reason = f"the source is of {sender}, the destination of {receiver}: nobody migrates to an older release"
    return Incompatibility(reason=reason, impossible=False)


def _releases(side: Side) -> Releases:
    return releases_of(side.vmm.releases_text)


def _is_patched(side: Side) -> bool:
    """Return whether a side prints what no release does: it may have taken more from later ones."""
    return "," in side.vmm.releases_text


def _protocols_differ(source: Side, destination: Side) -> bool:
    """Return whether both print the version of the protocol, and not the same: the destination prints the source's."""
    printed = [lines_of(side).first(Kind.PROTOCOL_AGREED) for side in (source, destination)]
    versions = {line.number("protocol") for line in printed if line is not None}
    return len(versions) > 1


def _tls_differs(source: Side, destination: Side) -> bool:
    """Return whether one encrypts and the other does not; releases that cannot encrypt do not say so."""
    encrypts = [_encrypts(source, Kind.SEND_STARTED), _encrypts(destination, Kind.RECEIVE_STARTED)]
    return True in encrypts and False in encrypts


def _encrypts(side: Side, started: Kind) -> bool | None:
    if _releases(side).last < _FIRST_WITH_ROLES:
        return False
    line = lines_of(side).first(started)
    return None if line is None else line.flag("tls")


def _connections_differ(source: Side, destination: Side) -> bool:
    """Return whether the destination does not understand the source's further connections."""
    if source.sent.terms.connections <= 1:
        return False
    sender, receiver = _releases(source), _releases(destination)
    if receiver.last < _FIRST_WITH_CONNECTIONS:
        return True
    names_roles = [sender.first >= _FIRST_WITH_ROLES, receiver.first >= _FIRST_WITH_ROLES]
    names_none = [sender.last < _FIRST_WITH_ROLES, receiver.last < _FIRST_WITH_ROLES]
    return (names_roles[0] and names_none[1]) or (names_none[0] and names_roles[1])


def _postcopy_unknown(source: Side, destination: Side) -> bool:
    return source.mode is Mode.POSTCOPY and _releases(destination).last < _FIRST_WITH_ROLES


_IMPOSSIBLE: Final[tuple[tuple[Callable[[Side, Side], bool], str], ...]] = (
    (_protocols_differ, "another version of the migration protocol"),
    (_tls_differs, "one encrypts, the other does not"),
    (_connections_differ, "their releases use further connections differently"),
    (_postcopy_unknown, "its release knows no postcopy"),
)
"""What excludes that two sides ever spoke to each other, in the order in which it is asked."""
