"""Line forms: ``--log-format`` strings compiled to matchers, and the ones that are known without being told.

``--log-format`` (v52.0 on) takes a string with ``{token}``s and the escapes ``{{`` and ``}}``; the default line of
v49.0 on is one such string. The line of v36.0-v48.0 differs in its time only, and so does the Cyberus fork's.
A user's format can leave out anything; what a trace needs is a time and the message.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from otelmig.errors import UsageError
from otelmig.hypervisors.cloud_hypervisor.releases import ALL, Releases, since, until
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BEFORE_V36", "DEFAULT_BEGIN", "DEFAULT_FORMAT", "KNOWN_FORMS", "Clock", "LineForm", "compile_log_format"]

DEFAULT_FORMAT: Final = "cloud-hypervisor: {boottime}s: <{thread}> {level}:{location} -- {msg}"
"""What v49.0 on prints unless told otherwise."""

DEFAULT_BEGIN: Final = re.compile(r"cloud-hypervisor: {1,10}[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ns|µs|ms|s): <")
"""What a default line of any release begins with, the time included."""

BEFORE_V36: Final = re.compile(r"cloud-hypervisor: [0-9]{1,12}(?:\.(?:[0-9]{1,5}|[0-9]{7,9}))?(?:ns|µs|ms|s): <")
"""The same of a release before v36.0: nine digits of a second, without zeros at the end; later ones print six."""


class Clock(StrEnum):
    """How a form says when a line was written; the first that a form has is used."""

    WALLCLOCK = "wallclock"
    FIELDS = "fields"
    """``{hour}``, ``{minute}`` and ``{second}``, with as much of a date as there is."""
    LOCAL_FIELDS = "localfields"
    GLOG = "glog"
    LOCAL_GLOG = "localglog"
    ADAPTIVE = "adaptive"
    """v36.0-v48.0: ``Duration``'s Debug form, exact to a microsecond (a nanosecond below one millisecond)."""
    BOOTTIME = "boottime"
    """A 32-bit float of seconds since the process started: its resolution fades with the uptime."""


_V52: Final = since("v52.0")
_V53: Final = since("v53.0")
_CALENDAR: Final = {
    "year": r"\d{4}",
    "month": r"\d\d",
    "day": r"\d\d",
    "hour": r"\d\d",
    "minute": r"\d\d",
    "second": r"\d\d",
    "micros": r"\d{6}",
    "offset": r"[+-]\d\d:\d\d",
}
# every line is held against the first few: sets of plain characters are looked up faster than \d, \w and \s
_TOKENS: Final[dict[str, tuple[str, Releases]]] = {
    "boottime": (r"  [0-9]\.[0-9]{6}| [0-9]{2}\.[0-9]{6}|[0-9]{3,12}\.[0-9]{6}", _V52),
    "wallclock": (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)(?:\[[\w/+-]{1,64}\])?",
        _V52,
    ),
    "pid": (r"\d{1,10}", _V52),
    "tid": (r"\d{1,10}", _V52),
    "thread": (r"[^ \t\r\n\f\v<>]{1,64}", _V52),
    "level": (r"ERROR|WARN|INFO|DEBUG|TRACE", _V52),
    "location": (r"[A-Za-z0-9_/.:-]{1,256}", _V52),
    "msg": (r".*", _V52),
    "levelchar": (r"[EWIDT]", _V53),
    "glog": (r"\d{4} \d\d:\d\d:\d\d\.\d{6}", _V53),
    "localglog": (r"\d{4} \d\d:\d\d:\d\d\.\d{6}", _V53),
    **{name: (expression, _V53) for name, expression in _CALENDAR.items()},
    **{f"local{name}": (expression, _V53) for name, expression in _CALENDAR.items()},
    # of the known forms only; no release takes this token
    "adaptive": (r"\d{1,12}\.\d{6}(?:ns|µs|ms|s)", until("v48.0")),
}
_PIECES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


class LineForm(Struct, frozen=True, kw_only=True, dict=True):
    """One way in which a process writes its lines."""

    text: str
    """The format string."""
    expression: str
    """Matches a whole line; its groups are called like the tokens."""
    clock: Clock | None
    """None: such lines do not say when they were written."""
    before_message: str
    """The literal text right before the message: what a scan searches for."""
    releases: Releases
    tokens: frozenset[str]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled ``expression``: compiled when the first line is tried, since most forms never are."""
        return re.compile(self.expression, re.DOTALL)


def compile_log_format(text: str, releases: Releases | None = None) -> LineForm:
    """Return the form that ``--log-format TEXT`` gives.

    Raises:
        UsageError: Cloud Hypervisor would not take the string, or its lines carry no message.
    """
    pattern, literal, before_message = "", "", ""
    tokens: list[str] = []
    printed_by = ALL
    # literal: the plain text since the last token; before_message: that before the message; tokens: the names so far
    for piece in _PIECES.finditer(text):
        name = piece[1]
        if name is None:
            if piece[0] in ("{", "}"):
                what = "unterminated '{'" if piece[0] == "{" else "unmatched '}'"
                raise UsageError(f"`LogOptions.log_formats`: {what} in {text!r}")
            plain = {"{{": "{", "}}": "}"}.get(piece[0], piece[0])
            pattern += re.escape(plain)
            literal += plain
            continue
        if name not in _TOKENS or (name == "adaptive" and releases is None):
            raise UsageError(f"`LogOptions.log_formats`: unknown token {{{name}}} in {text!r}")
        expression, since_release = _TOKENS[name]
        if name == "msg" and "msg" not in tokens:
            before_message = literal
        pattern += f"(?P<{name}>{expression})" if name not in tokens else f"(?:{expression})"
        printed_by = printed_by & since_release or since_release
        tokens.append(name)
        literal = ""
    if "msg" not in tokens:
        raise UsageError(f"`LogOptions.log_formats`: {text!r} has no {{msg}}: its lines tell nothing")
    return LineForm(
        text=text,
        expression=pattern + r"\Z",
        clock=_clock(frozenset(tokens)),
        before_message=before_message,
        releases=releases or printed_by,
        tokens=frozenset(tokens),
    )


def _clock(tokens: frozenset[str]) -> Clock | None:
    """Return how a form with these tokens says when its lines were written."""
    time = ("hour", "minute", "second")
    if tokens.issuperset(time):
        tokens |= {Clock.FIELDS}
    if tokens.issuperset(f"local{name}" for name in time):
        tokens |= {Clock.LOCAL_FIELDS}
    return next((clock for clock in Clock if clock in tokens), None)


def _known() -> Sequence[LineForm]:
    default, rest = DEFAULT_FORMAT, "<{thread}> {level}:{location} -- {msg}"
    return (
        compile_log_format(default, since("v49.0")),
        compile_log_format(default.replace("{boottime}s", "{adaptive}"), until("v48.0")),
        *(
            compile_log_format(text)
            for text in (
                f"{{wallclock}} {default}",
                default.replace("{boottime}s", "{wallclock}"),
                f"{{wallclock}} {rest}",
                "{wallclock} {pid}/{tid} <{thread}> {level} {location} -- {msg}",
                "{wallclock} {pid}/{tid} <{thread}> {level}:{location} -- {msg}",
                "{wallclock} <{thread}> {level} {location} -- {msg}",
                "{wallclock} cloud-hypervisor[{pid}]: <{thread}> {level}:{location} -- {msg}",
                "{wallclock} {level} {location} -- {msg}",
                "{wallclock} {level} {thread} {location} -- {msg}",
                "{levelchar}{localglog} {tid} {location}] {msg}",
                "{levelchar}{localglog} {pid} {location}] {msg}",
            )
        ),
    )


KNOWN_FORMS: Final = _known()
"""What is recognised without ``--log-format``; ``{glog}`` looks like ``{localglog}``, so its zone is open."""
