"""Delivery by a receiver that does what it should: what is sent when, how often, and what is remembered of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery_cases import PROTOCOLS, check_delivered, delivered, payloads
from msgspec.structs import replace
from otlp_lines import parsed_line
from otlp_receiver import Reply, free_port, http_receiver, receiver_of
from trace_invariants import inputs, traced

from otelmig.otlp.delivery import LARGEST_REQUEST, PER_BATCH
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Otelmig
if TYPE_CHECKING:
    from conftest import Otelmig
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def test_kept_before_it_is_sent(tmp_path: Path) -> None:
    """When a receiver gets its first byte, the spool holds the batch and says that it is being sent."""
    traces = payloads(PER_BATCH + 1)
    with http_receiver() as receiver:
        receiver.reply = Reply(hangs=True)
        sender = threading.Thread(target=lambda: delivered(traces, receiver.url, tmp_path, timeout_s=30))
        sender.start()
        receiver.go_on.wait(0.2)  # the preflight hangs, too
        assert not receiver.requests
        receiver.reply = Reply()
        receiver.replies = [Reply(hangs=True)]
        receiver.go_on.set()
        receiver.go_on.clear()
        while not receiver.requests:
            sender.join(0.01)
        (segment,) = tmp_path.glob("segment-*")
        kinds = [line[:1] for line in segment.read_bytes().splitlines()]
        assert kinds == [b"T"] * PER_BATCH + [b"S"] * PER_BATCH
        receiver.go_on.set()
        sender.join()
        check_delivered(traces, receiver, [])


def _noting(synced: dict[str, bytes], then: Callable[[], None]) -> Callable[[int], None]:
    """Return an ``fsync`` that notes, by a file's name, what is safe from then on."""
    sync = os.fsync

    def noting(descriptor: int) -> None:
        sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            synced[path.name] = path.read_bytes()
            then()

    return noting


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_power_failure(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was synced is left, when a request arrives: one batch may go twice, and is counted."""
    per_batch = 10  # as good as fifty, for a fifth of the requests
    monkeypatch.setattr("otelmig.otlp.delivery.PER_BATCH", per_batch)
    traces = payloads(3 * per_batch + 1)
    synced: dict[str, bytes] = {}
    monkeypatch.setattr(os, "fsync", _noting(synced, lambda: None))
    with receiver_of(protocol)() as receiver:
        states: list[dict[str, bytes]] = []
        take: Callable[[bytes, dict[str, str]], Reply] = receiver.take

        def taking(body: bytes, headers: dict[str, str]) -> Reply:
            states.append(dict(synced))
            return take(body, headers)

        receiver.take = taking
        delivered(traces, receiver.url, tmp_path / "spool", protocol=protocol)
        receiver.take = take
        assert len(states) > len(traces) / per_batch
        for number, state in enumerate(states[1 :: max(len(states) // 10, 1)]):  # without the preflight
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            for name in ("format", "lock"):
                (folder / name).write_bytes((tmp_path / "spool" / name).read_bytes())
            for name, content in state.items():
                (folder / name).write_bytes(content)
            again = delivered(traces, receiver.url, folder, protocol=protocol)
            before = again.already_delivered.traces
            assert before % per_batch == 0
            assert before + again.exported.traces == len(traces)
            assert again.re_sent.traces == min(per_batch, len(traces) - before)


def test_without_a_spool(tmp_path: Path) -> None:
    """What is not delivered is said not to be exported; nothing is written anywhere."""
    account = delivered(payloads(3), f"http://127.0.0.1:{free_port()}", None, timeout_s=0.1)
    assert account.words() == "0 exported, 3 not exported (3 unreachable)"
    assert not list(tmp_path.iterdir())


def test_one_bad_trace_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """A batch that is refused as a whole goes trace by trace, so that only the bad one stays."""
    traces, bad = payloads(10), Reply(status=400, takes=False)
    with http_receiver() as receiver:
        receiver.replies = [bad, Reply(), Reply(), bad]
        account = delivered(traces, receiver.url, tmp_path)
        assert account.words() == "9 exported, 1 spooled (1 rejected by receiver)"
        assert not receiver.copies()


def test_wrong_url_is_named_before_the_logs_are_read(otelmig: Otelmig, tmp_path: Path) -> None:
    """The line about the URL comes first, the waterfall is printed all the same, and the spool has the trace."""
    with http_receiver() as receiver:
        receiver.reply = Reply(status=404, takes=False)
        done = otelmig("trace", *inputs("v53.0-twohosts"), "missing.log", "--otlp", f"{receiver.url}/v1/logs")
    lines = done.stderr.splitlines()
    assert lines[0] == f"otelmig: {receiver.url}/v1/logs answered 404 Not Found (is the path /v1/traces?)"
    assert "missing.log" in lines[1]
    assert lines[-1].startswith("1 migration found, 0 exported, 1 spooled (1 not otlp); ")
    assert "downtime 461 ms" in " ".join(done.stdout.split())
    assert done.returncode == 3
    spool = Spool(tmp_path / "spool", Bounds())
    assert len(spool.waiting()) == 1
    spool.close()


def test_resend_that_fails_is_kept(otelmig: Otelmig) -> None:
    """What the receiver had, and was to get again while it was down, waits and is delivered: counted as re-sent."""
    logs, port = inputs("v53.0-twohosts"), free_port()
    command = ("--otlp", f"http://127.0.0.1:{port}", "--timeout", "0.1")
    with http_receiver(port):
        assert otelmig("trace", "-q", *logs, "-o", "a.jsonl", *command).returncode == 0
    down = otelmig("trace", "-q", *logs, "--resend", *command)
    assert down.returncode == 3
    assert "0 exported, 1 spooled (1 unreachable)" in down.stderr
    with http_receiver(port) as receiver:
        assert otelmig("send", *command).stderr == "1 trace found, 1 exported, 1 re-sent\n"
        assert otelmig("send", *command).stderr == "0 traces found, 0 exported\n"
        assert "0 exported, 1 already delivered" in otelmig("trace", "-q", *logs, *command).stderr
        assert len(receiver.requests) == 1
    archive = otelmig("send", "a.jsonl", "--resend", *command)
    assert archive.stderr.splitlines()[-1] == "1 line found, 0 exported, 1 not exported (1 unreachable)"
    with http_receiver(port) as receiver:
        assert otelmig("send", *command).stderr == "0 traces found, 0 exported\n", "the archive keeps it"
        assert otelmig("send", "a.jsonl", *command).stderr == "1 line found, 1 exported, 1 re-sent\n"


def test_power_failure_of_a_resend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every sync it is either as before, or the trace waits and its copies are counted.

    Once it may have been sent, there may be two of them: the run that ended there did not live to say that its send was
    refused.
    """
    traces, spool = payloads(3), tmp_path / "spool"
    stuck = payloads(1, 99)  # so that what is delivered stays in its segment
    synced: dict[str, bytes] = {}
    states: list[dict[str, bytes]] = []
    sync = os.fsync
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=400, takes=False)]
        delivered(stuck, receiver.url, spool)
        delivered(traces, receiver.url, spool)
        synced |= {path.name: path.read_bytes() for path in spool.iterdir()}
        monkeypatch.setattr(os, "fsync", _noting(synced, lambda: states.append(dict(synced))))
        receiver.reply = Reply(status=503, takes=False)
        down = delivered(traces, receiver.url, spool, resend=True, timeout_s=0.1)
        assert down.words() == "0 exported, 3 spooled (3 receiver busy)"
        monkeypatch.setattr(os, "fsync", sync)
        receiver.reply = Reply()
        words = []
        for number, state in enumerate(states):
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            for name, content in state.items():
                (folder / name).write_bytes(content)
            before = len(receiver.taken)
            words.append(delivered(traces, receiver.url, folder).words())
            assert (len(receiver.taken) > before) == words[-1].startswith("3 exported, ")
            assert delivered(traces, receiver.url, folder).words() == "0 exported, 3 already delivered"
    assert words == sorted(words), "first the one, then the other"
    assert set(words) == {"0 exported, 3 already delivered", "3 exported, 3 re-sent", "3 exported, 6 re-sent"}


def _by_id(message: ExportTraceServiceRequest) -> dict[bytes, bytes]:
    return {
        span.span_id: span.SerializeToString(deterministic=True)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_receiver_gets_what_the_file_has(protocol: str, compression: str, tmp_path: Path) -> None:
    """Span for span, by every transport, compressed or not."""
    traces = [Payload.of_trace(trace) for trace in traced(inputs("v53.0-retry"))]
    with receiver_of(protocol)() as receiver:
        account = delivered(traces, receiver.url, tmp_path, protocol=protocol, compression=compression)
        assert account.words() == "2 exported"
        written: dict[bytes, bytes] = {}
        for payload in traces:
            written |= _by_id(parsed_line(payload.line))
        received: dict[bytes, bytes] = {}
        for request in receiver.taken:
            received |= _by_id(request)
        assert received == written
        if protocol == "http/json":
            assert receiver.bodies == [payload.line for payload in traces]
        if protocol != "grpc" and compression == "gzip":
            assert {headers["content-encoding"] for headers in receiver.headers} == {"gzip"}


def test_requests_stay_small(tmp_path: Path) -> None:
    """Many traces go in several requests, each below the limit; a trace larger than that is split by its spans."""
    (trace,) = traced(inputs("v53.0-tls"))
    giant = replace(
        trace,
        trace_id="f" * 32,
        spans=tuple(replace(trace.root, span_id=f"{number + 1:016x}") for number in range(3000)),
    )
    many = [Payload.of_trace(replace(trace, trace_id=f"{number + 1:032x}")) for number in range(120)]
    traces = [*many, Payload.of_trace(giant), *payloads(1, 1000)]
    with http_receiver() as receiver:
        account = delivered(traces, receiver.url, tmp_path)
        assert account.words() == "122 exported"
        assert max(map(len, receiver.bodies)) <= LARGEST_REQUEST
        assert len(receiver.bodies) < 20
        check_delivered(traces, receiver, [account])
