"""Where absolute time comes from, where no line prints it, and how well it is known then."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, check_traces

from otelmig.clock.epoch import Anchor
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace

_S = 10**9
_LOGS = [CORPUS / "v53.0-twohosts-boottime" / name for name in ("source.log", "destination.log")]
_BEGAN_NS = 1_795_000_000 * _S


def _trace(paths: list[Path], **anchors: Anchor) -> Trace:
    (trace,) = read_findings(paths, anchors=anchors).traces(TraceOptions())
    check_traces([trace])
    return trace


def _received(trace: Trace, name: str) -> float:
    receive = trace.first("receive")
    assert receive is not None
    return float(str(receive.attributes[name]))


def test_an_anchor_is_as_good_as_its_digits() -> None:
    """What is known of the side that has it is known to its last digit."""
    trace = _trace(_LOGS, source=Anchor(ns=_BEGAN_NS, error_ns=1_000_000))
    assert trace.root.attributes["otelmig.clock.epoch.uncertainty"] == 0.001


def test_an_anchor_of_the_other_side_is_as_good_as_the_offset() -> None:
    """The source's time follows from the destination's by an offset that is itself only known to lie in an interval."""
    trace = _trace(_LOGS, destination=Anchor(ns=_BEGAN_NS, error_ns=1_000_000))
    lo, middle, hi = (_received(trace, f"otelmig.clock.offset.{name}") for name in ("min", "estimate", "max"))
    offset_error = max(hi - middle, middle - lo)
    assert offset_error > 10e-6
    found = trace.root.attributes["otelmig.clock.epoch.uncertainty"]
    assert found == pytest.approx(0.001 + offset_error, rel=0.002)
    assert isinstance(found, float)
    assert found >= 0.001 + offset_error


def _last_ns(log: bytes) -> int:
    """The latest time since start that a line prints."""
    return max(int(one + two) * 1_000 for one, two in re.findall(rb"(?m)^cloud-hypervisor: +(\d+)\.(\d{6})s: ", log))


@pytest.mark.parametrize("earlier", ["source", "destination"])
def test_no_line_is_younger_than_its_file(earlier: str, tmp_path: Path) -> None:
    """One of the files was copied an hour later: the other one says when it was."""
    paths, written_ns = [], {}
    for path in _LOGS:
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        written_ns[path.stem] = _BEGAN_NS + (0 if path.stem == earlier else 3_600 * _S)
        os.utime(copy, ns=(written_ns[path.stem],) * 2)
        paths.append(copy)
    trace = _trace(paths)
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "file_time"
    receive = trace.first("receive")
    assert receive is not None
    shifts = {
        "source": int(str(trace.root.attributes["otelmig.clock.epoch.shift"])),
        "destination": int(str(receive.attributes["otelmig.clock.shift"])),
    }
    left = {path.stem: written_ns[path.stem] - shifts[path.stem] - _last_ns(path.read_bytes()) for path in paths}
    assert min(left.values()) >= 0
    assert left[earlier] <= 2_000
