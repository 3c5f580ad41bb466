"""Why a line was not understood, in the words that every command uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.log_format import BEFORE_V36
from otelmig.hypervisors.cloud_hypervisor.messages import FAMILIES
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import is_family
from otelmig.migration.redaction import redact
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelmig.inputs.line import Where

__all__ = ["NO_EVENT", "NO_STATISTICS", "UnparsedLine", "first_of_no_form", "no_meaning", "no_record"]


class UnparsedLine(Struct, frozen=True, kw_only=True):
    """A line that looks like a migration's and was not understood, and why."""

    where: Where
    reason: str


NO_STATISTICS: Final = "no migration statistics in this JSON"
NO_EVENT: Final = "no event in this JSON"
_IMPOSSIBLE_TIME: Final = "an impossible time"
_TOO_OLD: Final = "a line of a release before v36.0"
_NO_LINE_FORM: Final = "no known line form"
_NO_MESSAGE_FORM: Final = "no known form of this message"


def no_record(text: str, *, impossible: bool) -> str:
    """Return why there is no record in ``text``; it may have a known form and an ``impossible`` time."""
    if impossible:
        return _IMPOSSIBLE_TIME
    return _TOO_OLD if BEFORE_V36.match(text) else _NO_LINE_FORM


def no_meaning(message: str) -> str | None:
    """Return why a message that no row explains should have one; None if it is about something else."""
    return _NO_MESSAGE_FORM if is_family(message) else None


def first_of_no_form(texts: Iterable[str]) -> str:
    """Return the first of ``texts`` that speaks of a migration, redacted, with how much of it is a default line.

    The text goes on with what was said before; it is empty if none speaks of one.
    """
    text = next((text for text in texts if any(family in text for family in FAMILIES)), None)
    if text is None:
        return ""
    return f"; the first: {redact(text[:_SHOWN], addresses=True)} ({_lost(text)})"


def _lost(text: str) -> str:
    """Return where a line stops to be one of the default form."""
    begin = end = text.find(_NAME)
    if begin < 0:
        return f"there is no {_NAME!r} in it"
    for piece, pattern in _PIECES:
        match = pattern.match(text, end)
        if match is None:
            return f"no {piece} after {redact(text[begin:end], addresses=True)!r}"
        end = match.end()
    return "it is one behind something else"


_NAME: Final = "cloud-hypervisor:"
_PIECES: Final = (
    ("name", re.compile(_NAME)),
    ("time", re.compile(r" {1,10}[0-9]{1,12}\.[0-9]{6}(?:ns|µs|ms|s): ")),
    ("thread", re.compile(r"<[^<>]{1,64}> ")),
    ("level", re.compile("(?:ERROR|WARN|INFO|DEBUG|TRACE):")),
    ("place", re.compile(r"[A-Za-z0-9_/.:-]{1,256} -- ")),
)
"""What a default line consists of, before its message."""
_SHOWN: Final = 160
"""Characters of a line that are shown."""
