"""Recordings with something done to them: bytes, lines, numbers, stamps, framings; each case follows from a seed."""

from __future__ import annotations

import dataclasses
import gzip
import os
import random
import re
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import framings
from restamp import shifted
from scenarios import SCENARIOS
from trace_invariants import RECORDINGS, inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["KINDS", "LARGEST", "Case", "Mutations", "recordings"]

_DEFAULT_LOG: Final = re.compile(rb"(?m)^cloud-hypervisor: +[\d.]+s: <")

_NUMBER: Final = re.compile(rb"\d+(?:\.\d+)?")
_STAMP: Final = re.compile(
    rb"\d+\.\d{6}(?=(?:ns|\xc2\xb5s|ms|s): )|(?<=T)\d\d:\d\d:\d\d\.\d{6}(?=Z)|(?<=: )\d+(?=,?\n)"
)
_INSIDE: Final = re.compile(rb"(?<=[A-Za-z] )(?=[A-Za-z])")
_CONTROLS: Final = (
    *(
        b"\x1b[2J",
        b"\x1b]0;title\x07",
        b"\x1b[31mred",
        b"\x00",
        b"\x08\x08",
        b"\x7f",
        b"\x0b",
        b"\x0c",
        b"\x1c\x1d\x1e",
    ),
    *(
        text.encode()
        for text in ("\x9b2J", "\x9d0;x\x9c", "\x85", "\u202egnol", "\u2066", "\u2028", "\u200f", "\ufeff")
    ),
)
_WORD: Final = re.compile(rb"[A-Za-z]{2,}")
_RECORD: Final = re.compile(
    rb"cloud-hypervisor: +(?P<boot>[\d.]+)s: <(?P<thread>[^>]+)> (?P<level>[A-Z]+):(?P<location>\S+) -- (?P<msg>.*)"
)
_ABSURD: Final = (
    *b"0 1 -1 -0 NaN inf -inf 1e308 1e-320 0.5 1. .1 00000007 0x7f 999999999999999999999 9223372036854775807".split(),
    *b"9223372036854775808 18446744073709551616 2147483648 4294967296 1000000000 999999999999".split(),
    *b"9999999999999 999999999999999 999999999999999999 \xd9\xa3 \xc2\xb2".split(),
    *(b"", b"9" * 5000, b"0." + b"9" * 400),
)
_ABSURD_STAMPS: Final = (
    *b"-1.000000 -0.000001 0.000000 9999999999.999999 99999999999.000000 4294967296.000000 1e9 NaN inf 1".split(),
    *b"16777216.000000 123.456 999999999.999999 31536000.123456 24:00:00.000000 23:59:60.999999".split(),
    *b"999999999999.999999 999999999999999.999999 00:00:00.000000 99:99:99.999999".split(),
    b"",
)
_JUNK: Final = (
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
        b"\x1b[",
    ),
    *b'\x85 \xcc\x81 \xe2\x80\x94 \\ \\\\" \' " { } ( Some( < > % = , [ ] /etc/passwd'.split(),
    *(b"\r", b"\n", b"\t", b" -- ", b"Mutex { data: VmConfig { "),
)
_PREFIXES: Final = tuple(
    f"{prefix} ".encode()
    for prefix in (
        *("Nov 23 15:30:06 host cloud-hypervisor[12]:", "<30>Nov 23 15:30:06 host ch[1]:", "[  12.000001] host ch[1]:"),
        *("2026-11-23T15:30:06.123456789Z stderr F", "2026-11-23T15:30:06.123456789+01:00 stdout P", "[pod/vm-0/vmm]"),
        *("<30>1 2026-11-23T15:30:06.000001Z host ch 12 - -", "2026-11-23T15:30:06.000001+01:00 host ch[12]:", "vm  |"),
        *("2026-11-23T15:30:06.1234567Z", "[2026-11-23T15:30:06.123Z]", "build\tRun tests\t2026-11-23T15:30:06.1Z"),
        *("   ", ">", ">>", "|", "12:", "\x1b[32mINFO\x1b[0m", "\u202e"),
        *("Feb 30 25:61:61 host ch[12]:", "9999-99-99T99:99:99.999999999Z stderr F", '{"log":"', "-- Journal begins"),
    )
)
_FORMATS: Final = (
    b"2026-05-21T06:02:%(s)s.%(us)sZ 11/12 <%(thread)s> %(level)s %(location)s -- %(msg)s",
    b"2026-05-21T06:02:%(s)s.%(us)sZ cloud-hypervisor: %(boot)10ss: <%(thread)s> %(level)s:%(location)s -- %(msg)s",
    b"I0521 06:02:%(s)s.%(us)s 4719 %(location)s] %(msg)s",
    b'{"t":"2026-05-21T06:02:%(s)s.%(us)sZ","b":%(boot)s,"th":"%(thread)s","l":"%(level)s","m":"%(msg)s"}',
    b"%(boot)10s %(msg)s",
    b"%(msg)s",
)
_LONG: Final = 10**7
LARGEST: Final = 1 << 21
_BEGAN_NS: Final = 1_767_225_600 * 10**9
_PROCESS: Final[dict[str, Any]] = {"began_ns": _BEGAN_NS, "host": "host-a", "pid": 12}
_JOURNAL: Final = {**_PROCESS, "native": True, "machine_id": "0" * 31 + "1", "boot_id": "0" * 31 + "2"}
_CARRIERS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    partial(framings.docker_json, began_ns=_BEGAN_NS),
    partial(framings.docker_timestamps, began_ns=_BEGAN_NS),
    partial(framings.cri, began_ns=_BEGAN_NS),
    partial(framings.cri, began_ns=_BEGAN_NS, limit=100),
    partial(framings.syslog_rfc3164, **_PROCESS),
    partial(framings.syslog_rfc5424, **_PROCESS),
    partial(framings.journal_short, **_PROCESS),
    partial(framings.journal_json, **_JOURNAL),
    partial(framings.journal_export, **_JOURNAL),
)
_JSON_CARRIERS: Final[tuple[Callable[[bytes], bytes], ...]] = (
    partial(framings.docker_json, began_ns=_BEGAN_NS),
    partial(framings.journal_json, **_JOURNAL),
)

Recording = dict[str, bytes]


@cache
def recordings() -> tuple[Recording, ...]:
    """All logs and event streams that mutations begin with, recorded and written by hand."""
    found = [{path.name: path.read_bytes() for path in inputs(name)} for name in RECORDINGS]
    found += [dict(SCENARIOS[name].files) for name in sorted(SCENARIOS)]
    return tuple(found)


class Mutations:
    """Everything that may happen to a file; each public method takes bytes and gives bytes."""

    def __init__(self, pick: random.Random) -> None:
        self._pick = pick

    def _at(self, data: bytes) -> int:
        return self._pick.randrange(len(data) + 1)

    def _some(self, most: int) -> range:
        return range(self._pick.randint(1, most))

    def _other(self) -> bytes:
        return self._pick.choice(list(self._pick.choice(recordings()).values()))[: 1 << 17]

    def _replaced(self, pattern: re.Pattern[bytes], data: bytes, texts: Sequence[bytes], share: float) -> bytes:
        """``data`` with ``texts`` in place of some of what ``pattern`` finds, the longest texts rarely."""
        budget = [self._pick.randint(1, 60)]

        def text(match: re.Match[bytes]) -> bytes:
            if budget[0] <= 0 or self._pick.random() >= share:
                return match[0]
            budget[0] -= 1
            return self._pick.choice(texts)

        return pattern.sub(text, data)

    def flipped(self, data: bytes) -> bytes:
        """Bytes that are others."""
        changed = bytearray(data)
        for _ in self._some(40) if data else ():
            changed[self._pick.randrange(len(data))] = self._pick.randrange(256)
        return bytes(changed)

    def lost(self, data: bytes) -> bytes:
        """A few lines that are missing, one by one: what a shipper or a full pipe loses."""
        lines = _lines(data)
        for _ in self._some(3) if lines else ():
            del lines[self._pick.randrange(len(lines))]
            if not lines:
                break
        return b"".join(lines)

    def controls(self, data: bytes) -> bytes:
        """What a terminal or a viewer would obey, inside the words of lines."""
        return self._replaced(_WORD, data, _CONTROLS, self._pick.choice((0.002, 0.02, 0.2)))

    def surrogates(self, data: bytes) -> bytes:
        """Lines in JSON that say halves of surrogate pairs, which UTF-8 cannot, inside their texts."""
        carry = self._pick.choice(_JSON_CARRIERS)
        halves = (b"\\ud800", b"\\udc80", b"\\udfff\\ud800", b"\\u0000", b"\\u001b[31m", b"\\u202e")
        try:
            carried = carry(data[:LARGEST])
        except (ValueError, OverflowError):
            return data  # the times in it are none that could be carried
        return self._replaced(_INSIDE, carried, halves, self._pick.choice((0.01, 0.2, 1.0)))

    def dropped(self, data: bytes) -> bytes:
        """Lines that are missing."""
        share = self._pick.choice((0.02, 0.1, 0.5))
        return b"".join(line for line in _lines(data) if self._pick.random() >= share)

    def only_interesting(self, data: bytes) -> bytes:
        """A log that was grepped."""
        word = self._pick.choice((b"igration", b"Precopy", b"Event: ", b"INFO", b"<vmm>", b"received"))
        return b"".join(line for line in _lines(data) if word in line)

    def doubled(self, data: bytes) -> bytes:
        """Lines that are there several times."""
        share = self._pick.choice((0.02, 0.2, 1.0))
        return b"".join(
            line * (self._pick.choice((2, 2, 3, 9)) if self._pick.random() < share else 1) for line in _lines(data)
        )

    def swapped(self, data: bytes) -> bytes:
        """Lines that changed places, near or far."""
        lines = _lines(data)
        reach = self._pick.choice((2, 10, len(lines) + 1))
        for _ in self._some(30) if lines else ():
            one = self._pick.randrange(len(lines))
            other = min(one + self._pick.randrange(reach), len(lines) - 1)
            lines[one], lines[other] = lines[other], lines[one]
        return b"".join(lines)

    def interleaved(self, data: bytes) -> bytes:
        """Two processes that write to the same file."""
        lines, others = _lines(data), _lines(self._other())
        merged = [(self._pick.random(), 0, line) for line in lines] + [
            (self._pick.random(), 1, line) for line in others
        ]
        order = [which for _, which, _ in sorted(merged)]
        rest = (iter(lines), iter(others))
        return b"".join(next(rest[which]) for which in order)

    def spliced(self, data: bytes) -> bytes:
        """The beginning of one log and the end of another, of any release."""
        other = self._other()
        return data[: self._at(data)] + other[self._at(other) :]

    def followed(self, data: bytes) -> bytes:
        """A process that appends to another's log."""
        return data + self._other()

    def again(self, data: bytes) -> bytes:
        """A part of the log several times."""
        begin, end = sorted((self._at(data), self._at(data)))
        return data[:end] + data[begin:end][: 1 << 15] * self._pick.randint(1, 12) + data[end:]

    def nuls(self, data: bytes) -> bytes:
        """A hole, as a crash of the host leaves it."""
        at = self._at(data)
        hole = self._pick.choice((1, 100, 4096, 1 << 17))
        return data[:at] + b"\x00" * hole + data[at + hole * self._pick.randrange(2) :]

    def junk(self, data: bytes) -> bytes:
        """Quotes, braces, control characters and what is not UTF-8, anywhere."""
        for _ in self._some(20):
            at = self._at(data)
            data = data[:at] + self._pick.choice(_JUNK) * self._pick.choice((1, 1, 1, 2, 300)) + data[at:]
        return data

    def long_line(self, data: bytes) -> bytes:
        """A line of 10 MB, which begins like a line of the log."""
        at = self._at(data)
        filling = self._pick.choice(
            (b"a", b"1", b" ", b'"', b"\\", b"(", b"-- ", b"<vmm> ", b"{", b'\\\\"', b"\r", data[at : at + 200])
        )
        return data[:at] + filling * (_LONG // max(len(filling), 1)) + data[at:]

    def numbers(self, data: bytes) -> bytes:
        """Numbers that nobody should print."""
        return self._replaced(_NUMBER, data, _ABSURD, self._pick.choice((0.005, 0.05, 0.5)))

    def number_everywhere(self, data: bytes) -> bytes:
        """One number in place of another wherever that is printed in a message."""
        found = _NUMBER.findall(data)
        if not found:
            return data
        return data.replace(b"=" + self._pick.choice(found), b"=" + self._pick.choice(_ABSURD[:16]))

    def stamps(self, data: bytes) -> bytes:
        """Times that cannot be."""
        return self._replaced(_STAMP, data, _ABSURD_STAMPS, self._pick.choice((0.02, 0.2, 1.0)))

    def jittered(self, data: bytes) -> bytes:
        """Times that go back and forth by up to some seconds."""
        reach = self._pick.choice((1e-5, 1e-3, 0.5, 5, 1e5))

        def moved(match: re.Match[bytes]) -> bytes:
            return match[0] if b":" in match[0] else b"%.6f" % abs(float(match[0]) + self._pick.uniform(-reach, reach))

        return _STAMP.sub(moved, data)

    def same_time(self, data: bytes) -> bytes:
        """A clock that stands still."""
        first = _STAMP.search(data)
        return data if first is None else _STAMP.sub(first[0], data)

    def units(self, data: bytes) -> bytes:
        """Times in other units."""
        unit = self._pick.choice(("ns: <", "µs: <", "ms: <", "s: <", "m: <")).encode()
        return data.replace(b"s: <", unit, self._pick.choice((1, 20, -1)))

    def words(self, data: bytes) -> bytes:
        """Words of the log in other places."""
        found = list(dict.fromkeys(_WORD.findall(data[: 1 << 16])))
        return self._replaced(_WORD, data, found, self._pick.choice((0.002, 0.02))) if found else data

    def cut(self, data: bytes) -> bytes:
        """A log that ends too early."""
        return data[: self._at(data)]

    def beheaded(self, data: bytes) -> bytes:
        """A log that begins too late."""
        return data[self._at(data) :]

    def unterminated(self, data: bytes) -> bytes:
        """Lines that run into each other."""
        share = self._pick.choice((0.02, 0.3, 1.0))
        return b"".join(line.rstrip(b"\r\n") if self._pick.random() < share else line for line in _lines(data))

    def terminators(self, data: bytes) -> bytes:
        """Line ends of another system, everywhere or on some lines."""
        plain = [line.rstrip(b"\r\n") for line in _lines(data)]
        ends = self._pick.choice(
            ((b"\n",), (b"\r\n",), (b"\n", b"\r\n"), (b"\r",), (b"\n\r",), (b"\r\r\n",), (b"\n\n",))
        )
        return b"".join(line + self._pick.choice(ends) for line in plain)

    def prefixed(self, data: bytes) -> bytes:
        """What a collector puts before lines, on some or all of them."""
        share, prefix = self._pick.choice((0.05, 0.5, 1.0)), self._pick.choice(_PREFIXES)
        return b"".join((prefix if self._pick.random() < share else b"") + line for line in _lines(data))

    def carried(self, data: bytes) -> bytes:
        """A log as one of the known framings carries it."""
        carry = self._pick.choice(_CARRIERS)
        try:
            return carry(data[:LARGEST])
        except (ValueError, OverflowError):
            return data  # the times in it are none that could be carried

    def formatted(self, data: bytes) -> bytes:
        """Records in another log format, all or some."""
        layout, share = self._pick.choice(_FORMATS), self._pick.choice((0.5, 1.0, 1.0))

        def written(match: re.Match[bytes]) -> bytes:
            if self._pick.random() >= share:
                return match[0]
            seconds, _, rest = match["boot"].partition(b".")
            values = {name.encode(): value for name, value in match.groupdict().items()}
            return layout % (values | {b"s": seconds[-2:].zfill(2), b"us": rest[:6]})

        return _RECORD.sub(written, data)

    def nested(self, data: bytes) -> bytes:
        """JSON or a dump that never closes what it opens."""
        opening = self._pick.choice(
            (b"[", b'{"timestamp":', b"{ ", b"Some(", b'{"event":{"source":["', b"Mutex { data: ")
        )
        at = data.find(b"\n", self._at(data)) + 1
        return data[:at] + opening * self._pick.choice((3, 3000, 100_000)) + data[at:]

    def compressed(self, data: bytes) -> bytes:
        """A rotated log, whole or damaged."""
        packed = gzip.compress(data, compresslevel=1, mtime=0)
        accident = self._pick.choice((self.flipped, self.cut, lambda same: same, lambda same: same + same))
        return accident(packed)

    def emptied(self, data: bytes) -> bytes:
        """Hardly anything."""
        return self._pick.choice(
            (b"", b"\n", b"\r\n" * 1000, b"\x00" * 10, b"\xef\xbb\xbf" + data, b" " + data, b"{", b"[]")
        )


def _kinds() -> tuple[str, ...]:
    return tuple(name for name in vars(Mutations) if not name.startswith("_"))


KINDS: Final = _kinds()
_RARE: Final = {"long_line": 0.1, "emptied": 0.2, "compressed": 0.3, "nested": 0.4}
"""These are slow, or leave little to look at."""


def _lines(data: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+$", data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Mutated files; they follow from the seed and the kinds of mutation that are allowed."""

    seed: int
    files: Recording

    @classmethod
    def of(cls, seed: int, kinds: Sequence[str] = KINDS) -> Case:
        """The case of this seed."""
        pick = random.Random(seed)
        files: Recording = {}
        for number in range(pick.choice((1, 1, 1, 2))):
            for name, data in pick.choice(recordings()).items():
                if pick.random() < 0.85 or not files:
                    files[name if number == 0 else f"{number}-{name}"] = data[: 1 << 18]
        return cls(seed=seed, files={name: _mutated(data, pick, kinds) for name, data in files.items()})

    def write(self, folder: Path) -> list[str]:
        """Write the files, all of the same age; their names."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
            os.utime(folder / name, ns=(_BEGAN_NS, _BEGAN_NS))
        return list(self.files)

    def times(self, count: int) -> Case:
        """The same files ``count`` times over, each time a little later where the stamps can be moved."""
        grown = {
            name: b"".join(shifted(data, 7 * number) if _DEFAULT_LOG.search(data) else data for number in range(count))
            for name, data in self.files.items()
        }
        return dataclasses.replace(self, files=grown)


def _mutated(data: bytes, pick: random.Random, kinds: Sequence[str]) -> bytes:
    mutations = Mutations(pick)
    weights = [_RARE.get(kind, 1.0) for kind in kinds]
    for kind in pick.choices(kinds, weights, k=pick.choice((0, 1, 1, 1, 2, 2, 3, 4)) if len(kinds) > 1 else 1):
        if len(data) <= LARGEST:
            data = getattr(mutations, kind)(data)
    return data
