"""Which log an event stream belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pair_names import pair_names
from restamp import shifted
from trace_invariants import CORPUS, inputs

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otelmig.migration.side import Side


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
    assert set(pair_names(findings)) == {("one.log", None), ("other.log", None), ("events.json", None)}


def _copied(recording: str, folder: Path) -> None:
    for path in inputs(recording):
        (folder / path.name).write_bytes(path.read_bytes())


def _events(path: Path) -> list[bytes]:
    return [event for event in path.read_bytes().split(b"\n\n") if event.strip()]


def _write_events(path: Path, events: Sequence[bytes]) -> None:
    path.write_bytes(b"".join(event + b"\n\n" for event in events))


def _joined(folder: Path) -> Side:
    """Return the source of the only migration, whose log and stream are one process."""
    (migration,) = read_findings(sorted(folder.iterdir())).migrations
    assert migration.source is not None
    assert migration.destination is not None
    assert len(migration.source.vmm.inputs) == 2
    return migration.source


@pytest.mark.parametrize("recording", ["v53.0-basicv", "v52.0-noisy", "v53.0-dirty"])
def test_an_event_that_is_missing(recording: str, tmp_path: Path) -> None:
    """Whichever event a stream lacks, it is its log's, at the same offset; where it matters the lack is said."""
    _copied(recording, tmp_path)
    path = tmp_path / "source.events.json"
    events = _events(path)
    whole = _joined(tmp_path)
    doubted = 0
    for number in range(len(events)):
        _write_events(path, events[:number] + events[number + 1 :])
        side = _joined(tmp_path)
        assert [seen.stamp for seen in side.observations] == [seen.stamp for seen in whole.observations]
        doubted += side.vmm.doubts == (
            "source.events.json lacks 1 events that source.log tells of: events are missing",
        )
    assert doubted


@pytest.mark.parametrize("kept", [slice(6, None), slice(None, 8), slice(5, 9), slice(8, 9)])
def test_a_stream_that_began_late_or_was_cut(kept: slice, tmp_path: Path) -> None:
    """What is there of a stream fits its log; what was written before it began, or after its end, is not missing."""
    _copied("v53.0-dirty", tmp_path)
    path = tmp_path / "source.events.json"
    whole = _joined(tmp_path)
    _write_events(path, _events(path)[kept])
    side = _joined(tmp_path)
    assert [seen.stamp for seen in side.observations] == [seen.stamp for seen in whole.observations]
    assert side.vmm.doubts == ()


def test_a_line_that_is_missing(tmp_path: Path) -> None:
    """Whichever line of an event a log lacks: its stream is its own, and gives what the line would have told."""
    _copied("v53.0-dirty", tmp_path)
    path = tmp_path / "source.log"
    lines = path.read_bytes().splitlines(keepends=True)
    whole = _joined(tmp_path)
    kinds = [seen.kind for seen in whole.observations]
    of_events = [number for number, line in enumerate(lines) if b"Event: source = vm event = " in line]
    doubted = 0
    for number in of_events:
        path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
        side = _joined(tmp_path)
        assert sorted(seen.kind for seen in side.observations) == sorted(kinds)
        doubted += any("source.log has no lines of 1 events" in doubt for doubt in side.vmm.doubts)
    assert doubted > len(of_events) // 2


def test_a_log_whose_first_lines_are_gone(tmp_path: Path) -> None:
    """A rotated log begins in the middle of what its stream tells."""
    _copied("v53.0-dirty", tmp_path)
    path = tmp_path / "source.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[len(lines) // 2 :]))
    side = _joined(tmp_path)
    assert side.vmm.doubts == ()
    assert "send_announced" in {str(seen.kind) for seen in side.observations}


@pytest.mark.parametrize("stranger", ["v53.0-basicv", "v53.0-paused", "v52.0-basic", "v53.0-unixcopy"])
def test_a_stranger_of_the_same_name(stranger: str, tmp_path: Path) -> None:
    """A name alone joins nothing: a stream of another run under this log's name is read by itself."""
    _copied("v53.0-dirty", tmp_path)
    path = tmp_path / "source.events.json"
    path.write_bytes((CORPUS / stranger / "source.events.json").read_bytes())
    findings = read_findings(sorted(tmp_path.iterdir()))
    assert ("source.log", "destination.log") in set(pair_names(findings))
    assert "source.events.json: fits no log, so it is read by itself" in findings.notes


def test_a_name_decides_between_two_that_fit(tmp_path: Path) -> None:
    """The very stream of two logs of one content belongs to the one that is named alike."""
    recording = CORPUS / "v53.0-dirty"
    log = (recording / "source.log").read_bytes()
    (tmp_path / "one.log").write_bytes(log)
    (tmp_path / "other.log").write_bytes(shifted(log, 123_457))
    (tmp_path / "other.events.json").write_bytes((recording / "source.events.json").read_bytes())
    sides = {
        side.vmm.name: side
        for each in read_findings(sorted(tmp_path.iterdir())).migrations
        for side in [each.reference]
    }
    assert set(sides) == {"one.log", "other.log"}
    assert len(sides["other.log"].vmm.inputs) == 2
    assert len(sides["one.log"].vmm.inputs) == 1
