"""Figures of a trace, held against what the lines of the log mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS
from trace_invariants import CORPUS, check_traces, traced, truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_KIB = 1 << 10
_MIB = 1 << 20
_PAGE = 4096
_TABLE = re.compile(rb"(?m)^[^\r\n]*(?:Dirty Memory Range Table|GPA: )[^\r\n]*\r\n")


def _trace_of(folder: Path, logs: dict[str, bytes]) -> Trace:
    """The one trace of some logs."""
    for name, log in logs.items():
        (folder / name).write_bytes(log)
    (trace,) = traced(sorted(folder.iterdir()))
    check_traces([trace])
    return trace


def _of_scenario(folder: Path, name: str, change: Callable[[bytes], bytes] = bytes) -> Trace:
    """The trace of a scenario whose source logged something else."""
    logs = dict(SCENARIOS[name].files)
    return _trace_of(folder, logs | {"source.log": change(logs["source.log"])})


def _of_source(folder: Path, log: bytes) -> Trace:
    return _trace_of(folder, {"source.log": log})


def _named(trace: Trace, name: str) -> Span:
    span = trace.first(name)
    assert span is not None
    return span


# --- the blackout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "width_ms"), [("v50.0-tcp", 1.5 + 1.6), ("v53.0-tcp", 1.5 + 2.0)])
def test_between_which_lines_the_vcpus_ran_again(name: str, width_ms: float, tmp_path: Path) -> None:
    """The guest has two devices: until v51 the vCPUs run before the first of them resumes, later after the last.

    They stopped between ``pausing`` and the first device, 1.5 ms later.
    """
    width = _of_scenario(tmp_path, name).root.attributes["vm.migration.blackout.width.semantic"]
    assert width == pytest.approx(width_ms / 1e3, abs=5e-6)


@pytest.mark.parametrize(("name", "device_to_resumed_ms"), [("v51.1-basic", 12.126), ("v51.1-twohosts", 0.502)])
def test_a_log_without_its_beginning_may_be_of_several_releases(
    name: str, device_to_resumed_ms: float, tmp_path: Path
) -> None:
    """Whether the vCPUs ran first or last is not known then, so they ran anywhere from ``resuming`` to ``resumed``."""
    logs = {file: (CORPUS / name / file).read_bytes() for file in ("source.log", "destination.log")}
    width, low, high = _blackout(_trace_of(tmp_path, logs))
    rotated = logs["destination.log"].partition(b"\n")[2]
    wider, lower, higher = _blackout(_trace_of(tmp_path, logs | {"destination.log": rotated}))
    assert wider - width == pytest.approx(device_to_resumed_ms / 1e3, abs=5e-6)
    assert lower == low, "until v51 they run right after the first line"
    assert higher > high, "from v52 on they run as late as the last line"


def _blackout(trace: Trace) -> list[float]:
    """Its width between the lines, its least and its greatest length."""
    values = [trace.root.attributes[f"vm.migration.blackout.{end}"] for end in ("width.semantic", "min", "max")]
    return [value for value in values if isinstance(value, float)]


# --- dirty rates ----------------------------------------------------------------------------------------------------


def _rates(trace: Trace) -> list[tuple[object, object]]:
    names = ("vm.migration.memory.dirty_rate", "vm.migration.memory.dirty_rate_method")
    first, second = trace.named("memory iteration")
    return [
        (first.attributes[names[0]], first.attributes[names[1]]),
        (second.attributes[names[0]], second.attributes[names[1]]),
    ]


def test_the_dirty_rate_is_that_of_the_next_table(tmp_path: Path) -> None:
    """A pass has a line and an event, and then the table that says to the page what was written meanwhile."""
    (first, how), (second, how_too) = _rates(_of_scenario(tmp_path, "v53.0-tls"))
    assert how == how_too == "dirty_table"
    assert first == pytest.approx((2048 + 24576) * _KIB / 1.0, rel=1e-3)
    assert second == pytest.approx((2048 + 2048) * _KIB / 0.102, rel=1e-3)


def test_without_tables_the_next_size_tells(tmp_path: Path) -> None:
    """What is sent next was written meanwhile; after the last pass the line about convergence says how much it is."""
    (first, how), (second, how_too) = _rates(_of_scenario(tmp_path, "v53.0-tls", lambda log: _TABLE.sub(b"", log)))
    assert how == how_too == "next_iteration_size"
    assert first == pytest.approx(26 * _MIB / 1.0, rel=1e-3)
    assert second == pytest.approx(4 * _MIB / 0.102, rel=1e-3)


def test_a_table_is_that_of_the_pass_before_it(tmp_path: Path) -> None:
    """Where the first of two tables is lost, the second still is not the first pass's."""
    trace = _of_scenario(tmp_path, "v53.0-tls", lambda log: _TABLE.sub(b"", log, count=3))
    (first, how), (second, how_too) = _rates(trace)
    assert (how, how_too) == ("next_iteration_size", "dirty_table")
    assert first == pytest.approx(26 * _MIB / 1.0, rel=1e-3)
    assert second == pytest.approx((2048 + 2048) * _KIB / 0.102, rel=1e-3)


def test_the_fork_prints_pages(tmp_path: Path) -> None:
    """Its dirty rate counts pages of 4 KiB a second."""
    assert _rates(_of_scenario(tmp_path, "cyberus-success")) == [(0.0, "printed"), (6656.0 * _PAGE, "printed")]


# --- the iterations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["v53.0-dirty", "v53.0-linux", "v52.0-noisy"])
def test_a_log_that_begins_after_the_passes(name: str, tmp_path: Path) -> None:
    """The number of the last transfer counts those before it, and one more for the decision to stop the guest."""
    log = (CORPUS / name / "source.log").read_bytes()
    (attempt,) = truth(name)["attempts"]
    trace = _of_source(tmp_path, log[log.rindex(b"\n", 0, log.index(b"event = pausing")) + 1 :])
    assert not trace.named("memory iteration")
    assert trace.root.attributes["vm.migration.memory.iteration.count"] == attempt["iterations"]


@pytest.mark.parametrize(
    ("name", "count"),
    [("v36.0-tunnel", 1), ("v38.0-tunnel", 1), ("v43.0-tcp", 1), ("v53.0-tcp", 1), ("v52.0-connections-break", 4)],
)
def test_connections_of_every_release(name: str, count: int, tmp_path: Path) -> None:
    """Until v42 no line is written for a connection, and there is one."""
    assert _of_scenario(tmp_path, name).root.attributes["vm.migration.connection.count"] == count


def test_only_the_last_round_is_the_limit(tmp_path: Path) -> None:
    """Five rounds are the limit until v51; a log that has fewer of them and no table does not say why they ended."""
    rounds = (CORPUS / "v48.0-seccomp" / "source.log").read_bytes()
    assert rounds.count(b"Dirty memory migration") == truth("v48.0-seccomp")["attempts"][0]["dirty_rounds"] == 5
    reason = "vm.migration.convergence.reason"
    assert _named(_of_source(tmp_path, rounds), "precopy").attributes[reason] == "iteration_limit"
    fewer = _TABLE.sub(b"", SCENARIOS["v48.0-tcp"].files["source.log"])
    assert fewer.count(b"Dirty memory migration") == 2
    assert reason not in _named(_of_source(tmp_path, fewer), "precopy").attributes


# --- the downtime ---------------------------------------------------------------------------------------------------


def test_a_snapshot_longer_than_its_room(tmp_path: Path) -> None:
    """It was stamped late: what follows it keeps its printed length, and the snapshot is what there is before it."""
    trace = _of_scenario(tmp_path, "v53.0-tls", lambda log: log.replace(b"state:19ms", b"state:25ms"))
    snapshot, send = _named(trace, "snapshot"), _named(trace, "send")
    assert send.duration_ns / 1e6 == pytest.approx(49, abs=0.002)
    assert snapshot.duration_ns / 1e6 == pytest.approx(1163.2 - 1142, abs=0.01)
    assert "vm.migration.downtime.unaccounted.duration" in _named(trace, "downtime").attributes


def test_devices_that_are_resumed_once_more(tmp_path: Path) -> None:
    """Until v49 no line says that the guest runs again: its devices do, but not those of its shutdown, much later."""
    shutdown = b"cloud-hypervisor: 62.000000s: <vmm> INFO:virtio-devices/src/device.rs:335 -- Resuming virtio-block\r\n"
    trace = _of_scenario(tmp_path, "v45.0-state-rejected", lambda log: log + shutdown)
    assert trace.root.attributes["vm.migration.guest.location"] == "source"
    assert _named(trace, "rollback").duration_ns / 1e6 == pytest.approx(4.2, abs=0.01)


# --- what logging cost ------------------------------------------------------------------------------------------------

_RECORD = re.compile(rb"cloud-hypervisor: +(\d+)\.(\d{6})s: <([^>]*)> [^\r\n]* -- ([^\r\n]*)")


def _tables_us(log: bytes, thread: bytes) -> list[int]:
    """From its first line to its last, for each table that ``thread`` wrote while the guest stood still."""
    found: list[int] = []
    begin = None
    last = 0
    records = [(int(one + two), by, text) for one, two, by, text in _RECORD.findall(log)]
    first = next(number for number, record in enumerate(records) if b"event = pausing" in record[2])
    for at_us, by, text in records[first:]:
        if by == thread and text.startswith((b"Dirty Memory Range Table", b"GPA: ")):
            begin, last = (at_us if begin is None else begin), at_us
        elif by == thread and begin is not None:
            found.append(last - begin)
            begin = None
        if text.startswith(b"Migration completed after"):
            break
    return found


_LINUX = (CORPUS / "v53.0-linux" / "source.log").read_bytes()
_HEADING = re.compile(rb"(?m)^[^\r\n]*Dirty Memory Range Table:\r\n")
_ROWS = re.compile(rb"(?m)(^[^\r\n]*<migration-worker>[^\r\n]* GPA: [^\r\n]*\r\n)+")


def _written_by_another(log: bytes) -> bytes:
    """The table that was written while the guest stood still as another thread's, which then says something else."""
    begin = log.index(b"event = pausing")
    before, rows, after = log[:begin], _ROWS.search(log, begin), log[begin:]
    assert rows is not None
    last = rows[0].splitlines(keepends=True)[-1]
    said = last.partition(b" DEBUG:")[0] + b" INFO:virtio-devices/src/device.rs:313 -- Pausing virtio-block\r\n"
    return before + after.replace(rows[0], (rows[0] + said).replace(b"<migration-worker>", b"<somebody>"))


@pytest.mark.parametrize(
    "log",
    [_LINUX, _HEADING.sub(b"", _LINUX), _written_by_another(_LINUX)],
    ids=["as it was", "without headings", "tables of another thread"],
)
def test_what_the_tables_cost(log: bytes, tmp_path: Path) -> None:
    """From the first to the last line of each table of the migrating thread, whatever its first line is."""
    wanted = sum(_tables_us(log, b"migration-worker"))
    found = _of_source(tmp_path, log).root.attributes.get("vm.migration.logging.duration", 0)
    assert found == pytest.approx(wanted / 1e6, abs=1e-5)


# --- the outcome ----------------------------------------------------------------------------------------------------


def test_a_destination_that_was_told_to_abandon(tmp_path: Path) -> None:
    """Until v49 nothing else says that it failed; by its own log alone nobody knows where the guest is."""
    log = SCENARIOS["v45.0-state-rejected"].files["destination.log"]
    abandoned = b"cloud-hypervisor: 1.950000s: <vmm> INFO:vmm/src/lib.rs:2147 -- Abandon Command Received\r\n"
    root = _trace_of(tmp_path, {"destination.log": log + abandoned}).root
    assert root.attributes["vm.migration.result"] == "failure"
    assert root.attributes["error.type"] == "receive_failed"
    assert root.attributes["vm.migration.guest.location"] == "unknown"


# --- the target -----------------------------------------------------------------------------------------------------

_GOAL = re.compile(rb"of 103ms \(goal was \d+ms\)")


@pytest.mark.parametrize(("goal_ms", "missed"), [(104, False), (103, False), (102, True)])
def test_whether_the_target_is_missed(goal_ms: int, *, missed: bool, tmp_path: Path) -> None:
    """The printed downtime over its own target, on the root and on `downtime`; not the length of a span."""
    trace = _of_scenario(tmp_path, "v53.0-tcp", lambda log: _GOAL.sub(b"of 103ms (goal was %dms)" % goal_ms, log))
    for span in (trace.root, _named(trace, "downtime")):
        assert span.attributes["vm.migration.downtime.duration"] == 0.103
        assert span.attributes["vm.migration.downtime.target_missed"] is missed


def test_a_release_that_prints_no_downtime_does_not_say(tmp_path: Path) -> None:
    """Neither on the root nor on `downtime`, however long that is."""
    trace = _of_scenario(tmp_path, "v50.0-tcp")
    for span in (trace.root, _named(trace, "downtime")):
        assert "vm.migration.downtime.target_missed" not in span.attributes
