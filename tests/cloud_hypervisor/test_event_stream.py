"""Event streams that come in line by line: the same events as of the whole text, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_invariants import CORPUS

from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import EventParser, MonitorEvent, monitor_events
from otelmig.inputs import InputLog, open_input
from otelmig.inputs.line import Line, Where

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TEXT: Final = (CORPUS / "v53.0-basicv" / "source.events.json").read_text()
_DAMAGE: Final = st.tuples(
    st.integers(0, len(_TEXT)),
    st.integers(0, 40),
    st.sampled_from(["", "{", "}", "\n{", '"', "\n}\n", "\\", "[[", "\r\n"]),
)


def _told(items: Iterable[MonitorEvent | Where]) -> list[tuple[str, str, str] | None]:
    return [(item.name, item.stamp.text, item.text) if isinstance(item, MonitorEvent) else None for item in items]


@settings(max_examples=300, deadline=None)
@given(damage=st.lists(_DAMAGE, max_size=8))
def test_lines_give_what_the_whole_text_gives(damage: list[tuple[int, int, str]]) -> None:
    """However a stream is damaged, its lines one by one tell of the same events, and of as many that are none."""
    text = _TEXT
    for at, cut, more in damage:
        text = text[:at] + more + text[at + cut :]
    lines = [Line(line, Where("events.json", number)) for number, line in enumerate(text.split("\n"), start=1)]
    assert _told(monitor_events(lines)) == _told(monitor_events([Line(text, Where("events.json", 1))]))


def test_an_object_that_never_ends_is_counted_and_skipped() -> None:
    """What grows beyond any event is one damaged object; the parser keeps none of it and goes on at the next."""
    parser = EventParser()
    begin = parser.take(Line('{ "timestamp": {', Where("events.json", 1)))
    rest = [item for number in range(2, 20_000) for item in parser.take(Line('"a": [0,', Where("events.json", number)))]
    assert not begin
    assert rest == [Where("events.json", 1)]
    event = '{"timestamp": {"secs": 1, "nanos": 2}, "source": "vm", "event": "paused", "properties": null}'
    (paused,) = parser.take(Line(event, Where("events.json", 20_000)))
    assert isinstance(paused, MonitorEvent)
    assert (paused.name, paused.where.line) == ("paused", 20_000)


@pytest.mark.parametrize("damage", ["whole", "without a line", "a line cut", "the end cut", "more before a line"])
def test_objects_at_once_give_what_their_lines_give(damage: str, tmp_path: Path) -> None:
    """A stream whose objects are read at once tells of the same events at the same places, however it is damaged."""
    lines = _TEXT.encode().split(b"\n")
    for at in range(0, len(lines), 5):
        damaged = {
            "whole": lines,
            "without a line": [*lines[:at], *lines[at + 1 :]],
            "a line cut": [*lines[:at], lines[at][: len(lines[at]) // 2], *lines[at + 1 :]],
            "the end cut": lines[: at + 1],
            "more before a line": [*lines[:at], b"x{" + lines[at], *lines[at + 1 :]],
        }[damage]
        path = tmp_path / "events.json"
        path.write_bytes(b"\n".join(damaged))
        log = InputLog(name=path.name, parts=(open_input(path),))
        assert list(monitor_events(log.objects())) == list(monitor_events(log.whole_lines()))
