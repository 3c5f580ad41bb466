"""The table of events says what is emitted: on which spans, with which attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS
from trace_invariants import RECORDINGS, recorded, traced

from otelmig.trace.spans import EVENTS, EventName

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Trace

_BY_NAME = {row.name: row for row in EVENTS}


def test_the_table_is_complete() -> None:
    """Each name has one row."""
    assert sorted(_BY_NAME) == sorted(EventName)
    assert len(EVENTS) == len(_BY_NAME)


def _check(traces: Iterable[Trace]) -> None:
    for trace in traces:
        for span in trace.spans:
            for event in span.events:
                row = _BY_NAME[EventName(event.name)]
                assert not row.on or span.name in row.on, f"{event.name} on {span.name}"
                assert set(event.attributes) <= set(row.attributes)


@pytest.mark.parametrize("name", RECORDINGS)
def test_events_of_recordings(name: str) -> None:
    """Nothing stands where the table does not have it."""
    _check(recorded(name))


@pytest.mark.parametrize("name", SCENARIOS)
def test_events_of_scenarios(name: str, tmp_path: Path) -> None:
    """The same in every wording of every release."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    _check(traced(sorted(tmp_path.iterdir())))
