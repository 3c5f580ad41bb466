"""What stands before each line of a log: of containers, syslog, the journal's text outputs, continuous integration.

Each framing wraps every line; a wrapped line may be wrapped again (a pod's log collected by another program).
Formats: Docker's ``json-file`` driver and ``docker logs -t``; the Kubernetes CRI log format and what ``kubectl logs``
and ``docker compose logs`` put before it; RFC 3164 and RFC 5424 as rsyslog writes them; ``journalctl -o short*``; the
logs of GitHub Actions (downloaded, or by ``gh run view --log``), GitLab and Jenkins; Loki's ``logcli``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.dates import local_time
from otelmig.inputs.framing.json_text import json_object
from otelmig.inputs.line import Host
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelmig.inputs.framing.dates import LocalTime

__all__ = [
    "DEEPEST",
    "FRAMINGS",
    "GLANCE",
    "RFC3339",
    "SAMPLE",
    "Framed",
    "Framing",
    "framings_of",
    "is_framed",
    "rfc3339_ns",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = "0123456789"
_CAPITALS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEEPEST: Final = 3
"""How often a line is wrapped at most: a container's log, collected by another program, forwarded."""
SAMPLE: Final = 200
"""Lines at the beginning of a file that say how its lines are framed."""
GLANCE: Final = 12
"""Lines of which one must be framed, or none of the file is."""
_TAG: Final = r"(?P<tag>[^\s:\[\]]{1,128})(?:\[(?P<pid>\d{1,10})\])?: ?"
_CLOCK: Final = r"(?P<clock>\d\d:\d\d:\d\d(?:\.\d{1,6})?)"
RFC3339: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"

_SEVEN_DIGITS: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"
"""As .NET prints a time; no hypervisor prints so many digits."""
_LOGCLI: Final = re.compile(
    rf'(?P<time>{RFC3339}) \{{(?P<labels>(?:[\w.]{{1,256}}="(?:[^"\\]|\\.){{0,1024}}"(?:, ?)?){{0,64}})\}} ?'
)
_LABEL: Final = re.compile(r'([\w.]{1,256})="((?:[^"\\]|\\.){0,1024})"')
_HOST_LABELS: Final = ("host", "hostname", "host_name", "node", "node_name", "nodename", "instance")
_LABELS_OF_STREAMS: Final = ("stream", "level", "detected_level", "severity")
"""Labels in which lines of one process may differ."""


class Framed(Struct, frozen=True, kw_only=True):
    """A line as it is framed."""

    text: str
    """What the hypervisor wrote."""
    writer: str = ""
    received_ns: int | None = None
    local: LocalTime | None = None
    """The same, where it lacks its year or its zone."""
    host: Host | None = None
    partial: bool = False
    """Whether the line goes on in the next framed one."""


class Framing(Struct, frozen=True, kw_only=True):
    """One way in which lines are carried."""

    name: str
    unwrap: Callable[[str], Framed | None]
    """The line inside; None if the text is not carried so."""
    begins: str = ""
    """The characters that such a line may begin with; empty: any. A few lines thus tell most framings apart."""
    needs: str = ""
    """What stands somewhere in such a line: looked for before its pattern, where that may begin with any character."""
    innermost: bool = False
    """Whether what it carries is the hypervisor's line."""


def rfc3339_ns(text: str) -> int | None:
    """Return the end of the interval that an RFC 3339 time of any precision stands for; None if it is no time."""
    zone = re.search(r"(?:Z|[+-]\d\d:?\d\d)$", text)
    if zone is None:
        return None
    whole, _, fraction = text[: zone.start()].partition(".")
    try:
        instant = datetime.fromisoformat(whole + zone[0])
    except ValueError:
        return None
    digits = fraction[:9]
    if not (digits.isascii() and digits.isdecimal()):
        digits = ""
    ns = (instant - _EPOCH) // timedelta(seconds=1) * SECOND_NS
    return ns + (int(digits) + 1) * 10 ** (9 - len(digits)) - 1 if digits else ns + SECOND_NS - 1


def _logcli(text: str) -> Framed | None:
    match = _LOGCLI.match(text)
    if match is None:
        return None
    labels = dict(_LABEL.findall(match["labels"]))
    host = next((labels[name] for name in _HOST_LABELS if name in labels), None)
    return Framed(
        text=text[match.end() :],
        writer=",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in _LABELS_OF_STREAMS),
        received_ns=rfc3339_ns(match["time"]),
        host=None if host is None else Host(name=host),
    )


def _docker_json(text: str) -> Framed | None:
    if not text.startswith('{"log":'):
        return None
    match json_object(text):
        case {"log": str(log), **rest}:
            inner = log.rstrip("\r\n")
            received_ns = rfc3339_ns(str(rest.get("time", "")))
            return Framed(text=inner, received_ns=received_ns, partial=not log.endswith("\n"))
        case _:
            return None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when the first line is tried that may have it: most logs have none of these prefixes."""
    return re.compile(pattern)


def _pattern(name: str, begins: str, pattern: str, *, needs: str = "") -> Framing:
    """Return a framing that puts a prefix before each line; groups name what it says."""

    def unwrap(text: str) -> Framed | None:
        match = _compiled(pattern).match(text)
        if match is None:
            return None
        fields = match.groupdict()
        tag, pid, host = fields.get("tag"), fields.get("pid"), fields.get("host")
        writer = (f"{tag}[{pid}]" if pid not in (None, "-") else tag) if tag is not None else ""
        return Framed(
            text=text[match.end() :],
            writer="/".join(part for part in (host, writer) if part),
            received_ns=rfc3339_ns(fields.get("time") or ""),
            local=local_time(fields["date"] or "", fields["clock"] or "") if "date" in fields else None,
            host=None if host is None else Host(name=host),
            partial=fields.get("partial") == "P",
        )

    return Framing(name=name, unwrap=unwrap, begins=begins, needs=needs)


FRAMINGS: Final[Sequence[Framing]] = (
    Framing(name="docker json-file", unwrap=_docker_json, begins="{"),
    _pattern("cri", _DIGITS, rf"(?P<time>{RFC3339}) (?:stdout|stderr) (?P<partial>[FP])(?::[^ ]{{0,32}})? "),
    _pattern("docker timestamps", _DIGITS, r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) "),
    _pattern("github actions", _DIGITS + "\ufeff", rf"\ufeff?(?P<time>{_SEVEN_DIGITS}) "),
    _pattern(
        "gh run view", "", rf"(?P<tag>[^\t]{{1,256}})\t[^\t]{{0,256}}\t\ufeff?(?P<time>{_SEVEN_DIGITS}) ", needs="\t"
    ),
    _pattern("gitlab", _DIGITS, rf"(?P<time>{RFC3339}) [0-9a-f]{{2}}[OE](?:\+| |$)"),
    _pattern("jenkins", "[", r"\[(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\](?: |$)"),
    Framing(name="logcli", unwrap=_logcli, begins=_DIGITS),
    _pattern("docker compose", "", r"(?P<tag>[\w.-]{1,128}) {1,64}\| ", needs=" | "),
    _pattern("kubectl prefix", "[", r"\[(?P<tag>pod/[^\s\]]{1,256})\] "),
    _pattern(
        "syslog",
        "<",
        rf"<\d{{1,3}}>1 (?P<time>{RFC3339}|-) (?P<host>\S{{1,255}}) (?P<tag>\S{{1,48}}) (?P<pid>\d{{1,10}}|-) "
        r"\S{1,32} "
        r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.){0,1024}"){0,1024}\]){1,8})(?: \ufeff?|$)',
    ),
    _pattern(
        "syslog short",
        _CAPITALS + "<",
        rf"(?:<\d{{1,3}}>)?(?P<date>[A-Z][a-z]{{2}} [ \d]\d) {_CLOCK} (?P<host>[\w.-]{{1,255}}) {_TAG}",
    ),
    _pattern("syslog iso", _DIGITS, rf"(?P<time>{RFC3339}) (?P<host>[\w.-]{{1,255}}) {_TAG}"),
    _pattern("journald monotonic", "[", rf"\[ {{0,10}}\d{{1,10}}\.\d{{6}}\] (?P<host>[\w.-]{{1,255}}) {_TAG}"),
    _pattern(
        "journald full",
        _CAPITALS,
        rf"[A-Z][a-z]{{2}} (?P<date>\d{{4}}-\d\d-\d\d) {_CLOCK} \S{{1,8}} (?P<host>[\w.-]{{1,255}}) {_TAG}",
    ),
    _pattern("journald unix", _DIGITS, rf"\d{{9,10}}\.\d{{6}} (?P<host>[\w.-]{{1,255}}) {_TAG}"),
)
"""All framings, the most specific first."""


@lru_cache(maxsize=128)
def _possible(first: str) -> Sequence[tuple[int, Framing]]:
    """Return the framings, with their numbers, of lines that begin with this character."""
    return [(number, framing) for number, framing in enumerate(FRAMINGS) if first in (framing.begins or first)]


def is_framed(head: str) -> bool:
    """Return whether any of the first few lines is carried by a framing: else none of the file is."""
    if head.startswith(("{\n", "{\r\n")):
        return False  # printed JSON, an event stream for one: nothing carries it
    return any(
        framing.needs in text and framing.unwrap(text) is not None
        for text in head.split("\n", GLANCE)[:GLANCE]
        for _, framing in _possible(text[:1])
    )


def framings_of(head: str) -> tuple[Framing, ...]:
    """Return the framings that carry lines of a file that begins like this, the most frequent first."""
    if not is_framed(head):
        return ()
    counts = dict.fromkeys(range(len(FRAMINGS)), 0)
    for text in head.split("\n", SAMPLE)[:SAMPLE]:
        inner = text
        for _ in range(DEEPEST):
            unwrapped = ((number, framing.unwrap(inner)) for number, framing in _possible(inner[:1]))
            number, wrapped = next(((number, framed) for number, framed in unwrapped if framed is not None), (-1, None))
            if wrapped is None:
                break
            counts[number] += 1
            inner = wrapped.text
    return tuple(FRAMINGS[number] for number in sorted(counts, key=lambda key: (-counts[key], key)) if counts[number])
