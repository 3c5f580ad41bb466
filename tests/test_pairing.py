"""Which source belongs to which destination: proved, refused with the reason, or left to the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from forest import CORPUS, check_forest, inputs
from restamp import aged, aged_events, from_request, on_port, shifted, until_shutdown

from otelmig.errors import UsageError
from otelmig.pipeline import read_findings
from otelmig.trace.build import TraceOptions

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


def _two_equal_vms(folder: Path) -> list[Path]:
    """Two VMs of equal shape, migrated at the same time between the same hosts, by processes of other ages."""
    recording = CORPUS / "v53.0-dirty"
    paths = []
    for name, source_us, destination_us in (("a", 0, 0), ("b", 123_457, 4_020_011)):
        for role, by in (("source", source_us), ("destination", destination_us)):
            path = folder / f"{name}-{role}.log"
            path.write_bytes(shifted((recording / f"{role}.log").read_bytes(), by))
            paths.append(path)
    return paths


def test_equal_vms_are_not_guessed_at(tmp_path: Path) -> None:
    """Several partners are possible: nothing is paired, the candidates are named, and --pair decides."""
    paths = _two_equal_vms(tmp_path)
    findings = read_findings(paths)
    assert len(findings.migrations) == 4
    assert all(None in pair for pair in _pairs(findings))
    notes = "\n".join(findings.notes)
    assert "a-source.log is not paired: several partners are possible: a-destination.log, b-destination.log" in notes
    assert "--pair" in notes
    chosen = read_findings(paths, pairs=[("a-source.log", "a-destination.log")])
    assert _pairs(chosen) == {("a-source.log", "a-destination.log"), ("b-source.log", "b-destination.log")}
    check_forest(list(chosen.traces(TraceOptions())))


def test_ports_tell_equal_vms_apart(tmp_path: Path) -> None:
    """The same two, on different ports: one way to pair them is left."""
    paths = _two_equal_vms(tmp_path)
    for path in paths[2:]:
        path.write_bytes(on_port(path.read_bytes(), 5555))
    assert _pairs(read_findings(paths)) == {
        ("a-source.log", "a-destination.log"),
        ("b-source.log", "b-destination.log"),
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [("v53.0-dirty", "v53.0-local"), ("v53.0-dirty", "v53.0-tls"), ("v52.0-basic", "v52.0-noisy")],
)
def test_unrelated_logs_are_not_paired(one: str, other: str) -> None:
    """The source of one migration and the destination of another: two traces, and the user is told why."""
    findings = read_findings([CORPUS / one / "source.log", CORPUS / other / "destination.log"])
    assert _pairs(findings) == {("source.log", None), (None, "destination.log")}
    assert any(note.startswith("source.log is not paired: destination.log: ") for note in findings.notes)


def test_a_pair_that_causality_refutes_is_refused() -> None:
    """--pair cannot make effects precede their causes."""
    paths = [CORPUS / "v52.0-basic" / "source.log", CORPUS / "v52.0-noisy" / "destination.log"]
    with pytest.raises(UsageError, match=r"--pair source\.log=destination\.log: "):
        read_findings(paths, pairs=[("source.log", "destination.log")])
    with pytest.raises(UsageError, match="no source is called"):
        read_findings(paths, pairs=[("x.log", "destination.log")])


def test_many_sources_and_destinations(tmp_path: Path) -> None:
    """Five migrations at once, in files of any name: each source finds its own destination."""
    names = ("v48.0-basic", "v51.1-noisy", "v52.0-local", "v53.0-dirtyhot", "head-basic")
    paths, expected = [], set()
    for number, name in enumerate(names):
        for role, label in (("source", f"x{number}"), ("destination", f"{9 - number}y")):
            path = tmp_path / label
            path.write_bytes((CORPUS / name / f"{role}.log").read_bytes())
            paths.append(path)
        expected.add((f"x{number}", f"{9 - number}y"))
    assert _pairs(read_findings(paths)) == expected


def test_a_vm_that_came_and_left(tmp_path: Path) -> None:
    """One process receives a VM and later sends it on: one log, two attempts, two traces in the right order."""
    first, second = CORPUS / "v53.0-dirty", CORPUS / "v53.0-dirtyhot"
    came = until_shutdown((first / "destination.log").read_bytes())
    left = shifted(from_request((second / "source.log").read_bytes()), 60_000_000)
    for name, data in (
        ("source.log", (first / "source.log").read_bytes()),
        ("middle.log", came + left),
        ("back.log", (second / "destination.log").read_bytes()),
    ):
        (tmp_path / name).write_bytes(data)
    findings = read_findings(sorted(tmp_path.iterdir()))
    assert _names(findings) == [("source.log", "middle.log"), ("middle.log", "back.log")]
    check_forest(list(findings.traces(TraceOptions())))


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


@pytest.mark.parametrize("days", [1, 10, 30])
def test_an_old_source_process(tmp_path: Path, days: int) -> None:
    """After days of uptime stamps are worth 8 to 250 ms: the downtime is still the printed one, the rest says less.

    The event stream of the same process is exact, so its stamps take the place of the lines that say the same.
    """
    recording, uptime = CORPUS / "v53.0-dirty", days * 86_400
    log, destination, stream = tmp_path / "source.log", tmp_path / "destination.log", tmp_path / "events.json"
    log.write_bytes(aged((recording / "source.log").read_bytes(), uptime))
    destination.write_bytes((recording / "destination.log").read_bytes())
    stream.write_bytes(aged_events((recording / "source.events.json").read_bytes(), uptime))
    evidence = []
    for paths in ([log, destination], [log, destination, stream]):
        (trace,) = read_findings(paths).traces(TraceOptions())
        check_forest([trace])
        span, receive = trace.first("downtime"), trace.first("receive")
        assert span is not None
        assert receive is not None
        assert span.duration_ns // 10**6 == 407
        lo, hi = (float(str(receive.attributes[f"otelmig.clock.offset.{end}"])) for end in ("min", "max"))
        assert lo <= -4.0107 - uptime <= hi
        blackout = trace.first("blackout")
        assert blackout is not None
        evidence.append(str(blackout.attributes["otelmig.evidence.start"]).partition(":")[0])
    assert evidence == ["source.log", "events.json"]
