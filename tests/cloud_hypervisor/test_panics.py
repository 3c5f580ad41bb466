"""Panics of Rust: the last words of a process, in its log or beside it, are the cause of what its peer says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from feeding import feed, filtered, new_reader, unfiltered
from trace_invariants import check_traces, traced

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.inputs.opening import open_inputs
from otelmig.migration.facts import ErrorType
from otelmig.migration.side import Result
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.trace.span import Trace


def _line(at_s: float, message: str, thread: str = "vmm") -> str:
    return f"cloud-hypervisor: {at_s:>10.6f}s: <{thread}> INFO:vmm/src/lib.rs:1 -- {message}\r\n"


def _event(at_s: float, name: str) -> str:
    return _line(at_s, f"Event: source = vm event = {name} ")


_ACCEPTED = (
    _line(0.009, "v53.0 starting", "main")
    + _line(1.001, "Receiving migration: receiver_url=tcp:0.0.0.0:4444,tls=false")
    + _event(1.01, "migration-receive-ready")
    + _event(1.9, "migration-receive-started")
    + _line(1.95, "No CPU incompatibility detected.")
)
_RESTORING = _ACCEPTED + _line(4.57, "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { } } }")
_RESUMED = _RESTORING + _event(4.6, "resuming") + _event(4.65, "resumed") + _event(4.7, "migration-receive-finished")
_SOURCE = (
    _line(0.006, "v53.0 starting", "main")
    + _line(
        5.501,
        "Sending migration: destination_url=tcp:192.0.2.20:4444,local=false,tls=false,downtime=300ms,timeout=3600s,"
        "timeout_strategy=Cancel",
    )
    + _event(5.502, "migration-started")
    + _line(5.503, "Connecting to TCP socket at 192.0.2.20:4444", "migration-worker")
    + _line(5.51, "Generating guest CPUID with physical address size: 46", "migration-worker")
    + _event(8.1, "migration-memory-iteration id = 0")
)
_RESET = _line(8.4, "Migration failed: Socket error: Connection reset by peer (os error 104)")
_PANIC = """\
thread 'vmm' panicked at vmm/src/device_manager.rs:4756:14:
called `Result::unwrap()` on an `Err` value: MissingDeviceNode
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
_OLD_PANIC = (
    "thread 'vmm' panicked at 'called `Result::unwrap()` on an `Err` value: MissingDeviceNode', "
    "vmm/src/device_manager.rs:4756:14\n"
)
_WORDS = (
    "killed by a panic: thread 'vmm' panicked at vmm/src/device_manager.rs:4756:14: "
    "called `Result::unwrap()` on an `Err` value: MissingDeviceNode"
)


def _one(folder: Path, **files: str) -> Trace:
    paths = []
    for name, text in files.items():
        paths.append(folder / name.replace("_", "."))
        paths[-1].write_bytes(text.encode())
    (trace,) = traced(paths)
    check_traces([trace])
    return trace


@pytest.mark.parametrize(
    ("panic", "words"),
    [
        (_PANIC, _WORDS),
        (_PANIC.replace("'vmm'", "'vmm' (4711)"), _WORDS),
        (_OLD_PANIC, _WORDS),
        (
            "thread '<unnamed>' panicked at a/b.rs:1:2:\nassertion `left == right` failed\n  x: 1\n\nx\n",
            "killed by a panic: thread '<unnamed>' panicked at a/b.rs:1:2: assertion `left == right` failed x: 1",
        ),
        ("thread 'vmm' panicked at a/b.rs:1:2:\n", "killed by a panic: thread 'vmm' panicked at a/b.rs:1:2"),
        (
            "thread 'vmm' panicked at what no Rust prints",
            "killed by a panic: thread 'vmm' panicked: what no Rust prints",
        ),
    ],
)
def test_forms_of_panics(panic: str, words: str, tmp_path: Path) -> None:
    """Every version of Rust's standard library has its own form; the message may go on over several lines."""
    trace = _one(tmp_path, destination_log=_RESTORING + panic)
    assert trace.root.error == words
    assert trace.root.attributes[names.VM_MIGRATION_RESULT] == Result.FAILURE


@pytest.mark.parametrize("beside", [False, True])
def test_a_destination_that_panics_is_the_cause(*, beside: bool, tmp_path: Path) -> None:
    """In the log or in a file beside it: the panic stands on the root, on `receive` and on `restore`."""
    files = {"destination_log": _RESTORING, "destination_stderr": "\n" + _PANIC}
    if not beside:
        files = {"destination_log": _RESTORING + _PANIC}
    trace = _one(tmp_path, source_log=_SOURCE + _RESET, **files)
    assert trace.root.error == (
        f"the destination died: {_WORDS}; the source: Socket error: Connection reset by peer (os error 104)"
    )
    assert trace.root.attributes[names.ERROR_TYPE] == ErrorType.RESTORE_FAILED
    for name in (SpanName.RECEIVE, SpanName.RESTORE):
        span = trace.first(name)
        assert span is not None
        assert span.error == _WORDS


def test_before_the_state_came(tmp_path: Path) -> None:
    """A destination that panics while memory comes in has restored nothing yet."""
    trace = _one(tmp_path, destination_log=_ACCEPTED + _PANIC)
    assert trace.root.attributes[names.ERROR_TYPE] == ErrorType.RECEIVE_FAILED


def test_a_source_that_panics(tmp_path: Path) -> None:
    """Its log does not merely stop: what ended it is known."""
    trace = _one(tmp_path, source_log=_SOURCE + _PANIC)
    assert _WORDS in str(trace.root.error)


def test_after_the_guest_ran(tmp_path: Path) -> None:
    """The migration succeeded, and the guest died with its process."""
    trace = _one(tmp_path, source_log=_SOURCE, destination_log=_RESUMED + _PANIC)
    received = trace.first(SpanName.RECEIVE)
    assert received is not None
    assert received.error is None


def test_while_the_guest_was_being_resumed(tmp_path: Path) -> None:
    """A line that says that it ran may be lost: that the process died later is no proof that receiving failed."""
    lines = "".join(line for line in _RESUMED.splitlines(keepends=True) if "resumed" not in line)
    lines = "".join(line for line in lines.splitlines(keepends=True) if "finished" not in line)
    trace = _one(tmp_path, destination_log=lines + _PANIC)
    assert trace.root.attributes[names.VM_MIGRATION_RESULT] == Result.UNKNOWN
    assert trace.root.attributes[names.ERROR_TYPE] == ErrorType.RESUME_FAILED
    assert trace.root.error == _WORDS


def test_a_panic_is_whole_either_way(tmp_path: Path) -> None:
    """Its message is the same whether a scan looks ahead or the lines come one by one."""
    (tmp_path / "destination.log").write_text(_RESTORING + _PANIC + _line(4.6, "VM exit event", "main"), newline="")
    (log,), _, _ = open_inputs([tmp_path / "destination.log"])
    ahead, one_by_one = (feed(new_reader(), lines(log, log.stream)) for lines in (filtered, unfiltered))
    assert ahead == one_by_one
    (side,) = ahead.values()
    (death,) = (seen for seen in side.observations if seen.kind is Kind.PROCESS_KILLED)
    assert death.values == {"by": "panic", "detail": _WORDS.removeprefix("killed by a panic: ")}


def test_a_panic_of_another_program(tmp_path: Path) -> None:
    """In the journal of a host any program may panic: that says nothing of a migration."""

    def entry(message: str, pid: int) -> str:
        text = message.strip().replace('"', '\\"')
        return f'{{"__REALTIME_TIMESTAMP":"1790000000000000","_PID":"{pid}","MESSAGE":"{text}"}}\n'

    lines = [entry(text, 1) for text in _RESTORING.splitlines()]
    lines += [entry(text, 2) for text in _PANIC.splitlines()]
    (tmp_path / "journal.json").write_text("".join(lines))
    (trace,) = traced([tmp_path / "journal.json"])
    assert trace.root.attributes[names.VM_MIGRATION_RESULT] == Result.UNKNOWN


def test_doctor_asks_for_no_rest(tmp_path: Path) -> None:
    """The log is complete: the process died. Every line of the panic is accounted for."""
    (tmp_path / "destination.log").write_text(_RESTORING + _PANIC, newline="")
    said = run_command(["doctor", str(tmp_path / "destination.log")]).stdout
    assert "9 lines: 8 used, 1 further lines of a record, 0 not understood" in said
    assert "how a migration ended: the log stops" not in said


def test_a_file_that_belongs_to_no_log(tmp_path: Path) -> None:
    """Whose last words they are, its name does not say: that is told, and nothing else is claimed."""
    (tmp_path / "destination.log").write_text(_RESTORING, newline="")
    (tmp_path / "other.stderr").write_text(_PANIC)
    done = run_command(["trace", "--json", str(tmp_path)])
    assert "other.stderr: a process that died, and no log of this name is here" in done.stderr
    assert '"result": "unknown"' in done.stdout


def test_a_restarted_process_died_last(tmp_path: Path) -> None:
    """Where several processes wrote to one log, the last one is the one that the file beside it speaks of."""
    first, second = _RESTORING, _RESTORING.replace("   1.", "   2.")
    for name, text in (("destination.log", first + second), ("destination.stderr", _PANIC)):
        (tmp_path / name).write_text(text, newline="")
    results = [
        trace.root.attributes[names.VM_MIGRATION_RESULT]
        for trace in traced([tmp_path / "destination.log", tmp_path / "destination.stderr"])
    ]
    assert sorted(map(str, results)) == [Result.FAILURE, Result.UNKNOWN]
