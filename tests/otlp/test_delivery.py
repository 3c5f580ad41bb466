"""Delivery by a receiver that does what it should: what is sent when, how often, and what is remembered of it."""

from __future__ import annotations

import json
import os
import random
import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery_cases import PROTOCOLS, Clock, check_delivered, delivered, delivery_to, payloads
from otlp_receiver import Reply, free_port, http_receiver, receiver_of
from trace_invariants import CORPUS, inputs
from transports import journal_json

from otelmig.otlp.delivery import PER_BATCH, Origin
from otelmig.otlp.payload import Payload
from otelmig.otlp.receiver.sender import Sender
from otelmig.otlp.receiver.settings import Settings
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Otelmig


def test_kept_before_it_is_sent(tmp_path: Path) -> None:
    """When a receiver gets its first byte, the spool holds the batch and says that it is being sent."""
    given = payloads(PER_BATCH + 1)
    with http_receiver() as receiver:
        receiver.reply = Reply(hangs=True)
        sender = threading.Thread(target=lambda: delivered(given, receiver.url, tmp_path, timeout_s=30))
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
        check_delivered(given, receiver, [])


def test_each_trace_once(tmp_path: Path) -> None:
    """Given twice in one run or in two, with a spool or (in one run) without: sent once."""
    given = payloads(30)
    with http_receiver() as receiver:
        account = delivered([*given, *given[::-1]], receiver.url, tmp_path)
        assert account.words() == "30 exported, 30 already delivered"
        again = delivered([*given[:3], *payloads(1, 31)], receiver.url, tmp_path)
        assert again.words() == "1 exported, 3 already delivered"
        check_delivered(payloads(31), receiver, [])
        third = delivered([*given, *given], receiver.url, None)
        assert third.words() == "30 exported, 30 already delivered"
        fourth = delivered(given, receiver.url, tmp_path, resend=True)
        assert fourth.words() == "30 exported, 30 re-sent"
        assert set(receiver.copies().values()) == {2}, "without a spool nothing is remembered"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_power_failure(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what was synced is left, when a request arrives: one batch may go twice, and is counted."""
    given = payloads(3 * PER_BATCH + 1)
    synced: dict[str, bytes] = {}
    sync = os.fsync

    def noting(descriptor: int) -> None:
        sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            synced[path.name] = path.read_bytes()

    monkeypatch.setattr(os, "fsync", noting)
    with receiver_of(protocol)() as receiver:
        states: list[dict[str, bytes]] = []
        take: Callable[[bytes, dict[str, str]], Reply] = receiver.take

        def taking(body: bytes, headers: dict[str, str]) -> Reply:
            states.append(dict(synced))
            return take(body, headers)

        receiver.take = taking
        delivered(given, receiver.url, tmp_path / "spool", protocol=protocol)
        receiver.take = take
        assert len(states) > len(given) / PER_BATCH
        for number, state in enumerate(states[1 :: max(len(states) // 10, 1)]):  # without the preflight
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            for name in ("format", "lock"):
                (folder / name).write_bytes((tmp_path / "spool" / name).read_bytes())
            for name, content in state.items():
                (folder / name).write_bytes(content)
            again = delivered(given, receiver.url, folder, protocol=protocol)
            before = again.already_delivered.traces
            assert before % PER_BATCH == 0
            assert before + again.exported.traces == len(given)
            assert again.re_sent.traces == min(PER_BATCH, len(given) - before)


def test_endpoints_are_told_apart(tmp_path: Path) -> None:
    """What waits for one endpoint is not sent to another by chance, only by `send`; each remembers its own."""
    given = payloads(3)
    down = f"http://127.0.0.1:{free_port()}"
    delivered(given, down, tmp_path, timeout_s=0.1)
    with http_receiver() as one, http_receiver() as other:
        assert delivered([], one.url, tmp_path).words() == "0 exported"
        assert delivered(given[:1], one.url, tmp_path).words() == "1 exported"
        with delivery_to(one.url, tmp_path, []) as delivery:
            delivery.deliver_spool()
        assert delivery.account.words() == "2 exported, 1 already delivered"
        assert delivery.account.waiting.traces == 0
        assert delivered(given, other.url, tmp_path).words() == "3 exported"
        check_delivered(given, one, [])
        check_delivered(given, other, [])


def test_without_a_spool(tmp_path: Path) -> None:
    """What is not delivered is said not to be exported; nothing is written anywhere."""
    account = delivered(payloads(3), f"http://127.0.0.1:{free_port()}", None, timeout_s=0.1)
    assert account.words() == "0 exported, 3 not exported (3 unreachable)"
    assert not list(tmp_path.iterdir())


def test_one_bad_trace_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    """A batch that is refused as a whole goes trace by trace, so that only the bad one stays."""
    given, bad = payloads(10), Reply(status=400, takes=False)
    with http_receiver() as receiver:
        receiver.replies = [bad, Reply(), Reply(), bad]
        account = delivered(given, receiver.url, tmp_path)
        assert account.words() == "9 exported, 1 spooled (1 rejected by receiver)"
        assert not receiver.copies()


def test_dead_receiver_is_asked_now_and_then(tmp_path: Path) -> None:
    """It is not tried for every batch; once some seconds have passed it is asked without spans, and goes on."""
    port, clock = free_port(), Clock()
    given = payloads(6 * PER_BATCH)
    with delivery_to(f"http://127.0.0.1:{port}", tmp_path, [], clock=clock) as delivery:

        def slowly(batch: list[Payload]) -> Iterator[Payload]:
            for payload in batch:
                clock.now += 0.1
                yield payload

        delivery.deliver(slowly(given[: 3 * PER_BATCH]), Origin.TRACED)
        assert delivery.account.spooled.traces == 3 * PER_BATCH
        assert sum(clock.pauses) <= 2.0, "patience once, not for every batch"
        with http_receiver(port) as receiver:
            delivery.deliver(slowly(given[3 * PER_BATCH :]), Origin.TRACED)
            assert receiver.requests
            delivery.deliver_leftovers()
            assert delivery.account.words() == f"{6 * PER_BATCH} exported"
            check_delivered(given, receiver, [])


def test_pauses_grow_and_differ() -> None:
    """Each pause is about twice the one before, drawn from the random source, and all of them fit into the timeout."""
    settings = Settings.of({}, url=f"http://127.0.0.1:{free_port()}", timeout_s=10)
    found = []
    for seed in (1, 1, 2):
        clock = Clock()
        jitter = random.Random(seed).random  # noqa: S311 - no secret
        sender = Sender(settings, sleep=clock.sleep, clock=clock, jitter=jitter)
        assert sender.send(b"").answer.failure is not None
        sender.close()
        assert sum(clock.pauses) < 10
        assert all(0.125 <= pause / 2**number < 0.375 for number, pause in enumerate(clock.pauses))
        found.append(clock.pauses)
    assert found[0] == found[1] != found[2]
    assert len(found[0]) >= 4


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


def test_account_says_everything_in_json(otelmig: Otelmig) -> None:
    """`--json` has one object about the delivery, with the same keys whether it worked or not."""
    logs = inputs("v53.0-retry")
    with http_receiver() as receiver:
        good = json.loads(otelmig("trace", "--json", *logs, "--otlp", receiver.url).stdout)["delivery"]
    bad = json.loads(otelmig("trace", "--json", *logs, "--otlp", receiver.url, "--timeout", "0.1").stdout)["delivery"]
    none = json.loads(otelmig("trace", "--json", *logs).stdout)["delivery"]
    assert none is None
    assert list(good) == list(bad)
    assert good["exported"]["traces"] == bad["already_delivered"]["traces"] == 2


def test_what_is_kept_is_what_is_sent(tmp_path: Path) -> None:
    """The same trace with another time does not replace what may have arrived; a receiver that has one has it."""
    (first,) = payloads(1)
    later = Payload.of_line(first.line.replace(b'"startTimeUnixNano":"1', b'"startTimeUnixNano":"2'))
    assert later.ident == first.ident
    assert later.digest != first.digest
    with http_receiver() as receiver:
        receiver.reply = Reply(hangs=True)
        account = delivered([first, later], receiver.url, tmp_path, timeout_s=0.3)
        assert account.waiting.traces == 1
        receiver.go_on.set()
        receiver.reply = Reply()
        again = delivered([later], receiver.url, tmp_path)
        assert again.words() == "1 exported, 1 re-sent"
        check_delivered([first], receiver, [account, again])
        estimated, known = replace(later, estimated=True), replace(later, estimated=False)
        assert delivered([estimated], receiver.url, tmp_path).words() == "0 exported, 1 already delivered"
        differs = delivered([known], receiver.url, tmp_path)
        assert differs.words() == "0 exported, 1 not exported (1 delivered before with other content)"
        check_delivered([first], receiver, [account, again])


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
    """At every sync it is either as before, or the trace waits and its second copy is counted."""
    given, spool = payloads(3), tmp_path / "spool"
    stuck = payloads(1, 99)  # so that what is delivered stays in its segment
    synced: dict[str, bytes] = {}
    states: list[dict[str, bytes]] = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        sync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            synced[path.name] = path.read_bytes()
            states.append(dict(synced))

    with http_receiver() as receiver:
        receiver.replies = [Reply(status=400, takes=False)]
        delivered(stuck, receiver.url, spool)
        delivered(given, receiver.url, spool)
        synced |= {path.name: path.read_bytes() for path in spool.iterdir()}
        monkeypatch.setattr(os, "fsync", noting)
        receiver.reply = Reply(status=503, takes=False)
        down = delivered(given, receiver.url, spool, resend=True, timeout_s=0.1)
        assert down.words() == "0 exported, 3 spooled (3 receiver busy)"
        monkeypatch.setattr(os, "fsync", sync)
        receiver.reply = Reply()
        found = []
        for number, state in enumerate(states):
            folder = tmp_path / str(number)
            folder.mkdir(mode=0o700)
            for name, content in state.items():
                (folder / name).write_bytes(content)
            before = len(receiver.taken)
            found.append(delivered(given, receiver.url, folder).words())
            assert (len(receiver.taken) > before) == (found[-1] == "3 exported, 3 re-sent")
            assert delivered(given, receiver.url, folder).words() == "0 exported, 3 already delivered"
    assert found == sorted(found), "first the one, then the other"
    assert set(found) == {"0 exported, 3 already delivered", "3 exported, 3 re-sent"}


def test_expired_receipt_and_a_receiver_that_is_down(tmp_path: Path) -> None:
    """A trace whose receipt is forgotten is sent once more, and if that fails, it waits all the same."""
    (given,) = payloads(1)
    now = [1_000_000.0]

    def opened() -> Spool:
        return Spool(tmp_path, Bounds(age_s=100), now_s=lambda: now[0])

    spool = opened()
    spool.acknowledge([given, *payloads(3, 2)], "http://here/v1/traces")
    now[0] += 90
    spool.acknowledge(payloads(9, 20), "http://here/v1/traces")
    spool.close()
    now[0] += 20
    spool = opened()
    spool.tidy()
    assert spool.delivered(given.ident, "http://here/v1/traces") is None
    spool.store([given], "http://here/v1/traces", lines=True, sending=False)
    spool.close()
    spool = opened()
    assert [(entry.ident, entry.uncertain) for entry in spool.waiting()] == [(given.ident, True)]
    spool.close()


def test_touched_log(otelmig: Otelmig, tmp_path: Path) -> None:
    """A log without a wall clock that was copied since: its trace has another time, and the receiver has it already."""
    log = tmp_path / "source.log"
    log.write_bytes((CORPUS / "v48.0-refused" / "source.log").read_bytes())
    with http_receiver() as receiver:
        down = otelmig("trace", "-q", log, "--otlp", f"http://127.0.0.1:{free_port()}", "--timeout", "0.1")
        os.utime(log, (1_800_000_000, 1_800_000_000))
        done = otelmig("trace", "-q", log, "--otlp", receiver.url)
        os.utime(log, (1_800_000_777, 1_800_000_777))
        again = otelmig("trace", "-q", log, "--otlp", receiver.url)
        sent = otelmig("send", "--otlp", receiver.url)
        assert (down.returncode, done.returncode, again.returncode, sent.returncode) == (3, 0, 0, 0)
        assert "0 exported, 1 already delivered" in again.stderr
        assert sent.stderr == "1 trace found, 0 exported, 1 already delivered\n"
        assert len(receiver.requests) == 1
        assert otelmig("send", "--otlp", receiver.url).stderr == "0 traces found, 0 exported\n"


def _received(log: Path, second_time: bool) -> None:  # noqa: FBT001 - of the table
    """A log without a wall clock, as a journal got it."""
    plain = (CORPUS / "v48.0-refused" / "source.log").read_bytes()
    began_ns = 1_800_000_777 * 10**9 if second_time else 1_800_000_000 * 10**9
    log.write_bytes(journal_json(plain, began_ns=began_ns, host="a", pid=7, machine_id="1" * 32, boot_id="2" * 32))


def _undated(log: Path, second_time: bool) -> None:  # noqa: FBT001 - of the table
    """A log whose wall clock has no date."""
    dated = (CORPUS / "v53.0-wallclock" / "source.log").read_bytes()
    log.write_bytes(re.sub(rb"(?m)^2026-11-23T([\d:.]+)Z \S+ <.*?> (\w+):\S+ --", rb"\1 \2", dated))
    os.utime(log, (1_800_090_000, 1_800_090_000) if second_time else (1_800_000_000, 1_800_000_000))


@pytest.mark.parametrize(("kind", "write"), [("receipt", _received), ("partial_wallclock", _undated)])
def test_estimated_another_time(
    kind: str, write: Callable[[Path, bool], None], otelmig: Otelmig, tmp_path: Path
) -> None:
    """A log that was received again, or whose date is another guess, gives a trace that the receiver has already."""
    log = tmp_path / "source.log"
    command = ("trace", "-q", "--json", log, "--log-format", "{hour}:{minute}:{second}.{micros} {level} {msg}")
    with http_receiver() as receiver:
        write(log, False)  # noqa: FBT003 - of the table
        done = otelmig(*command, "--otlp", receiver.url)
        write(log, True)  # noqa: FBT003 - of the table
        again = otelmig(*command, "--otlp", receiver.url)
        first, second = (json.loads(each.stdout)["migrations"][0] for each in (done, again))
        assert (first["epoch_origin"], second["epoch_origin"]) == (kind, kind)
        assert first["start"] != second["start"]
        assert "1 exported" in done.stderr
        assert "0 exported, 1 already delivered" in again.stderr
        assert len(receiver.requests) == 1


def test_tenants_of_one_url(tmp_path: Path) -> None:
    """Users and queries make receivers of their own; the spool has them as digests."""
    given = payloads(1)
    with http_receiver() as receiver:
        place = f"{receiver.url.removeprefix('http://')}/v1/traces"
        urls = [f"http://{place}", f"http://anna@{place}", f"http://otto@{place}", f"http://{place}?tenant=anna"]
        for _ in range(2):
            words = [delivered(given, url, tmp_path).words() for url in urls]
        assert words == ["0 exported, 1 already delivered"] * 4
        assert len(receiver.requests) == 4
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"anna" not in kept
    assert b"otto" not in kept
