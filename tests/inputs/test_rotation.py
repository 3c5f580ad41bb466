"""The rotations of a log are one log."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from carried_logs import logs_of, plain, shape_of
from trace_invariants import traced

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path


def test_rotations_in_any_order(tmp_path: Path) -> None:
    """The rotations of one log are one log, in the order in which they were written, compressed or not."""
    log = logs_of("v53.0-basicv")["source"]
    cuts = [log.index(b"migration-memory-iteration"), log.index(b"snapshotting")]
    first, second = (log.rindex(b"\n", 0, cut) + 1 for cut in cuts)
    (tmp_path / "vm.log.2.gz").write_bytes(gzip.compress(log[:first]))
    (tmp_path / "vm.log.1").write_bytes(log[first:second])
    (tmp_path / "vm.log").write_bytes(log[second:])
    (tmp_path / "destination.log").write_bytes(logs_of("v53.0-basicv")["destination"])
    paths = sorted(tmp_path.iterdir())
    traces = traced(paths)
    assert shape_of(traces) == plain("v53.0-basicv")[0]
    assert shape_of(traced(paths[::-1])) == plain("v53.0-basicv")[0]
    assert traces[0].root.attributes["otelmig.evidence.start"].startswith("vm.log.2.gz:")  # type: ignore[union-attr] # a string


def test_a_line_that_a_rotation_cut(tmp_path: Path) -> None:
    """A record that was being written when the log was rotated is put together again."""
    log = logs_of("v53.0-basicv")["source"]
    cut = log.index(b"Migration completed after") + 12
    (tmp_path / "source.log.1").write_bytes(log[:cut])
    (tmp_path / "source.log").write_bytes(log[cut:])
    (trace,) = traced(sorted(tmp_path.iterdir()))
    assert trace.root.attributes["vm.migration.downtime.duration"] == 0.446
    assert not read_findings(sorted(tmp_path.iterdir())).not_understood
