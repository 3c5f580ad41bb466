"""Logs that end anywhere: after each record, and at any byte (every boundary with OTELMIG_FULL=1)."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING

import pytest
from sample import FULL
from trace_invariants import CORPUS, RECORDINGS, check_traces, traced

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings, trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace

_STRIDE = 1 if FULL else 20
"""Every so manieth boundary is tried; which ones differs from recording to recording."""


@cache
def _logs(name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*.log"))}


@cache
def _sides(name: str) -> int:
    """How many attempts its logs tell of, each log alone."""
    return sum(len(read_findings([CORPUS / name / file]).migrations) for file in _logs(name))


def _boundaries(data: bytes) -> list[int]:
    """The ends of all lines that say something; a cut after another line tells the same story as the one before."""
    literals = ("-- ",)
    ends, at = [], 0
    while (end := data.find(b"\n", at)) >= 0:
        if wanted(literals).matches(data[at:end]):
            ends.append(end + 1)
        at = end + 1
    return ends


def _traced(folder: Path, logs: dict[str, bytes]) -> list[Trace]:
    for name, data in logs.items():
        (folder / name).write_bytes(data)
    return traced([folder / name for name in logs])


def _results(folder: Path, source_log: bytes) -> list[object]:
    (folder / "source.log").write_bytes(source_log)
    return [trace.root.attributes["vm.migration.result"] for trace in trace_migrations([folder / "source.log"])]


def _check_cut(folder: Path, logs: dict[str, bytes], whole: int, *, is_traced_again: bool = True) -> None:
    traces = _traced(folder, logs)
    check_traces(traces)
    assert len(traces) <= whole, "no attempt is made up"
    if is_traced_again:
        assert b"".join(map(json_line, traces)) == b"".join(map(json_line, _traced(folder, logs)))


@pytest.mark.parametrize("name", RECORDINGS)
def test_cut_after_any_record(name: str, tmp_path: Path) -> None:
    """One log cut, the others whole: no more attempts than there are sides, a valid forest, the same every time.

    Of a sample of cuts, the first of each log is traced twice; `make fuzz` does so with all.
    """
    logs = _logs(name)
    sides = _sides(name)
    for file, data in logs.items():
        for number, end in enumerate(_boundaries(data)[RECORDINGS.index(name) % _STRIDE :: _STRIDE]):
            _check_cut(tmp_path, logs | {file: data[:end]}, sides, is_traced_again=FULL or number == 0)


@pytest.mark.parametrize("name", RECORDINGS)
def test_cut_at_any_byte(name: str, tmp_path: Path) -> None:
    """Also in the middle of a record, of both logs at once."""
    logs = _logs(name)
    sides = _sides(name)
    chance = random.Random(name)
    for _ in range(max(50 // _STRIDE, 3)):
        cut = {file: data[: chance.randrange(1, len(data))] for file, data in logs.items()}
        _check_cut(tmp_path, cut, sides)


@pytest.mark.parametrize("name", [name for name in RECORDINGS if "killsrc" not in name])
def test_a_cut_source_never_claims_more(name: str, tmp_path: Path) -> None:
    """A source log that ends earlier has the same results as the whole one, or `unknown` where the end is missing."""
    data = _logs(name)["source.log"]
    whole = _results(tmp_path, data)
    for end in _boundaries(data)[:: 2 * _STRIDE]:
        results = _results(tmp_path, data[:end])
        assert len(results) <= len(whole)
        for result, final in zip(results, whole, strict=False):
            assert result in (final, "unknown", "failure"), "a failure may turn out to be a timeout"
            assert result != "failure" or final != "success"
