"""One stamp of a recording is wrong: contradicted, doubted, or harmless; the truth is never quietly excluded."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest
from clock_states import moved_from
from sample import FULL, dealt
from trace_invariants import CORPUS, check_traces

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otelmig.pipeline import Findings
    from otelmig.trace.span import Span, Trace

_NAMES: Final = ("source.log", "destination.log")
_RECORDINGS: Final = (
    "v48.0-basic",
    "v51.1-basicv",
    "v52.0-twohosts-connections",
    "v52.0-twohosts-drift",
    "v53.0-basicv",
    "v53.0-twohosts",
    "v53.0-wallclock",
)
_BOOT: Final = re.compile(rb"\Acloud-hypervisor: +(\d+)\.(\d{6})s: ")


def _moved(log: bytes, number: int, milliseconds: int) -> bytes | None:
    """``log`` with the time of one line moved, in either form of stamps; None if it has none, or would have none."""
    lines = log.splitlines(keepends=True)
    found = _BOOT.match(lines[number - 1])
    if found is None:
        moved = moved_from(log, number, milliseconds, number)
        return None if moved == log else moved
    total = int(found[1]) * 10**6 + int(found[2]) + milliseconds * 1_000
    if total < 0:
        return None
    head = f"cloud-hypervisor: {total // 10**6}.{total % 10**6:06d}s: ".encode()
    if int(found[1]) < 1000 and len(found[0]) > len(head):
        head = head.replace(b": ", b": ".ljust(2 + len(found[0]) - len(head)), 1)
    lines[number - 1] = head + lines[number - 1][found.end() :]
    return b"".join(lines)


def _read(logs: Mapping[str, bytes], folder: Path) -> Findings:
    for name, content in logs.items():
        (folder / name).write_bytes(content)
    return read_findings([folder / name for name in logs])


def _interval(span: Span) -> tuple[float, float]:
    lo, hi = (float(str(span.attributes[f"otelmig.clock.offset.{end}"])) for end in ("min", "max"))
    return lo, hi


def _receive(trace: Trace) -> Span:
    span = trace.first("receive")
    assert span is not None
    return span


def _outcome(findings: Findings, true: tuple[float, float], where: str) -> str:
    """What became of the damaged line at ``where``."""
    if len(findings.migrations) > 1:
        assert any("no clock offset fits" in note for note in findings.notes)
        return "not paired"
    (trace,) = findings.traces(TraceOptions())
    check_traces([trace])
    root, received = trace.root.attributes, _receive(trace)
    if root["otelmig.clock.status"] == "conflict" and "otelmig.clock.evidence.conflicts" not in received.attributes:
        assert "otelmig.evidence.doubts" in root
        assert not {key for key in received.attributes if key.startswith("otelmig.clock.offset.")}
        return "doubted"
    if root["otelmig.clock.status"] == "conflict":
        named = str(received.attributes["otelmig.clock.evidence.conflicts"])
        assert re.search(rf"\b{re.escape(where)}\b", named), named
        return "conflict"
    lo, hi = _interval(received)
    if lo <= true[1] and true[0] <= hi:
        return "harmless"
    said = "otelmig.evidence.doubts" in root or "otelmig.clock.drift.required" in received.attributes
    assert said, f"{where}: quietly {lo} .. {hi}, but it was {true}"
    return "doubted"


@pytest.mark.parametrize(
    ("name", "by_ms"),
    [(name, by_ms) for name, both in dealt(_RECORDINGS, [(1_000, -50), (-1_000, 50)]) for by_ms in both],
)
def test_a_wrong_stamp_does_not_mislead(name: str, by_ms: int, tmp_path: Path) -> None:
    """Each line in turn: a conflict names it, the logs are not paired, or what is claimed is still possible.

    A sample: the lines that bound the offset, each recording's by two of the four; `make fuzz` moves every line by all.
    """
    logs = {file: (CORPUS / name / file).read_bytes() for file in _NAMES}
    plain = _read(logs, tmp_path)
    (migration,), (trace,) = plain.migrations, plain.traces(TraceOptions())
    assert migration.proof is not None
    used = {str(end.where) for each in migration.proof.constraints for end in (each.first, each.second)}
    outcomes: Counter[str] = Counter()
    for file, log in logs.items():
        for number in range(1, log.count(b"\n") + 1):
            where = f"{file}:{number}"
            moved = _moved(log, number, by_ms) if FULL or where in used else None
            if moved is not None:
                outcomes[_outcome(_read({**logs, file: moved}, tmp_path), _interval(_receive(trace)), where)] += 1
    assert outcomes.total() > 10
    lo, hi = _interval(_receive(trace))
    assert outcomes["conflict"] + outcomes["not paired"] + outcomes["doubted"] > 0 or (hi - lo) * 1_000 > abs(by_ms), (
        outcomes
    )
