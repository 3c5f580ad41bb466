"""Until v51 an empty dirty table ends the iterations: without its line nobody knows whether there was one more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS

from otelmig.pipeline import trace_migrations
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Trace

_ROUNDS = ["v48.0-basic", "v51.1-basicv", "v51.1-noisy"]
_EMPTY = "Dirty Memory Range Table is empty"


def _source(recording: str) -> list[str]:
    return (CORPUS / recording / "source.log").read_text().splitlines()


def _trace(lines: Iterable[str], folder: Path) -> Trace:
    log = folder / "source.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    (trace,) = trace_migrations(log)
    return trace


def _count(trace: Trace) -> object:
    return trace.root.attributes.get(names.VM_MIGRATION_MEMORY_ITERATION_COUNT)


def _drawn(trace: Trace) -> int:
    return sum(span.name == SpanName.MEMORY_ITERATION for span in trace.spans)


def _ended_early(recording: str) -> list[str]:
    """The log as it is where the guest wrote nothing after the third round: two iterations less are sent."""
    lines, kept, skips = _source(recording), [], False
    for line in lines:
        if "Dirty memory migration 3 of 5" in line:
            skips = True
        elif skips and ("ausing" in line or "migration 5" in line):
            skips = False
        if not skips:
            kept.append(line)
    third = next(index for index, line in enumerate(kept) if "Dirty memory migration 2 of 5" in line)
    table = next(index for index in range(third + 1, len(kept)) if "Dirty Memory Range Table:" in kept[index])
    end = next(index for index in range(table + 1, len(kept)) if "GPA:" not in kept[index])
    return [*kept[:table], kept[table].replace("Dirty Memory Range Table:", _EMPTY), *kept[end:]]


@pytest.mark.parametrize("recording", _ROUNDS)
def test_an_empty_table_that_is_lost_makes_no_iteration(recording: str, tmp_path: Path) -> None:
    """There is no number then, and no span of an iteration that may not have been."""
    lines = _ended_early(recording)
    whole = _trace(lines, tmp_path)
    assert _count(whole) == _drawn(whole) == 3
    less = _trace((line for line in lines if _EMPTY not in line), tmp_path)
    assert (_count(less), _drawn(less)) == (None, 3)


@pytest.mark.parametrize("recording", _ROUNDS)
def test_the_tables_of_the_last_round_tell_that_something_was_sent(recording: str, tmp_path: Path) -> None:
    """Any other line about dirty memory may be lost, and the number stays, or is not told."""
    lines = _source(recording)
    count = _count(_trace(lines, tmp_path))
    for index, line in enumerate(lines):
        if "Dirty Memory Range" in line or "GPA:" in line:
            assert _count(_trace(lines[:index] + lines[index + 1 :], tmp_path)) in (count, None)
