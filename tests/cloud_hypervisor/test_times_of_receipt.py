"""When a clock can have read zero, by when lines were received: each attempt's own, so that it is final with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feeding import feed, growing, inputs_of, new_reader, unfiltered
from msgspec.structs import replace

from otelmig.inputs import Host
from otelmig.migration.side import Role

if TYPE_CHECKING:
    from otelmig.inputs import Line

_RECEIVED_NS = 1_780_000_000 * 10**9


def _received(recording: str, name: str, delays_ns: dict[int, int]) -> list[Line]:
    """The lines of a log, each received at its own time, but from some lines on so much earlier."""
    (log,) = [log for log in inputs_of(recording) if log.name == name]
    lines = unfiltered(log, replace(growing(log), mtime_ns=1))
    delay_ns = 0
    received = []
    for line in lines:
        delay_ns = delays_ns.get(line.where.line, delay_ns)
        received.append(replace(line, received_ns=_RECEIVED_NS + line.where.line * 10**9 - delay_ns))
    return received


def _zeros(lines: list[Line]) -> dict[int, int | None]:
    """When the clock can have read zero, at the latest, by each attempt of the source."""
    sides = feed(new_reader(), lines)
    return {number: side.vmm.latest_zero_ns for (_, role, number), side in sides.items() if role is Role.SOURCE}


def test_lines_after_the_last_word_have_no_say() -> None:
    """A line that came in faster than all before it moves its own attempt and the later ones, and no earlier one."""
    plain = _zeros(_received("v53.0-retry", "source.log", {}))
    assert set(plain) == {1, 2}
    in_second = _zeros(_received("v53.0-retry", "source.log", {100: 500 * 10**9}))
    assert in_second[1] == plain[1]
    assert in_second[2] is not None
    assert plain[2] is not None
    assert in_second[2] < plain[2] - 100 * 10**9
    in_first = _zeros(_received("v53.0-retry", "source.log", {94: 500 * 10**9}))
    assert in_first[1] == in_first[2]
    assert in_first[1] != plain[1]


def test_an_event_stream_alone_is_placed_by_its_receipts() -> None:
    """Where nothing but events came, their lines' receipts and host are all that is known of where and when."""
    host = Host(name="host-a")
    lines = [replace(line, host=host) for line in _received("v53.0-retry", "source.events.json", {})]
    sides = [side for side in feed(new_reader(), lines).values() if side.role is Role.SOURCE]
    assert sides
    for side in sides:
        assert side.vmm.host == host
        last = side.observations[-1]
        assert side.vmm.latest_zero_ns is not None
        assert side.vmm.latest_zero_ns + last.stamp.ns <= _RECEIVED_NS + last.where.line * 10**9
