"""Logs that are cut, thinned, doubled or garbled: a valid forest, or nothing, and never an exception."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample import FULL
from trace_invariants import CORPUS, check_traces, inputs, traced

from otelmig.otlp.encoding.json_lines import json_line
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

_NAMES = (
    "v48.0-basic",
    "v51.1-local",
    "v52.0-paused",
    "v53.0-localseccomp",
    "v53.0-postcopy",
    "v53.0-retry",
    "head-conn4",
)


def _damaged(data: bytes, kind: str, numbers: list[int]) -> bytes:
    """``data`` after one kind of accident; ``numbers`` say where."""
    lines = data.split(b"\r\n")
    if kind == "end":
        return data[: numbers[0] % len(data)]
    if kind == "beginning":
        return data[numbers[0] % len(data) :]
    if kind == "lost":
        return b"\r\n".join(line for at, line in enumerate(lines) if all((at + n) % 13 for n in numbers))
    if kind == "doubled":
        return b"\r\n".join(line for at, each in enumerate(lines) for line in [each] * (1 + (at % 7 == numbers[0] % 7)))
    if kind == "swapped":
        for one, other in pairwise(numbers):
            i, j = one % len(lines), other % len(lines)
            lines[i], lines[j] = lines[j], lines[i]
        return b"\r\n".join(lines)
    flipped = bytearray(data)
    for number in numbers:
        flipped[number % len(data)] = number % 256
    return bytes(flipped)


_KINDS = ("whole", "end", "beginning", "lost", "doubled", "swapped", "flipped")


@settings(max_examples=500 if FULL else 75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(_NAMES),
    st.lists(st.sampled_from(_KINDS[1:]), min_size=4, max_size=4),
    st.lists(st.integers(0, 10**6), min_size=2, max_size=30),
)
def test_damage_gives_a_valid_forest(name: str, kinds: list[str], numbers: list[int]) -> None:
    """Whatever happened to the files, what can be told is told, in a form that every output takes."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for path, kind in zip(inputs(name), kinds, strict=False):
            target = Path(folder) / path.name
            target.write_bytes(_damaged(path.read_bytes(), kind, numbers))
            paths.append(target)
        traces = traced(paths)
        check_traces(traces)
        for trace in traces:
            json_line(trace)
            summary(trace)
            render_waterfall(trace, width=80, color=False)


@pytest.mark.parametrize("name", ["v52.0-basic", "v53.0-dirty"])
def test_cut_at_every_record(name: str, tmp_path: Path) -> None:
    """A source log that ends after any of its records: at most one attempt, and `unknown` until the end is there."""
    data = (CORPUS / name / "source.log").read_bytes()
    path = tmp_path / "source.log"
    at = data.index(b"VmSendMigration")
    results = []
    while (at := data.find(b"\r\n", at) + 2) > 1:
        path.write_bytes(data[:at])
        traces = traced([path])
        check_traces(traces)
        assert len(traces) <= 1
        results += [trace.root.attributes["vm.migration.result"] for trace in traces]
    completed = results.index("success")
    assert set(results[:completed]) == {"unknown"}
    assert set(results[completed:]) == {"success"}


def test_a_copy_is_no_second_migration(tmp_path: Path) -> None:
    """The same log under two names tells of one migration."""
    source = CORPUS / "v53.0-dirty" / "source.log"
    (tmp_path / "copy.log").write_bytes(source.read_bytes())
    assert len(traced([source, tmp_path / "copy.log"])) == 1
