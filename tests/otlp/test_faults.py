"""Faults at real sockets: nothing is lost, and nothing is there twice but what the account speaks of."""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from broken_wire import Cut, broken_wire
from delivery_cases import PROTOCOLS, Clock, check_delivered, delivered, payloads
from otlp_receiver import Reply, free_port, grpc_receiver, http_receiver, receiver_of, rejection
from trace_invariants import inputs

from otelmig.otlp.account import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig
    from otlp_receiver import Receiver

_MANY = 110
"""Three batches."""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_down_then_up(protocol: str, tmp_path: Path) -> None:
    """Nobody listens: all is kept after one patient try. Later all goes out, once."""
    traces, port, clock = payloads(_MANY), free_port(), Clock()
    said: list[str] = []
    account = delivered(traces, f"http://127.0.0.1:{port}", tmp_path, said, protocol=protocol, clock=clock)
    assert account.words() == f"0 exported, {_MANY} spooled ({_MANY} unreachable)"
    assert account.waiting.traces == _MANY
    assert sum(clock.pauses) < 2.0
    assert [text for text in said if text.startswith("not exported: cannot reach")] == said[1:]
    with receiver_of(protocol)(port) as receiver:
        again = delivered([], receiver.url, tmp_path, protocol=protocol)
        assert again.words() == f"0 exported, {_MANY} more from the spool"
        check_delivered(traces, receiver, [account, again])
        third = delivered(traces, receiver.url, tmp_path, protocol=protocol)
        assert third.words() == f"0 exported, {_MANY} already delivered"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_back_in_time(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that comes up while the sender is patient gets all; nothing needs to be said of copies."""
    traces, port, clock = payloads(_MANY), free_port(), Clock()
    ready = threading.Event()
    stop = threading.Event()
    receivers: list[Receiver] = []

    def come_up() -> None:
        with receiver_of(protocol)(port) as receiver:
            receivers.append(receiver)
            ready.set()
            stop.wait()

    thread = threading.Thread(target=come_up)

    def sleep(seconds: float) -> None:
        if not thread.is_alive():
            thread.start()
            ready.wait()
        stop.wait(0.2)  # a gRPC channel takes its time to look again
        Clock.sleep(clock, seconds)

    monkeypatch.setattr(clock, "sleep", sleep)  # the moment at which it comes up
    try:
        account = delivered(traces, f"http://127.0.0.1:{port}", tmp_path, protocol=protocol, clock=clock, timeout_s=60)
        assert account.words() == f"{_MANY} exported"
        check_delivered(traces, receivers[0], [account])
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gone_for_a_while(protocol: str, tmp_path: Path) -> None:
    """It refuses in the middle of a run: what was kept meanwhile is tried once more at the end, and arrives."""
    traces, clock = payloads(_MANY), Clock()
    away = Reply(status=503, code=grpc.StatusCode.UNAVAILABLE, details="shutting down", takes=False)
    with receiver_of(protocol)() as receiver:
        receiver.replies = [Reply(), *[away] * 4]
        account = delivered(traces, receiver.url, tmp_path, protocol=protocol, clock=clock)
        assert account.exported.traces == _MANY
        assert account.complete
        assert not account.reasons
        check_delivered(traces, receiver, [account])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hanging(protocol: str, tmp_path: Path) -> None:
    """It takes the spans and says nothing: kept, since nobody knows; the second copy is counted and identical."""
    traces = payloads(3)
    said: list[str] = []
    with receiver_of(protocol)() as receiver:
        receiver.reply = Reply(hangs=True)
        account = delivered(traces[:1], receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.3)
        assert account.reasons == {Reason.TIMEOUT: account.spooled}
        assert account.spooled.traces == 1
        assert "did not answer within 0.3 s" in said[0]
        receiver.go_on.set()
        receiver.reply = Reply()
        again = delivered(traces, receiver.url, tmp_path, protocol=protocol)
        assert again.words() == "3 exported, 1 re-sent"
        assert receiver.copies() == {traces[0].ident[:32]: account.re_sent.traces + 1}
        check_delivered(traces, receiver, [account, again])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(50 if os.environ.get("OTELMIG_FULL") else 2))
def test_connections_that_break_anywhere(protocol: str, seed: int, tmp_path: Path) -> None:
    """Resets after any number of bytes, there or back: in the end all is there, and no copy is kept quiet about."""
    chance = random.Random(seed)
    traces = payloads(20 if protocol == "http/json" else _MANY)
    cuts = [
        Cut(there=chance.randrange(60_000)) if chance.random() < 0.5 else Cut(back=chance.randrange(400))
        for _ in range(12)
    ]
    accounts = []
    with receiver_of(protocol)() as receiver, broken_wire(receiver.url, cuts) as url:
        for _ in range(20):
            accounts.append(delivered(traces, url, tmp_path, protocol=protocol, timeout_s=0.5))
            if accounts[-1].complete:
                break
        assert accounts[-1].complete
        assert accounts[-1].waiting.traces == 0
        check_delivered(traces, receiver, accounts)
    assert sum(account.exported.traces + account.from_spool.traces for account in accounts) == len(traces)


def test_reset_in_the_middle_of_the_answer(tmp_path: Path) -> None:
    """The request was taken, the answer lost: sent again, and exactly that copy is counted."""
    traces = payloads(5)
    with http_receiver() as receiver:
        receiver.replies = [Reply(breaks=True)]
        account = delivered(traces, receiver.url, tmp_path)
        assert account.words() == "5 exported, 5 re-sent"
        assert receiver.copies().total() == 5
        check_delivered(traces, receiver, [account])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_wrong_protocol(protocol: str, tmp_path: Path) -> None:
    """A port of gRPC spoken to in HTTP, or the reverse: the preflight names the option before any span leaves."""
    said: list[str] = []
    with (http_receiver if protocol == "grpc" else grpc_receiver)() as receiver:
        account = delivered(payloads(2), receiver.url, tmp_path, said, protocol=protocol)
        assert account.words() == "0 exported, 2 spooled (2 not otlp)"
        assert len(said) == 1
        assert f"say `Settings.protocol` {'http/protobuf' if protocol == 'grpc' else 'grpc'}" in said[0]
        assert not receiver.requests


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_too_large_for_the_receiver(protocol: str, tmp_path: Path) -> None:
    """A request that is too large is sent again trace by trace; a trace that is too large by itself is kept."""
    traces = payloads(4)
    said: list[str] = []
    large = Reply(
        status=413,
        code=grpc.StatusCode.RESOURCE_EXHAUSTED,
        details="grpc: received message larger than max (9 vs. 4)",
        takes=False,
    )
    with receiver_of(protocol)() as receiver:
        receiver.replies = [large, Reply(), large]
        account = delivered(traces, receiver.url, tmp_path, said, protocol=protocol)
        assert account.words() == "3 exported, 1 spooled (1 too large)"
        assert len(receiver.requests) == 5
        assert not receiver.copies()
        waiting = delivered([], receiver.url, tmp_path, protocol=protocol)
        assert waiting.words() == "0 exported"
        assert waiting.waiting.traces == 1


def test_secrets_stay_secret(otelmig: Otelmig, tmp_path: Path) -> None:
    """Credentials reach the receiver and nothing else, even if the receiver repeats them."""
    secret = "hunter2SECRET"  # noqa: S105 - the bait
    logs = inputs("v53.0-twohosts")
    options = ("--header", f"Authorization=Bearer {secret}", "--header", f"x-key={secret}2")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine 127.0.0.1 login nobody password wrong\n")
    (home / ".netrc").chmod(0o600)
    outputs = []
    with http_receiver() as receiver, grpc_receiver() as other:
        receiver.reply = Reply(body=rejection(1, f"no quota for Bearer {secret}"))
        outputs += [otelmig("trace", "--json", *logs, "--otlp", receiver.url, *options, HOME=str(home))]
        assert {headers["authorization"] for headers in receiver.headers} == {f"Bearer {secret}"}
        receiver.reply = Reply(status=302, headers={"Location": f"http://u:{secret}@x/?t={secret}"})
        with_user = receiver.url.replace("http://", f"http://me:{secret}@") + f"/v1/traces?token={secret}"
        outputs += [otelmig("trace", "--json", *logs, "--otlp", with_user, OTELMIG_DEBUG="1")]
        assert receiver.headers[-1]["authorization"].startswith("Basic ")
        other.reply = Reply(code=grpc.StatusCode.UNAUTHENTICATED, details=f"bad token {secret}")
        grpc_options = ("--protocol", "grpc", "--otlp", other.url)
        outputs += [otelmig("trace", "--json", *logs, *grpc_options, OTEL_EXPORTER_OTLP_HEADERS=f"a=b%20{secret}")]
        outputs += [otelmig("send", "--json", "--dry-run", "--otlp", with_user, *options)]
    assert [done.returncode for done in outputs] == [3, 3, 3, 0]
    assert "no quota for ***" in outputs[0].stderr
    for done in outputs:
        assert "hunter2" not in done.stdout + done.stderr
    kept = [path for path in (tmp_path / "spool").iterdir() if path.is_file()]
    assert any(path.name.startswith("segment-") for path in kept)
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]
