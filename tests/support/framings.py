"""The log of a process as transports deliver it: what containers, syslog and the journal make of its lines.

Each function takes the plain log (records end with CR LF, stamps as in the default line or a wall clock) and wraps
every text line, each received 150 us after it was stamped. All of these transports work with LF-terminated
lines: the CR stays at the end of the text wherever the transport does not strip it, and a record that contains a
bare LF becomes several entries, of which only the first carries a stamp.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "cri",
    "docker_json",
    "docker_timestamps",
    "journal_export",
    "journal_json",
    "journal_short",
    "journal_short_iso_precise",
    "journal_short_monotonic",
    "lf_only",
    "syslog_rfc3164",
    "syslog_rfc3339",
    "syslog_rfc5424",
]

IDENTIFIER: Final = "cloud-hypervisor"
"""The name under which syslog and the journal file the process."""

_DELAY_NS: Final = 150_000
_US: Final = 1_000
_S: Final = 10**9
_PIECE: Final = 16 * 1024
_JOURNAL_LINE_MAX: Final = 48 * 1024
_JOURNAL_JSON_MAX: Final = 4096
_LOGGER_MAX: Final = 1024
_HOUR_NS: Final = 3600 * _S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WHITESPACE: Final = b" \t\n\r"
_DAEMON_INFO: Final = 30

_SINCE_START: Final = re.compile(rb"cloud-hypervisor: +(\d+)\.(\d{6})(ns|\xc2\xb5s|ms|s): ")
_WALL_CLOCK: Final = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)")
_UNITS: Final[Mapping[bytes, int]] = {b"ns": 1, b"\xc2\xb5s": 10**3, b"ms": 10**6, b"s": _S}

_COLOUR: Final = re.compile(rb"\x1b\[[0-9;]*m")
_GO_ESCAPES: Final[Mapping[int, str]] = {
    **{code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))},
    **{ord(character): f"\\{character}" for character in '\\"'},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    **dict.fromkeys(range(0xDC80, 0xDD00), "\\ufffd"),
}
"""What Docker writes for a character in a JSON string; bytes that are not UTF-8 arrive as lone surrogates."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A text line with the time at which a transport received it."""

    ns: int
    text: bytes
    """Without the LF; the CR of a record's end is part of it."""
    ended: bool
    """False for what follows the last LF of a log."""


def _stamp_ns(text: bytes, began_ns: int) -> int | None:
    since_start = _SINCE_START.match(text)
    if since_start is not None:
        whole, fraction, unit = since_start.groups()
        return began_ns + int(whole + fraction) * _UNITS[unit] // 10**6
    wall_clock = _WALL_CLOCK.search(text)
    if wall_clock is not None:
        since_epoch = datetime.fromisoformat(wall_clock[0].decode()) - _EPOCH
        return since_epoch // timedelta(microseconds=1) * _US
    return None


def _lines(log: bytes, began_ns: int) -> Iterator[_Line]:
    """The text lines of a log; receipt never goes back, a line without a stamp arrives with the one before."""
    received = began_ns + _DELAY_NS
    for line in _split_at_lf(log):
        text = line.removesuffix(b"\n")
        stamp = _stamp_ns(text, began_ns)
        if stamp is not None:
            received = max(received, stamp + _DELAY_NS)
        yield _Line(received, text, ended=text != line)


def _split_at_lf(log: bytes) -> list[bytes]:
    *lines, rest = log.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def _pieces(text: bytes, limit: int) -> list[bytes]:
    """``text`` in pieces of ``limit`` bytes; at least one."""
    return [text[at : at + limit] for at in range(0, max(len(text), 1), limit)]


def _moment(ns: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=ns // _US)).astimezone(zone)


def _offset(moment: datetime) -> str:
    return moment.isoformat()[-len("+00:00") :]


def _go_time(ns: int, *, fixed: bool) -> str:
    """UTC as Go prints it: RFC 3339 with nanoseconds, whose trailing zeros are left out unless ``fixed``."""
    fraction = f".{ns % _S:09d}"
    if not fixed:
        fraction = fraction.rstrip("0").rstrip(".")
    return f"{_moment(ns, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def lf_only(log: bytes) -> bytes:
    """``log`` after a tool that ends lines with LF alone."""
    return log.replace(b"\r\n", b"\n")


def docker_json(log: bytes, *, began_ns: int) -> bytes:
    """Docker's json-file: an object per line, or per 16 KiB of a longer line; only the last piece ends with LF."""
    entries = []
    for line in _lines(log, began_ns):
        pieces = _pieces(line.text, _PIECE)
        if line.ended:
            pieces[-1] += b"\n"
        for piece in pieces:
            text = piece.decode(errors="surrogateescape").translate(_GO_ESCAPES)
            entries.append(f'{{"log":"{text}","stream":"stderr","time":"{_go_time(line.ns, fixed=False)}"}}\n')
    return "".join(entries).encode()


def docker_timestamps(log: bytes, *, began_ns: int) -> bytes:
    """``docker logs --timestamps``: a stamp before each entry, for a piece of a long line in the middle of it."""
    output = bytearray()
    for line in _lines(log, began_ns):
        stamp = _go_time(line.ns, fixed=True).encode()
        for piece in _pieces(line.text, _PIECE):
            output += stamp + b" " + piece
        if line.ended:
            output += b"\n"
    return bytes(output)


def cri(
    log: bytes,
    *,
    began_ns: int,
    runtime: Literal["cri-o", "containerd"] = "cri-o",
    limit: int = _PIECE,
    zone: tzinfo = UTC,
) -> bytes:
    """The kubelet's log files: CRI-O keeps a line's CR, containerd drops it; a small ``limit`` cuts as slow writes do.

    A piece with ``P`` is continued by the next entry.
    """
    output = bytearray()
    for line in _lines(log, began_ns):
        text = line.text
        if runtime == "containerd":
            text = text.removesuffix(b"\r") if line.ended else text
            stamp = _go_time(line.ns, fixed=False)
        else:
            moment = _moment(line.ns, zone)
            stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{line.ns % _S:09d}{_offset(moment)}"
        pieces = _pieces(text, limit)
        for number, piece in enumerate(pieces, start=1):
            tag = "F" if line.ended and number == len(pieces) else "P"
            output += f"{stamp} stderr {tag} ".encode() + piece + b"\n"
    return bytes(output)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the journal stores of a line, or of 48 KiB of a longer one."""

    ns: int
    text: bytes
    line_break: Literal["", "nul", "line-max"] = ""
    """What ended the text, if it was not LF."""


def _journal(log: bytes, began_ns: int, *, native: bool) -> Iterator[_Entry]:
    """The entries; of a process's stderr without whitespace at the end (so without CR) and without empty lines.

    A NUL ends a line of stderr like an LF.
    """
    for line in _lines(log, began_ns):
        if native:
            yield _Entry(line.ns, line.text)
            continue
        parts = line.text.split(b"\0")
        for number, part in enumerate(parts, start=1):
            *long, rest = _pieces(part, _JOURNAL_LINE_MAX)
            entries = [_Entry(line.ns, piece.rstrip(_WHITESPACE), "line-max") for piece in long]
            entries.append(_Entry(line.ns, rest.rstrip(_WHITESPACE), "nul" if number < len(parts) else ""))
            yield from (entry for entry in entries if entry.text)


def _syslog(log: bytes, began_ns: int, via: Literal["journald", "logger"]) -> Iterator[_Entry]:
    """The messages that reach syslog: from the journal, or piped through logger(1), which cuts them at 1 KiB."""
    if via == "journald":
        yield from _journal(log, began_ns, native=False)
        return
    for line in _lines(log, began_ns):
        for piece in _pieces(line.text, _LOGGER_MAX):
            yield _Entry(line.ns, _octal(piece))


def _octal(text: bytes) -> bytes:
    """``text`` with control characters as rsyslog receives them: CR becomes ``#015``."""
    return b"".join(b"#%03o" % code if code < ord(" ") or code == 0x7F else bytes((code,)) for code in text)


def syslog_rfc3164(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    via: Literal["journald", "logger"] = "journald",
    priority: bool = False,
    zone: tzinfo = UTC,
) -> bytes:
    """The traditional file format: seconds of the local zone, no year; with ``priority`` as it is sent."""

    def head(ns: int) -> str:
        moment = _moment(ns, zone)
        prefix = f"<{_DAEMON_INFO}>" if priority else ""
        return f"{prefix}{moment:%b} {moment.day:>2} {moment:%H:%M:%S} {host} {IDENTIFIER}[{pid}]: "

    return _headed(_syslog(log, began_ns, via), head)


def syslog_rfc3339(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    via: Literal["journald", "logger"] = "journald",
    zone: tzinfo = UTC,
) -> bytes:
    """The file format of present distributions: the traditional one with a full stamp."""

    def head(ns: int) -> str:
        return f"{_moment(ns, zone).isoformat(timespec='microseconds')} {host} {IDENTIFIER}[{pid}]: "

    return _headed(_syslog(log, began_ns, via), head)


def syslog_rfc5424(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    via: Literal["journald", "logger"] = "journald",
    zone: tzinfo = UTC,
) -> bytes:
    """The protocol's version 1; logger(1) adds structured data about the clock."""
    data = '[timeQuality tzKnown="1" isSynced="1" syncAccuracy="21500"]' if via == "logger" else "-"

    def head(ns: int) -> str:
        stamp = _moment(ns, zone).isoformat(timespec="microseconds")
        return f"<{_DAEMON_INFO}>1 {stamp} {host} {IDENTIFIER} {pid} - {data} "

    return _headed(_syslog(log, began_ns, via), head)


def _headed(entries: Iterator[_Entry], head: Callable[[int], str]) -> bytes:
    return b"".join(head(entry.ns).encode() + entry.text + b"\n" for entry in entries)


def journal_short(log: bytes, *, began_ns: int, host: str, pid: int, native: bool = False, zone: tzinfo = UTC) -> bytes:
    """``journalctl``: seconds of the local zone, no year."""

    def head(ns: int) -> str:
        return f"{_moment(ns, zone):%b %d %H:%M:%S} {host} {IDENTIFIER}[{pid}]: "

    return _shown(_journal(log, began_ns, native=native), head)


def journal_short_iso_precise(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    native: bool = False,
    zone: tzinfo = UTC,
    colon: bool = True,
) -> bytes:
    """``journalctl -o short-iso-precise``; older releases print the zone without ``colon``."""

    def head(ns: int) -> str:
        stamp = _moment(ns, zone).isoformat(timespec="microseconds")
        stamp = stamp if colon else "".join(stamp.rsplit(":", 1))
        return f"{stamp} {host} {IDENTIFIER}[{pid}]: "

    return _shown(_journal(log, began_ns, native=native), head)


def journal_short_monotonic(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    native: bool = False,
    uptime_ns: int = _HOUR_NS,
) -> bytes:
    """``journalctl -o short-monotonic``: time since the host booted, ``uptime_ns`` before the process began."""

    def head(ns: int) -> str:
        seconds, microseconds = divmod(_monotonic_us(ns, began_ns, uptime_ns), 10**6)
        return f"[{seconds:>5}.{microseconds:06d}] {host} {IDENTIFIER}[{pid}]: "

    return _shown(_journal(log, began_ns, native=native), head)


def _monotonic_us(ns: int, began_ns: int, uptime_ns: int) -> int:
    return (ns - began_ns + uptime_ns) // _US


def _shown(entries: Iterator[_Entry], head: Callable[[int], str]) -> bytes:
    """Lines of the short formats: no CR at the end, tabs and colours gone, what is not printable only counted."""
    output = bytearray()
    for entry in entries:
        text = _COLOUR.sub(b"", entry.text.rstrip(b"\r").replace(b"\t", b" " * 8))
        if not _printable(text, newline=True):
            text = f"[{_size(len(text))} blob data]".encode()
        output += head(entry.ns).encode() + text + b"\n"
    return bytes(output)


def _size(count: int) -> str:
    kib = 1024
    return f"{count}B" if count < kib else f"{count // kib}.{count % kib * 10 // kib}K"


def _printable(value: bytes, *, newline: bool) -> bool:
    """Whether the journal takes ``value`` for text: UTF-8 without control characters other than tab (and LF)."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    allowed = "\t\n" if newline else "\t"
    return not any((code < " " and code not in allowed) or "\x7f" <= code <= "\x9f" for code in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """What the journal knows of every entry of a process."""

    began_ns: int
    host: str
    pid: int
    machine_id: str
    boot_id: str
    native: bool
    uptime_ns: int

    def addresses(self, entry: _Entry, number: int) -> dict[str, str]:
        """The fields that the reader makes up for an entry."""
        realtime, monotonic = entry.ns // _US, _monotonic_us(entry.ns, self.began_ns, self.uptime_ns)
        sequence = hashlib.blake2b(self.machine_id.encode(), digest_size=16).hexdigest()
        content = hashlib.blake2b(entry.text, digest_size=8).hexdigest()
        cursor = f"s={sequence};i={number:x};b={self.boot_id};m={monotonic:x};t={realtime:x};x={content.lstrip('0')}"
        return {
            "__CURSOR": cursor,
            "__REALTIME_TIMESTAMP": str(realtime),
            "__MONOTONIC_TIMESTAMP": str(monotonic),
            "__SEQNUM": str(number),
            "__SEQNUM_ID": sequence,
            "_BOOT_ID": self.boot_id,
        }

    def stored(self, entry: _Entry) -> dict[str, bytes]:
        """The fields in the file: of a process's own stderr, or as a container engine sends them."""
        fields = {"_MACHINE_ID": self.machine_id, "_HOSTNAME": self.host, "_PID": str(self.pid), "_UID": "0"}
        if self.native:
            fields |= {"_TRANSPORT": "journal", "PRIORITY": "3", "CONTAINER_NAME": "vmm", "_COMM": "dockerd"}
        else:
            fields |= {"_TRANSPORT": "stdout", "PRIORITY": "6", "SYSLOG_FACILITY": "3", "_COMM": IDENTIFIER[:15]}
        fields["SYSLOG_IDENTIFIER"] = IDENTIFIER
        if entry.line_break:
            fields["_LINE_BREAK"] = entry.line_break
        return {name: value.encode() for name, value in fields.items()} | {"MESSAGE": entry.text}


def journal_json(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    machine_id: str,
    boot_id: str,
    native: bool = False,
    uptime_ns: int = _HOUR_NS,
    show_all: bool = False,
) -> bytes:
    """``journalctl -o json``: an object per line, every value a string.

    Text with control characters (from a ``native`` sender each line's CR) is an array of byte values; what is longer
    than 4 KiB is null unless ``show_all``.
    """
    fields = _Fields(
        began_ns=began_ns,
        host=host,
        pid=pid,
        machine_id=machine_id,
        boot_id=boot_id,
        native=native,
        uptime_ns=uptime_ns,
    )
    objects = []
    for number, entry in enumerate(_journal(log, began_ns, native=native), start=1):
        values: dict[str, str | list[int] | None] = {**fields.addresses(entry, number)}
        for name, value in fields.stored(entry).items():
            if len(name) + 1 + len(value) >= _JOURNAL_JSON_MAX and not show_all:
                values[name] = None
            else:
                values[name] = value.decode() if _printable(value, newline=True) else list(value)
        objects.append(json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n")
    return "".join(objects).encode()


def journal_export(
    log: bytes,
    *,
    began_ns: int,
    host: str,
    pid: int,
    machine_id: str,
    boot_id: str,
    native: bool = False,
    uptime_ns: int = _HOUR_NS,
) -> bytes:
    """``journalctl -o export``: ``FIELD=value`` lines, an empty line after each entry.

    A value with control characters (from a ``native`` sender each line's CR) follows its field's name and LF in
    binary: length in 64 bits, little endian, then the bytes.
    """
    fields = _Fields(
        began_ns=began_ns,
        host=host,
        pid=pid,
        machine_id=machine_id,
        boot_id=boot_id,
        native=native,
        uptime_ns=uptime_ns,
    )
    output = bytearray()
    for number, entry in enumerate(_journal(log, began_ns, native=native), start=1):
        for name, text in fields.addresses(entry, number).items():
            output += f"{name}={text}\n".encode()
        for name, value in fields.stored(entry).items():
            if _printable(value, newline=False):
                output += name.encode() + b"=" + value + b"\n"
            else:
                output += name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        output += b"\n"
    return bytes(output)
