"""Accidents that befall logs on their way: which there are, where in a recording, and what is left of its files.

A recording is a folder of ``tests/corpus``, or a made-up one of ``scenarios``, named with that in front.

==============  ========================================================================================
drop            one line is missing
pair            two neighbouring lines are missing
two             two lines of one log are missing, by chance
each            one line of either log is missing, by chance
swap            one line changes places with the next
move            one line comes some lines later than it was written, by chance
shuffle         the lines that bear one millisecond come in any order
half            one line ends in its middle
dup             one line comes twice
block           three to ten lines come twice, one after the other as a shipper sends them again
blank           one line is followed by an empty one
events          one event is missing from an event stream, the logs whole
events-late     an event stream begins late, and one of its events is missing
events-cut      an event stream ends early, and one of its events is missing
cut             one log ends after a line
rotated         one log begins after a line
cut-both        both logs end at one time
rotated-both    both logs begin at one time
loss            a share of all lines of all logs is missing, by chance
==============  ========================================================================================
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "CORPUS",
    "ENDING",
    "MODES",
    "Damage",
    "damaged",
    "damages",
    "files_of",
    "logs_of",
    "made_up",
    "of_other_things",
    "role_of",
]

CORPUS: Final = Path(__file__).parents[1] / "corpus"
MODES: Final = (
    *("drop", "pair", "two", "each", "swap", "move", "shuffle", "half", "dup", "block", "blank"),
    *("events", "events-late", "events-cut", "cut", "rotated", "cut-both", "rotated-both", "loss"),
)
ENDING: Final = frozenset({"cut", "rotated", "cut-both", "rotated-both", "loss"})
"""Accidents after which there may be too little left to say that two logs belong together."""
SHARES: Final = (0.02, 0.05, 0.1, 0.2, 0.3)
"""Which share of the lines is lost in the mode ``loss``."""
_MADE_UP: Final = "scenario:"
_EACH_SHARE: Final = 8
"""How often each share is lost from a recording, each time by another chance."""
_BY_CHANCE: Final = 40
"""How often an accident befalls a recording that is one of too many."""
_OF_OTHER_THINGS: Final = (b"function = 0x", b"virtio_", b"Guest MMIO write")
"""Lines that are about no migration, thousands of them."""
_LATE_BY: Final = 5
"""At most so many lines later a line comes,"""
_LATE_S: Final = 0.012
"""where those were written so soon after it: the most that was seen in real logs."""
_BLOCK: Final = (3, 10)
"""So many lines come twice."""
_STAMP: Final = re.compile(
    rb"^(?:cloud-hypervisor: )? *(?:(?P<since>\d+\.\d+)(?P<unit>ms|\xc2\xb5s|s)|(?P<wall>\d{4}-\d\d-\d\dT[\d:.]+))"
)
_UNITS: Final = {b"s": 1.0, b"ms": 1e-3, b"\xc2\xb5s": 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One accident that befell one recording."""

    recording: str
    mode: str
    file: str = ""
    """Which file it befell; where it befalls several, none."""
    at: int = 0
    """The index of the line or the event; where chance decides, the seed."""
    share: float = 0

    def __str__(self) -> str:
        if self.mode == "loss":
            where = f"{self.share:.0%} seed {self.at}"
        elif self.mode in _SEEDED:
            where = f"{self.file or 'both'} seed {self.at}"
        else:
            where = f"{self.file}:{self.at + 1}"
        return f"{self.mode} {self.recording}/{where}"


_SEEDED: Final = ("two", "each", "move", "block", "events-late", "events-cut")
_BEFORE_ANOTHER: Final = ("pair", "swap", "cut", "rotated", "cut-both", "rotated-both")
"""Accidents that befall a line only if another follows."""


def made_up() -> list[str]:
    """The names of the scenarios, as recordings."""
    return [_MADE_UP + name for name in SCENARIOS]


@cache
def files_of(recording: str) -> Mapping[str, bytes]:
    """The logs and event streams of a recording, by name."""
    if recording.startswith(_MADE_UP):
        return dict(sorted(SCENARIOS[recording.removeprefix(_MADE_UP)].files.items()))
    paths = (path for path in sorted((CORPUS / recording).iterdir()) if path.name.endswith((".log", ".events.json")))
    return {path.name: path.read_bytes() for path in paths}


def logs_of(recording: str) -> dict[str, bytes]:
    """The logs of a recording, by name."""
    return {name: data for name, data in files_of(recording).items() if name.endswith(".log")}


def role_of(name: str) -> str:
    """Which part a log has, by its name."""
    return "source" if name.startswith("source") else "destination"


def of_other_things(line: bytes) -> bool:
    """Whether a line is about no migration, as thousands are."""
    return any(word in line for word in _OF_OTHER_THINGS)


@cache
def _lines(recording: str, file: str) -> list[bytes]:
    data = files_of(recording)[file]
    if file.endswith(".json"):
        return [part + b"\n\n" for part in data.split(b"\n\n") if part.strip()]
    return data.splitlines(keepends=True)


@cache
def _places(recording: str, file: str) -> list[int]:
    """The indices of the lines or events that an accident may befall."""
    return [at for at, line in enumerate(_lines(recording, file)) if not of_other_things(line)]


@cache
def _seconds(recording: str, file: str) -> list[float]:
    """When each line was written, by its file's clock: that of the line before, where it has no stamp."""
    times: list[float] = []
    for line in _lines(recording, file):
        stamp = _STAMP.match(line)
        if stamp is None:
            times.append(times[-1] if times else 0)
        elif stamp["wall"] is None:
            times.append(float(stamp["since"]) * _UNITS[stamp["unit"]])
        else:
            times.append(datetime.fromisoformat(stamp["wall"].decode() + "+00:00").timestamp())
    return times


def damages(recording: str, mode: str) -> Iterator[Damage]:
    """Every accident of one mode, or as many as are tried where chance decides."""
    logs = list(logs_of(recording))
    of_streams = mode.startswith("events")
    files = [name for name in files_of(recording) if name.endswith(".json")] if of_streams else logs
    if mode == "loss":
        yield from (
            Damage(recording=recording, mode=mode, at=seed, share=share)
            for share in SHARES
            for seed in range(_EACH_SHARE)
        )
    elif mode == "each":
        yield from (Damage(recording=recording, mode=mode, at=seed) for seed in range(_BY_CHANCE if logs[1:] else 0))
    elif mode in _SEEDED:
        for file in files:
            if len(_places(recording, file)) > _LATE_BY:
                yield from (Damage(recording=recording, mode=mode, file=file, at=seed) for seed in range(_BY_CHANCE))
    else:
        for file in files:
            yield from (
                Damage(recording=recording, mode=mode, file=file, at=at) for at in _places_of(recording, file, mode)
            )


def _places_of(recording: str, file: str, mode: str) -> Iterable[int]:
    """Where an accident of a mode in which chance decides nothing may befall a file."""
    if mode == "shuffle":
        return _starts_of_milliseconds(recording, file)
    if mode in ("cut-both", "rotated-both") and (file != "source.log" or not list(logs_of(recording))[1:]):
        return ()
    last = len(_lines(recording, file)) - 1
    return [at for at in _places(recording, file) if at != last or mode not in _BEFORE_ANOTHER]


def _starts_of_milliseconds(recording: str, file: str) -> Iterator[int]:
    """The first lines of those that bear one millisecond."""
    for _, group in groupby(enumerate(_seconds(recording, file)), key=lambda each: int(each[1] * 1000)):
        indices = [at for at, _ in group]
        if len(indices) > 1 and any(not of_other_things(_lines(recording, file)[at]) for at in indices):
            yield indices[0]


def damaged(damage: Damage, offset_s: float = 0) -> dict[str, bytes]:
    """The files of a recording after the accident; ``offset_s`` is by how much the destination's clock is ahead."""
    recording, file = damage.recording, damage.file
    files = dict(files_of(recording)) if damage.mode.startswith("events") else logs_of(recording)
    chance = random.Random(f"{damage}")
    match damage.mode:
        case "loss":
            kept = {
                name: [line for line in _lines(recording, name) if chance.random() >= damage.share] for name in files
            }
        case "each":
            kept = {name: _without(recording, name, [chance.choice(_places(recording, name))]) for name in files}
        case "cut-both" | "rotated-both":
            kept = _at_one_time(damage, offset_s)
        case _:
            kept = {file: _lines_after(damage, chance)}
    return files | {name: b"".join(lines) for name, lines in kept.items()}


def _without(recording: str, file: str, gone: Sequence[int]) -> list[bytes]:
    return [line for at, line in enumerate(_lines(recording, file)) if at not in gone]


def _at_one_time(damage: Damage, offset_s: float) -> dict[str, list[bytes]]:
    """Both logs up to one time, or from then on."""
    when = _seconds(damage.recording, damage.file)[damage.at]
    kept = {}
    for name in logs_of(damage.recording):
        time = when if role_of(name) == "source" else when + offset_s
        stamped = zip(_seconds(damage.recording, name), _lines(damage.recording, name), strict=True)
        kept[name] = [line for at, line in stamped if (at <= time) == (damage.mode == "cut-both")]
    return kept


def _lines_after(damage: Damage, chance: random.Random) -> list[bytes]:
    """The lines of one file after the accident."""
    by_chance = _BY_CHANCE_ALONE.get(damage.mode)
    if by_chance is not None:
        return by_chance(damage, chance)
    lines, at = _lines(damage.recording, damage.file), damage.at
    before, line, after = lines[:at], lines[at], lines[at + 1 :]
    kept = {
        "pair": after[1:],
        "swap": [*after[:1], line, *after[1:]],
        "half": [line[: len(line) // 2] + b"\r\n", *after],
        "dup": [line, line, *after],
        "blank": [line, b"\r\n", *after],
        "cut": [line],
    }
    return after if damage.mode == "rotated" else [*before, *kept.get(damage.mode, after)]


def _two(damage: Damage, chance: random.Random) -> list[bytes]:
    places = _places(damage.recording, damage.file)
    return _without(damage.recording, damage.file, chance.sample(places, 2))


def _move(damage: Damage, chance: random.Random) -> list[bytes]:
    lines, times = _lines(damage.recording, damage.file), _seconds(damage.recording, damage.file)
    near = [
        (each, to)
        for each in _places(damage.recording, damage.file)
        for to in range(each + 1, min(each + 1 + _LATE_BY, len(lines)))
        if times[to] - times[each] <= _LATE_S
    ]
    if not near:
        return lines
    place, to = chance.choice(near)
    return [*lines[:place], *lines[place + 1 : to + 1], lines[place], *lines[to + 1 :]]


def _shuffle(damage: Damage, chance: random.Random) -> list[bytes]:
    lines, times, at = _lines(damage.recording, damage.file), _seconds(damage.recording, damage.file), damage.at
    end = next((k for k in range(at, len(lines)) if int(times[k] * 1000) != int(times[at] * 1000)), len(lines))
    return [*lines[:at], *chance.sample(lines[at:end], end - at), *lines[end:]]


def _block(damage: Damage, chance: random.Random) -> list[bytes]:
    lines = _lines(damage.recording, damage.file)
    place = chance.choice(_places(damage.recording, damage.file))
    block = lines[place : place + chance.randint(*_BLOCK)]
    return [*lines[: place + len(block)], *block, *lines[place + len(block) :]]


def _stream_without_an_end(damage: Damage, chance: random.Random) -> list[bytes]:
    lines = _lines(damage.recording, damage.file)
    edge = chance.randrange(1, len(lines) - 1)
    rest = lines[edge:] if damage.mode == "events-late" else lines[: edge + 1]
    rest.pop(chance.randrange(len(rest)))
    return rest


_BY_CHANCE_ALONE: Final[Mapping[str, Callable[[Damage, random.Random], list[bytes]]]] = {
    "two": _two,
    "move": _move,
    "shuffle": _shuffle,
    "block": _block,
    "events-late": _stream_without_an_end,
    "events-cut": _stream_without_an_end,
}
