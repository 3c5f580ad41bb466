"""The Cyberus fork's migration statistics, polled into a file: a trace of their own, or what a log lacks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from scenarios import SCENARIOS
from trace_invariants import check_traces

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.pipeline import read_findings, trace_migrations

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN = 1_780_000_000_000
_MS = 10**6


def _answer(after_ms: int, state: dict[str, Any], iterations: int = 0, **more: object) -> dict[str, Any]:
    return {
        "timestamp_begin_ms": _BEGIN,
        "timestamp_snapshot_ms": _BEGIN + after_ms,
        "timestamp_snapshot_relative_ms": after_ms,
        "downtime_configured_ms": 300,
        "downtime_estimated_ms": 120,
        "transportation_mode": {"Tcp": {"connections": 4, "tls": True}},
        "state": state,
        "memory_transmission_info": {
            "memory_iteration": iterations,
            "memory_transmission_bps": 10**9,
            "memory_bytes_total": 1 << 30,
            "memory_bytes_transmitted": iterations << 28,
            "memory_bytes_remaining_iteration": 0,
            "memory_pages_4k_transmitted": 0,
            "memory_pages_4k_remaining_iteration": 0,
            "memory_pages_constant_count": 0,
            "memory_dirty_rate_pps": 1000,
        },
        **more,
    }


def _ongoing(phase: str, throttle: int = 0) -> dict[str, Any]:
    return {"Ongoing": {"phase": phase, "vcpu_throttle_percent": throttle}}


def _written(path: Path, *answers: dict[str, Any] | None) -> Path:
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return path


_RUNNING = (
    None,
    _answer(5, _ongoing("Starting")),
    _answer(1000, _ongoing("MemoryPrecopy"), 1),
    _answer(1500, _ongoing("MemoryPrecopy", 40), 2),
    _answer(1600, _ongoing("Completing"), 2),
)


def test_statistics_alone(tmp_path: Path) -> None:
    """Start, iterations with their figures, and the end, each known to within two answers, in absolute time."""
    (trace,) = trace_migrations([_written(tmp_path / "progress.jsonl", *_RUNNING, _answer(1700, {"Finished": {}}, 2))])
    check_traces([trace])
    root = trace.root.attributes
    assert root["vm.migration.result"] == "success"
    assert root["vm.migration.connection.count"] == 4
    assert root["vm.migration.downtime.target"] == 0.3
    assert root["otelmig.clock.epoch.origin"] == "wallclock"
    assert trace.root.start_ns // 10**6 == _BEGIN
    iterations = trace.named("memory iteration")
    assert [span.attributes["vm.migration.memory.dirty_rate"] for span in iterations] == [4_096_000.0] * 2
    assert iterations[1].attributes["vm.vcpu.throttle_ratio"] == 0.4
    assert iterations[0].attributes["otelmig.clock.uncertainty"] == pytest.approx(0.498, abs=0.001)
    assert trace.first("downtime") is not None


@pytest.mark.parametrize(
    ("state", "result", "error"),
    [
        ({"Cancelled": {}}, "cancellation", None),
        (
            {"Failed": {"error_msg": "Socket error: Connection reset by peer (os error 104)", "error_msg_debug": "x"}},
            "failure",
            "socket_error",
        ),
    ],
)
def test_endings(state: dict[str, Any], result: str, error: str | None, tmp_path: Path) -> None:
    """A cancelled migration is no error; a failed one has its message."""
    (trace,) = trace_migrations([_written(tmp_path / "progress.jsonl", *_RUNNING, _answer(1700, state, 2))])
    check_traces([trace])
    assert trace.root.attributes["vm.migration.result"] == result
    assert trace.root.attributes.get("error.type") == error
    assert (trace.root.error is None) == (error is None)


def test_statistics_beside_a_log(tmp_path: Path) -> None:
    """They add what the fork's log lacks, and tell of no second migration."""
    files = SCENARIOS["cyberus-success"].files
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (alone,) = trace_migrations(sorted(tmp_path.iterdir()))
    begin_ms = alone.root.start_ns // 10**6
    answer = _answer(900, {"Finished": {}}, 2) | {
        "timestamp_begin_ms": begin_ms,
        "timestamp_snapshot_ms": begin_ms + 900,
    }
    _written(tmp_path / "progress.jsonl", answer)
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    check_traces([trace])
    assert trace.root.attributes["vm.migration.connection.count"] == 4
    assert [span.duration_ns for span in trace.named("downtime")] == [
        span.duration_ns for span in alone.named("downtime")
    ]


def test_damaged_statistics(tmp_path: Path) -> None:
    """What is no answer is counted, be it an object, the rest of one, or a line between them; the rest is read."""
    path = _written(tmp_path / "progress.jsonl", *_RUNNING)
    path.write_text(path.read_text() + '[1]\n{"timestamp_begin_ms": 1, "time\n[1]\n{"timestamp_begin_ms":-5}\n{"time')
    findings = read_findings([path])
    assert len(findings.migrations) == 1
    assert findings.not_understood == {"no migration statistics in this JSON": 4}


_ANSWERS: Final = [*_RUNNING[1:], _answer(1700, {"Finished": {}}, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "".join(json.dumps(answer, indent=2) + "\n" for answer in _ANSWERS),
        "null\n" + "\n".join(json.dumps(answer, indent=4) for answer in _ANSWERS),
        json.dumps(_ANSWERS, indent=2),
        json.dumps(_ANSWERS),
        "".join(json.dumps(answer) for answer in _ANSWERS),
        "\r\n".join(json.dumps(answer, indent=2).replace("\n", "\r\n") for answer in _ANSWERS),
    ],
    ids=["pretty", "indented", "array", "one-line array", "concatenated", "crlf"],
)
def test_answers_however_they_are_printed(text: str, tmp_path: Path) -> None:
    """Pretty-printed, concatenated, an array: the very trace that one answer a line gives, and no line is left over."""
    name = tmp_path / "progress.json"
    _written(name, *_ANSWERS)
    (expected,) = trace_migrations([name])
    name.write_bytes(text.encode())
    findings = read_findings([name])
    assert findings.not_understood == {}
    (trace,) = trace_migrations([name])
    assert [(span.name, span.start_ns, span.end_ns) for span in trace.spans] == [
        (span.name, span.start_ns, span.end_ns) for span in expected.spans
    ]


def _end_of(path: Path) -> tuple[float, float]:
    """Return the middle and half the width of the interval of the end, in ms since the begin."""
    (migration,) = read_findings([path]).migrations
    stamp = migration.reference.last.stamp
    return stamp.ns / _MS - _BEGIN, stamp.error_ns / _MS


def test_statistics_stand_still_at_the_end(tmp_path: Path) -> None:
    """Whenever a migration that is over is asked for its progress, it tells when it ended, to a millisecond."""
    over = _answer(1700, {"Finished": {}}, 2)
    path = _written(tmp_path / "progress.jsonl", *_RUNNING, over, over, over)
    assert _end_of(path) == (1700, 1)
    _written(path, *_RUNNING[:3], over)
    assert _end_of(path) == (1700, 1)


def test_statistics_that_go_on_after_the_end(tmp_path: Path) -> None:
    """Answers of another time after the end are stamped when they are made: the end is known to within two answers."""
    over = [_answer(after, {"Finished": {}}, 2) for after in (1700, 1800, 1900)]
    path = _written(tmp_path / "progress.jsonl", *_RUNNING, *over)
    assert _end_of(path) == (1650.5, 50.5)


@pytest.mark.parametrize(("estimate", "told"), [(0, None), (300, None), (120, 0.12), (299, 0.299)])
def test_estimates_that_are_none(estimate: int, told: float | None, tmp_path: Path) -> None:
    """0 is no estimate; what was configured is filled in where there is none."""
    passing = _answer(1000, _ongoing("MemoryPrecopy"), 2, downtime_estimated_ms=estimate)
    path = _written(tmp_path / "progress.jsonl", _RUNNING[1], passing, _answer(1700, {"Finished": {}}, 2))
    (trace,) = trace_migrations([path])
    assert trace.named("memory iteration")[1].attributes.get("vm.migration.downtime.estimated") == told


def test_the_acknowledged_start(tmp_path: Path) -> None:
    """The phase `Started` says that the receiver took the migration on: between this answer and the one before."""
    answers = _answer(5, _ongoing("Starting")), _answer(40, _ongoing("Started")), _answer(90, _ongoing("Started"))
    path = _written(tmp_path / "progress.jsonl", *answers)
    (migration,) = read_findings([path]).migrations
    assert migration.reference.sent.answered
    (taken,) = [seen for seen in migration.reference.observations if seen.kind is Kind.START_ACKNOWLEDGED]
    assert (taken.stamp.lo_ns, taken.stamp.hi_ns) == ((_BEGIN + 5) * _MS, (_BEGIN + 41) * _MS)


def _finished(begin_ms: int, after_ms: int) -> dict[str, Any]:
    times = {"timestamp_begin_ms": begin_ms, "timestamp_snapshot_ms": begin_ms + after_ms}
    return _answer(after_ms, {"Finished": {}}, 2) | times


def test_statistics_say_when_a_log_was_written(tmp_path: Path) -> None:
    """After three days of uptime a stamp since start is worth 16 ms: the process started so much earlier at most.

    Its log has the request at 259,202.0005 s, the statistics have it in whole milliseconds.
    """
    started_ns = 1_780_000_000_123 * _MS + 456_000
    began_ns = started_ns + 259_202_000 * _MS + 500_000
    (tmp_path / "source.log").write_bytes(SCENARIOS["v53.0-old-source"].files["source.log"])
    _written(tmp_path / "progress.jsonl", _finished(began_ns // _MS, 1300))
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    check_traces([trace])
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    shift = int(str(trace.root.attributes["otelmig.clock.epoch.shift"]))
    assert -_MS <= shift - started_ns <= 17 * _MS


@pytest.mark.parametrize("name", ["cyberus-success", "v50.0-tcp"])
def test_statistics_say_how_it_ended(name: str, tmp_path: Path) -> None:
    """A log that stops in the snapshot knows no end; the answers of the source's process do, and when it was."""
    log = SCENARIOS[name].files["source.log"]
    (tmp_path / "source.log").write_bytes(log[: log.rindex(b"\n", 0, log.index(b"snapshotting")) + 1])
    (alone,) = trace_migrations([tmp_path / "source.log"])
    assert alone.root.attributes["vm.migration.result"] == "unknown"
    begin_ms = alone.root.start_ns // _MS if name == "cyberus-success" else _BEGIN
    running = _answer(900, _ongoing("Completing"), 2) | {"timestamp_begin_ms": begin_ms}
    running |= {"timestamp_snapshot_ms": begin_ms + 1200}
    _written(tmp_path / "progress.jsonl", running, _finished(begin_ms, 1300))
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    check_traces([trace])
    assert trace.root.attributes["vm.migration.result"] == "success"
    assert trace.root.attributes["vm.migration.guest.location"] == "destination"
    assert begin_ms + 1200 <= trace.root.end_ns / _MS <= begin_ms + 1302


def test_any_number_of_iterations_is_bounded(tmp_path: Path) -> None:
    """Answers that claim more memory iterations than there can be are believed up to a limit."""
    answer = '{{"timestamp_begin_ms":1700000000000,"timestamp_snapshot_ms":{},"state":{{"Ongoing":{{}}}},'
    answer += '"memory_transmission_info":{{"memory_iteration":1099511627776}}}}\n'
    path = tmp_path / "progress.json"
    path.write_text("".join(answer.format(1_700_000_000_000 + number) for number in range(200)))
    (migration,) = read_findings([path]).migrations
    assert migration.reference.sent.memory.iteration_count == 4096
