"""Which log an event stream belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from restamp import shifted
from trace_invariants import CORPUS, inputs

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.pipeline import Findings


def _pairs(findings: Findings) -> set[tuple[str | None, str | None]]:
    return set(_names(findings))


def _names(findings: Findings) -> list[tuple[str | None, str | None]]:
    return [
        (found.source.name if found.source else None, found.destination.name if found.destination else None)
        for found in findings.migrations
    ]


def test_event_stream_joins_its_own_log(tmp_path: Path) -> None:
    """Streams are told by content: events of v48 place phases that its log does not print; strangers stay out."""
    recording = CORPUS / "v48.0-basic"
    for number, path in enumerate(inputs("v48.0-basic")):
        (tmp_path / f"file{number}").write_bytes(path.read_bytes())
    (with_events,) = read_findings(sorted(tmp_path.iterdir())).migrations
    (logs_only,) = read_findings([recording / "source.log", recording / "destination.log"]).migrations
    (stranger,) = read_findings(
        [recording / "source.log", recording / "destination.log", CORPUS / "v48.0-local" / "source.events.json"]
    ).migrations
    assert with_events.source is not None
    assert logs_only.source is not None
    assert stranger.source is not None
    assert "vm_paused" in {str(seen.kind) for seen in with_events.source.observations}
    assert stranger.source.observations == logs_only.source.observations


def test_a_stream_that_fits_two_logs_is_neither_s(tmp_path: Path) -> None:
    """One log is not taken for the stream's only because it leaves the shift a little less room than the other."""
    recording = CORPUS / "v53.0-dirty"
    log = (recording / "source.log").read_bytes()
    looser = b"".join(line for line in log.splitlines(keepends=True) if b"Generating guest CPUID" not in line)
    (tmp_path / "one.log").write_bytes(log)
    (tmp_path / "other.log").write_bytes(shifted(looser, 123_457))
    (tmp_path / "events.json").write_bytes((recording / "source.events.json").read_bytes())
    findings = read_findings(sorted(tmp_path.iterdir()))
    notes = {note for trace in findings.traces(TraceOptions()) for note in trace.notes}
    assert "events.json: fits several logs, so it is read by itself" in notes
    assert _pairs(findings) == {("one.log", None), ("other.log", None), ("events.json", None)}
