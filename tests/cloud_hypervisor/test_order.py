"""Lines that stand out of order: taken where their stamps place them, at once, and told from a clock that was set."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import pytest
from feeding import feed, finished_sides, inputs_of, new_reader, unfiltered
from msgspec.structs import replace
from trace_invariants import CORPUS

from otelmig.clock.clock_step import steps_seen_in
from otelmig.hypervisors.cloud_hypervisor.attempts import Attempts
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.line_order import Order
from otelmig.hypervisors.cloud_hypervisor.releases import ALL
from otelmig.inputs.line import Head, Line, Stream, Where
from otelmig.inputs.opening import open_inputs
from otelmig.migration.observation import Observation
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.trace.doubt import doubts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from feeding import Fed

    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord
    from otelmig.inputs import InputLog
    from otelmig.migration.side import Side

_RECORDINGS: Final = ("v48.0-basic", "v51.1-basicv", "v52.0-twohosts-connections", "v53.0-retry", "v53.0-wallclock")
_LATEST: Final = 12
"""Milliseconds by which lines were seen to stand too late."""


@cache
def _lines(recording: str, name: str) -> list[Line]:
    (log,) = (log for log in inputs_of(recording) if log.name == name)
    stream = replace(log.stream, head=replace(log.stream.head, search=None), mtime_ns=None)
    return [line for line in unfiltered(log, stream) if " -- " in line.text]


def _told(sides: Fed) -> list[object]:
    return [
        (side.role, side.attempt, side.result, [(seen.kind, seen.stamp) for seen in side.observations])
        for side in sides.values()
    ]


@pytest.mark.parametrize("name", ["source.log", "destination.log"])
@pytest.mark.parametrize("recording", _RECORDINGS)
def test_neighbours_that_changed_places(recording: str, name: str) -> None:
    """Whichever line stands after the next one: the same attempts with the same lines, and no other process."""
    lines = _lines(recording, name)
    whole = _told(feed(new_reader(), lines))
    swapped = 0
    for at in range(len(lines) - 1):
        one, other = (line.text.partition(" <")[0] for line in lines[at : at + 2])
        if one != other:  # what bears one stamp has no order
            changed = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
            assert _told(feed(new_reader(), changed)) == whole, lines[at].where
            swapped += 1
    assert swapped > len(lines) // 2


@pytest.mark.parametrize("recording", ["v51.1-basicv", "v53.0-basicv", "v53.0-wallclock"])
def test_a_line_after_the_last_word(recording: str) -> None:
    """The last word is emitted when it is read; the line that should stand before it makes its side anew, complete."""
    lines = _lines(recording, "source.log")
    (whole,) = feed(new_reader(), lines).values()
    last = next(at for at, line in enumerate(lines) if line.where == whole.observations[-1].where)
    before = next(at for at, line in enumerate(lines) if line.where == whole.observations[-2].where)
    reader = new_reader()
    for line in (*lines[:before], *lines[before + 1 : last]):
        reader.take(line)
    (early,) = reader.take(lines[last])
    assert [seen.where for seen in early.observations] == [
        seen.where for seen in whole.observations if seen is not whole.observations[-2]
    ]
    (complete,) = reader.take(lines[before])
    assert complete.observations == whole.observations


_HEAD: Final = "2026-11-23T15:{:02d}:{:09.6f}Z <{}> INFO:a.rs:1 -- {}"
_STEPS: Final = (
    "Sending migration: destination_url = tcp:192.0.2.2:4444, local = false",
    "Event: source = vm event = pausing",
    "Event: source = vm event = paused",
    "Event: source = vm event = snapshotting",
    "Event: source = vm event = snapshotted",
    "Event: source = vm event = migration-finished",
)


def _side(times: Sequence[float], order: Sequence[int] | None = None, threads: Sequence[str] = ("vmm",) * 6) -> Side:
    """Return the source that wrote the steps at these seconds, in this order."""
    texts = [_HEAD.format(int(at) // 60, at % 60, *rest) for at, *rest in zip(times, threads, _STEPS, strict=True)]
    head = Head(name="source.log", data="\n".join(texts).encode(), lines=tuple(texts))
    stream = Stream(key="source.log", name="source.log", stem="source", head=head, mtime_ns=None)
    lines = [
        Line(texts[at], Where("source.log", number), stream=stream)
        for number, at in enumerate(order or range(len(texts)), start=1)
    ]
    (side,) = feed(new_reader(), lines).values()
    return side


def _kinds(side: Side) -> list[str]:
    return [str(seen.kind) for seen in side.observations]


_IN_ORDER: Final = ["send_started", "vm_pausing", "vm_paused", "snapshotting", "snapshotted", "send_finished"]


def test_threads_that_race_for_the_log() -> None:
    """A line of another thread that waited for the lock is put in its place, and there is nothing to doubt."""
    side = _side((1.0, 2.0, 2.010, 2.011, 2.012, 2.030), (0, 2, 3, 4, 1, 5), ("vmm", "other", *("vmm",) * 4))
    assert _kinds(side) == _IN_ORDER
    assert list(doubts(side)) == []


def test_a_line_that_a_shipper_moved() -> None:
    """A thread writes in order, so a line behind a later one of its own thread is out of place: that is said."""
    side = _side((1.0, 2.0, 2.010, 2.011, 2.012, 2.030), (0, 2, 1, 3, 4, 5))
    assert _kinds(side) == _IN_ORDER
    assert steps_seen_in(side) == ()
    (doubt,) = doubts(side)
    assert "a line stands out of order, by 10.000 ms (source.log:3)" in doubt


@pytest.mark.parametrize("back", [0.008, 0.3])
def test_a_wall_clock_that_was_set(back: float) -> None:
    """What follows stays back: the clock was set, and the lines stay in the order in which they were written."""
    side = _side((1.0, 2.5, 2.5 - back + 0.001, 2.5 - back + 0.002, 2.5 - back + 0.003, 2.5 - back + 0.004))
    assert _kinds(side) == _IN_ORDER
    (step,) = steps_seen_in(side)
    assert (step.first.where.line, step.second.where.line) == (2, 3)


def test_lines_that_bear_one_stamp() -> None:
    """What ships a log may give out lines of one millisecond in any order."""
    side = _side((1.0, 2.0001, 2.0003, 2.0005, 2.0007, 2.0009), (0, 5, 4, 3, 2, 1))
    assert _kinds(side) == _IN_ORDER
    assert steps_seen_in(side) == ()


def test_a_line_that_is_far_too_late_and_alone() -> None:
    """A line too far from its place is left where it stands; alone it is no sign of a clock that was set."""
    times = (1.0, 2.0, 200.0, 200.2, 200.4, 200.6)
    side = _side(times, (0, 2, 3, 4, 1, 5))
    assert _kinds(side) == ["send_started", "vm_paused", "snapshotting", "snapshotted", "vm_pausing", "send_finished"]
    assert steps_seen_in(side) == ()
    (doubt,) = doubts(side)
    assert "times go back by 198399.998 ms at source.log:5: lines are damaged or mixed" in doubt


def _is_late(at_s: float, kind: Kind) -> bool:
    """Whether a line at ``at_s`` belongs to a process that was asked to receive at 1.0 s and spoke again at 200 s."""
    order = Order(observations=[], words=[], attempts=Attempts())
    stamps = [Stamp(ns=int(at * 1e9), error_ns=0, text="", domain=ClockDomain.BOOTTIME) for at in (1.0, 200.0, at_s)]
    for stamp, told in zip(stamps[:2], (Kind.RECEIVE_REQUESTED, Kind.RECEIVE_ABORTED), strict=True):
        seen = Observation(kind=told, stamp=stamp, where=Where("x.log", 1), thread="vmm", text="", values={})
        order.observations.append(seen)
    return order.is_late(stamps[2], kind)


def test_a_line_that_stands_behind_a_long_pause() -> None:
    """It goes on from the line before the pause, unless it begins what another process may have begun anew."""
    assert _is_late(1.008, Kind.CALL_TO_RECEIVE_FAILED)
    assert not _is_late(1.3, Kind.CALL_TO_RECEIVE_FAILED)
    assert not _is_late(1.008, Kind.RECEIVE_REQUESTED)


def test_reordering_costs_a_bounded_number_of_steps() -> None:
    """However many lines stand out of order: lines that are taken again are few for each line."""
    observations: list[Observation] = []
    words: list[LastWord | None] = []
    order = Order(observations, words, Attempts())
    for number in range(40_000):
        ns = (number + (0 if number % 2 else 2)) * 10**6
        stamp = Stamp(ns, 1, str(ns), ClockDomain.BOOTTIME)
        seen = Observation(Kind.DEVICE_PAUSING, stamp, Where("a", number), "vmm", "", {})
        order.insert(seen, None, ALL)
    assert order._repeated <= (1 << 16) + 4 * len(observations)  # noqa: SLF001 - what is counted is nobody's business
    assert len(observations) == 40_000


def test_events_out_of_order(tmp_path: Path) -> None:
    """Objects of an event stream that changed places: the same attempt, by the stream alone."""
    data = (CORPUS / "v53.0-basicv" / "source.events.json").read_bytes()
    events = [event for event in data.split(b"\n\n") if event.strip()]
    path = tmp_path / "source.events.json"
    path.write_bytes(data)
    whole = _told(finished_sides(_inputs(path)))
    for at in range(len(events) - 1):
        changed = [*events[:at], events[at + 1], events[at], *events[at + 2 :]]
        path.write_bytes(b"".join(event + b"\n\n" for event in changed))
        assert _told(finished_sides(_inputs(path))) == whole, at


def _inputs(path: Path) -> list[InputLog]:
    inputs, errors, _ = open_inputs([path])
    assert not errors
    return inputs
