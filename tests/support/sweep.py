"""The sweep: recordings that lost or damaged something, held against the whole of them.

What is proved of a migration must stay true when a line is lost, and what is said may become less, but not other:
``python tests/support/sweep.py [--modes drop,swap] [--jobs N] [RECORDING ...]`` tries every accident that befalls
every recording and scenario (see ``accidents``) whose whole logs give one trace, prints what came out false, and exits
with 1 if anything did.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from accidents import CORPUS, ENDING, MODES, Damage, damaged, damages, files_of, logs_of, made_up, role_of

import otelmig
from otelmig.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Outcome", "Story", "faults", "recordings", "sample", "tried"]

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where it is, files cost nothing; names below it are made up anew
_TIGHTER_S: Final = 1e-6
"""By so much a bound may differ by rounding."""
_NAMES_A_LOST_LINE: Final = ("missing", "lost line", "out of order")
_EXCHANGE: Final = {
    "source": (b"Generating guest CPUID", b"Using migration protocol", b"Dirty memory migration", b"memory-iteration"),
    "destination": (b"Booting VM from config", b"event = restored"),
}
"""What shows, in the middle of a migration, that a log belongs to it; a destination is named by the state it read."""


@dataclass(frozen=True, slots=True)
class Story:
    """What one trace says, as far as it is compared."""

    root: dict[str, Any]
    receive: dict[str, Any]
    spans: tuple[tuple[str, int], ...]

    def interval(self, of: str) -> tuple[float, float] | None:
        """The bounds of the offset or of the blackout, in seconds."""
        attributes = self.receive if of == "otelmig.clock.offset" else self.root
        low, high = (attributes.get(f"{of}.{end}") for end in ("min", "max"))
        return None if low is None or high is None else (low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one accident."""

    damage: Damage
    faults: tuple[str, ...]
    growth: float | None
    """How much wider the offset's interval is than that of the whole recording; None without one of the two."""


def _read(files: Mapping[str, bytes], recording: str) -> list[Story] | str:
    """What the tool says of ``files``; the exception, if it says nothing."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        paths = []
        for name, data in files.items():
            path = Path(folder) / name
            path.write_bytes(data)
            if (original := CORPUS / recording / name).is_file():
                times = original.stat()
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            paths.append(path)
        try:
            return [_story(trace) for trace in otelmig.trace_migrations(paths)]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault to report
            return f"{type(error).__name__}: {str(error)[:80]}"


def _story(trace: otelmig.Trace) -> Story:
    spans = list(trace.spans)
    receive = next((span for span in spans if span.name == "receive"), None)
    return Story(
        dict(next(span for span in spans if not span.parent_id).attributes),
        {} if receive is None else dict(receive.attributes),
        tuple((span.name, span.duration_ns) for span in spans),
    )


@cache
def _whole(recording: str, *, events: bool) -> Story | None:
    """The one trace of the whole recording; None if there is another number of them."""
    stories = _read(files_of(recording) if events else logs_of(recording), recording)
    return stories[0] if len(stories) == 1 and not isinstance(stories, str) else None


def recordings() -> list[str]:
    """The recordings whose whole logs give one trace."""
    folders = sorted(folder.name for folder in CORPUS.iterdir() if (folder / "source.log").is_file())
    return [name for name in [*folders, *made_up()] if _whole(name, events=False) is not None]


def tried(damage: Damage) -> Outcome:
    """Try one accident."""
    whole = _whole(damage.recording, events=damage.mode.startswith("events"))
    if whole is None:
        raise ValueError(f"{damage.recording} is not one migration")
    offset = whole.interval("otelmig.clock.offset")
    files = damaged(damage, 0 if offset is None else sum(offset) / 2)
    stories = _read(files, damage.recording)
    if isinstance(stories, str) and damage.mode in ENDING and stories.startswith(InputError.__name__):
        return Outcome(damage=damage, faults=(), growth=None)  # too little is left to be a log
    if isinstance(stories, str):
        return Outcome(damage=damage, faults=(f"exception {stories}",), growth=None)
    if len(stories) != 1:
        rest = damaged(replace(damage, mode="drop"), 0) if damage.mode == "half" else files
        nothing = not stories and b"igrat" not in b"".join(rest.values())
        split = (f"{len(stories)} traces",) if _is_named(damage, files) and not nothing else ()
        return Outcome(damage=damage, faults=split, growth=None)
    return Outcome(
        damage=damage,
        faults=tuple(faults(stories[0], whole, damage.mode)),
        growth=_growth(stories[0].interval("otelmig.clock.offset"), offset),
    )


def _is_named(damage: Damage, files: Mapping[str, bytes]) -> bool:
    """Whether what is left of both logs says that they belong together: a log without all of that fits anybody."""
    if damage.mode not in ENDING:
        return True
    return all(any(word in _of_migration(data) for word in _EXCHANGE[role_of(name)]) for name, data in files.items())


def _of_migration(data: bytes) -> bytes:
    """What was written since a source was asked to send; before that it may have booted the VM."""
    return data[max(data.find(b"VmSendMigration"), 0) :]


def faults(got: Story, whole: Story, mode: str) -> Iterator[str]:
    """What is false in a trace, held against that of the whole recording."""
    one, other = got.interval("otelmig.clock.offset"), whole.interval("otelmig.clock.offset")
    if one is not None and other is not None and (one[0] > other[1] or one[1] < other[0]):
        yield "offset disjoint"
    words = " ".join(map(str, chain(got.root.values(), got.receive.values()))).lower()
    conflict = [story.receive.get("otelmig.clock.status") == "conflict" for story in (got, whole)]
    if conflict == [True, False] and not any(word in words for word in _NAMES_A_LOST_LINE):
        yield "false conflict"
    one, other = (story.interval("vm.migration.blackout") for story in (got, whole))
    if one is not None and other is not None and (one[0] > other[0] + _TIGHTER_S or one[1] < other[1] - _TIGHTER_S):
        yield "blackout tighter"
    later = mode in ENDING and "vm.migration.guest.fate" in whole.root and "vm.migration.guest.fate" not in got.root
    for name in ("result", "guest.location"):
        now, was = (story.root.get(f"vm.migration.{name}") for story in (got, whole))
        less = now in ("unknown", None) or (was, now) == ("timeout", "failure")
        alone = was == "unknown" and mode in ENDING  # the other side's word is left
        half = was == "both" and mode in ENDING  # one of the logs does not come to where it says so
        ended = was == "none" and mode in ("cut", "cut-both")  # what became of the guest was said later
        excused = less or alone or half or ended or (later and name == "guest.location")
        if now != was and not excused:
            yield f"{name} {was} -> {now}"
    for name in ("guest.running", "vm_was_paused", "guest.undisturbed"):
        now, was = (story.root.get(f"vm.migration.{name}") for story in (got, whole))
        of_cut = name == "guest.running" and (later or mode in ("cut", "cut-both"))
        unsaid = was is None and name != "guest.undisturbed"
        if now is not None and not unsaid and now != was and not of_cut:
            yield f"{name} {was} -> {now}"
    if mode in ("dup", "blank") and got.spans != whole.spans:
        yield "other spans"


def _growth(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float | None:
    if one is None or other is None or other[1] <= other[0]:
        return None
    return (one[1] - one[0]) / (other[1] - other[0]) - 1


def sample(recording: str, mode: str, count: int) -> list[Damage]:
    """Some of the accidents of one mode, the same ones every time."""
    possible = list(damages(recording, mode))
    chance = random.Random(f"{recording} {mode}")
    return chance.sample(possible, min(count, len(possible)))


@dataclass(slots=True)
class _Report:
    """What a sweep found."""

    tried: Counter[str] = field(default_factory=Counter)
    faults: defaultdict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    growths: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, outcome: Outcome) -> None:
        mode = outcome.damage.mode
        self.tried[mode] += 1
        for fault in outcome.faults:
            self.faults[mode, fault].append(str(outcome.damage))
        if outcome.growth is not None:
            self.growths[mode].append(outcome.growth)

    def lines(self, *, places: int) -> Iterator[str]:
        for (mode, fault), where in sorted(self.faults.items()):
            yield f"  {mode}: {fault}: {len(where)}"
            yield from (f"    {each}" for each in where[:places])
        for mode, count in self.tried.items():
            false = sum(len(where) for (each, _), where in self.faults.items() if each == mode)
            growths = self.growths[mode]
            grown = [growth for growth in growths if growth > 0]
            wider = f"; offset wider by {statistics.median(growths):.1%} in the median" if growths else ""
            if grown:
                wider += f", at all in {len(grown)} of {len(growths)}: there by {statistics.median(grown):.0%}"
            yield f"{mode}: {false} of {count} false{wider}"


def _main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(description="damage recordings in one place at a time; say what came out false")
    parser.add_argument("--modes", default=",".join(MODES), help="which accidents, comma-separated")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--places", type=int, default=10, help="at most so many places are named for each fault")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth place")
    parser.add_argument("names", nargs="*", help="recordings (default: all)")
    options = parser.parse_args(list(arguments))
    names = [name for name in options.names or recordings() if _whole(name, events=False) is not None]
    accidents = [each for mode in options.modes.split(",") for name in names for each in damages(name, mode)]
    report = _Report()
    with multiprocessing.Pool(options.jobs) as pool:
        for outcome in pool.imap(tried, accidents[:: options.every], chunksize=16):
            report.add(outcome)
    for line in report.lines(places=options.places):
        print(line)  # noqa: T201 - a report for whoever runs this
    return bool(report.faults)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
