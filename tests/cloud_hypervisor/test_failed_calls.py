"""The API's answer to the call to receive: how receiving ended, where no other line says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trace_invariants import check_traces, traced

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


def _answer(at_s: float, text: str, call: str = "Error receiving migration") -> str:
    return _line(at_s, f"HTTP API error response: Error from API: {call}: {text}", "http-server")


_STARTED = _line(0.009, "v53.0 starting", "main")
_REQUESTED = _line(
    1.0,
    'API request event: VmReceiveMigration VmReceiveMigrationData { receiver_url: "tcp:0.0.0.0:4444", tls_dir: None, '
    "memory_mode: Precopy }",
)
_CALLED = _STARTED + _REQUESTED + _line(1.001, "Receiving migration: receiver_url=tcp:0.0.0.0:4444,tls=false")
_ACCEPTED = _CALLED + _event(1.01, "migration-receive-ready") + _event(1.9, "migration-receive-started")
_PEER_LOST = _line(2.9, "Failed to read migration request: sender likely failed, aborting")
_SOURCE = (
    _line(0.006, "v53.0 starting", "main")
    + _line(
        5.5,
        'API request event: VmSendMigration VmSendMigrationData { destination_url: "tcp:192.0.2.20:4444", local: false,'
        " downtime_ms: 300, timeout_s: 3600, timeout_strategy: Cancel, connections: 1, tls_dir: None, "
        "memory_mode: Precopy }",
    )
    + _line(
        5.501,
        "Sending migration: destination_url=tcp:192.0.2.20:4444,local=false,tls=false,downtime=300ms,timeout=3600s,"
        "timeout_strategy=Cancel",
    )
    + _event(5.502, "migration-started")
    + _line(5.503, "Connecting to TCP socket at 192.0.2.20:4444", "migration-worker")
)


def _one(folder: Path, **logs: str) -> Trace:
    paths = []
    for name, text in logs.items():
        paths.append(folder / f"{name}.log")
        paths[-1].write_bytes(text.encode())
    (trace,) = traced(paths)
    check_traces([trace])
    return trace


@pytest.mark.parametrize(
    ("text", "error_type", "shown"),
    [
        (
            "Socket error: peer closed connection without sending TLS close_notify",
            ErrorType.PEER_ABORTED,
            "the source closed the connection: Socket error: peer closed connection without sending TLS close_notify",
        ),
        (
            "Socket error: failed to fill whole buffer",
            ErrorType.PEER_ABORTED,
            "the source closed the connection: Socket error: failed to fill whole buffer",
        ),
        (
            "Failed to receive migratable component snapshot: TLS: received fatal alert: BadCertificate",
            ErrorType.TLS_ERROR,
            "Failed to receive migratable component snapshot: TLS: received fatal alert: BadCertificate",
        ),
        ("VM is already created", ErrorType.RECEIVE_FAILED, "VM is already created"),
    ],
)
@pytest.mark.parametrize("call", ["Error receiving migration", "Error starting migration receiver"])
def test_the_answer_is_used_where_nothing_else_says_how_it_ended(
    call: str, text: str, error_type: ErrorType, shown: str, tmp_path: Path
) -> None:
    """It is the receiver's own account, with its words; receiving lasts until then."""
    trace = _one(tmp_path, destination=_ACCEPTED + _answer(3.9, text, call))
    received = trace.first(SpanName.RECEIVE)
    assert received is not None
    assert received.error == trace.root.error == shown
    assert trace.root.attributes[names.VM_MIGRATION_RESULT] == Result.FAILURE
    assert trace.root.attributes[names.ERROR_TYPE] == error_type
    assert received.attributes[names.OTELMIG_EVIDENCE_END] == "destination.log:6"


@pytest.mark.parametrize(
    "lines",
    [
        _CALLED
        + _answer(
            1.002, "Failed to receive migratable component: Error binding to TCP socket: Address in use (os error 98)"
        ),
        _STARTED + _answer(1.002, "Error binding to UNIX socket: Address already in use (os error 98)"),
    ],
)
def test_a_receiver_that_cannot_listen_is_one_failed_attempt(lines: str, tmp_path: Path) -> None:
    """Nobody connected, and still somebody asked for a migration that did not come about."""
    trace = _one(tmp_path, destination=lines)
    assert trace.root.attributes[names.VM_MIGRATION_RESULT] == Result.FAILURE
    assert trace.root.attributes[names.ERROR_TYPE] == ErrorType.CONNECTION_FAILED
    assert "Error binding" in str(trace.root.error)


def test_file_descriptors_that_do_not_come(tmp_path: Path) -> None:
    """The call is turned down before it is logged: that line, and what the API answers, are one failed attempt."""
    lines = _STARTED + _line(1.0, "Expected 2 FDs in VmReceiveMigration request, received 1", "http-server")
    trace = _one(tmp_path, destination=lines + _answer(1.001, "Bad request"))
    assert trace.root.error == "expected 2 file descriptors with the request, received 1"
    assert trace.root.attributes[names.ERROR_TYPE] == ErrorType.RECEIVE_FAILED


def test_the_answer_adds_nothing_to_another_end(tmp_path: Path) -> None:
    """Where the destination's own lines say how it ended, the answer only repeats it."""
    with_answer, without = (
        _one(tmp_path, destination=_ACCEPTED + _PEER_LOST + more)
        for more in (_answer(2.91, "Socket error: failed to fill whole buffer"), "")
    )
    assert with_answer.spans == without.spans
    finished = _ACCEPTED + "".join(
        _event(at, name) for at, name in ((4.6, "restoring"), (4.7, "restored"), (4.71, "resuming"), (4.72, "resumed"))
    )
    resumed = _one(tmp_path, destination=finished + _answer(4.73, "Socket error: Broken pipe (os error 32)"))
    assert resumed.root.attributes[names.VM_MIGRATION_RESULT] == Result.SUCCESS


def test_the_answer_is_no_line_of_a_source(tmp_path: Path) -> None:
    """A process that sends may have received before: what is said of that is not about its own migration."""
    failed = _line(9.0, "Migration failed: Socket error: Connection refused (os error 111)")
    sent = _one(tmp_path, source=_SOURCE + _answer(6.0, "Socket error: failed to fill whole buffer") + failed)
    assert sent.root.attributes[names.OTELMIG_EVIDENCE_END] == "source.log:7"
    assert sent.root.error == "Socket error: Connection refused (os error 111)"


def test_the_answer_is_the_cause_of_what_the_source_reports(tmp_path: Path) -> None:
    """What the destination says of itself comes first; that the source has gone is no cause of anything."""
    source = _SOURCE + _line(5.51, "Generating guest CPUID with physical address size: 46", "migration-worker")
    source += _line(8.4, "Migration failed: Socket error: Connection reset by peer (os error 104)")
    received = _ACCEPTED + _line(1.95, "No CPU incompatibility detected.")
    refused = _one(tmp_path, source=source, destination=received + _answer(3.9, "Cannot create VM: no memory"))
    assert refused.root.error == (
        "the destination failed: Cannot create VM: no memory; "
        "the source: Socket error: Connection reset by peer (os error 104)"
    )
    lost = _one(
        tmp_path, source=source, destination=received + _answer(3.9, "Socket error: failed to fill whole buffer")
    )
    assert lost.root.error == "Socket error: Connection reset by peer (os error 104)"
