"""What a receiver is known to have: told apart by endpoint, by content, and by whether the content is an estimate."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from delivery_cases import check_delivered, delivered, delivery_to, payloads
from framings import journal_json
from msgspec.structs import replace
from otlp_receiver import Reply, free_port, http_receiver
from trace_invariants import CORPUS

from otelmig.otlp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Otelmig


def test_each_trace_once(tmp_path: Path) -> None:
    """Given twice in one run or in two, with a spool or (in one run) without: sent once."""
    traces = payloads(30)
    with http_receiver() as receiver:
        account = delivered([*traces, *traces[::-1]], receiver.url, tmp_path)
        assert account.words() == "30 exported, 30 already delivered"
        again = delivered([*traces[:3], *payloads(1, 31)], receiver.url, tmp_path)
        assert again.words() == "1 exported, 3 already delivered"
        check_delivered(payloads(31), receiver, [])
        third = delivered([*traces, *traces], receiver.url, None)
        assert third.words() == "30 exported, 30 already delivered"
        fourth = delivered(traces, receiver.url, tmp_path, resend=True)
        assert fourth.words() == "30 exported, 30 re-sent"
        assert set(receiver.copies().values()) == {2}, "without a spool nothing is remembered"


def test_endpoints_are_told_apart(tmp_path: Path) -> None:
    """What waits for one endpoint is not sent to another by chance, only by `send`; each remembers its own."""
    traces = payloads(3)
    down = f"http://127.0.0.1:{free_port()}"
    delivered(traces, down, tmp_path, timeout_s=0.1)
    with http_receiver() as one, http_receiver() as other:
        assert delivered([], one.url, tmp_path).words() == "0 exported"
        assert delivered(traces[:1], one.url, tmp_path).words() == "1 exported"
        with delivery_to(one.url, tmp_path, []) as delivery:
            delivery.deliver_spool()
        assert delivery.account.words() == "2 exported, 1 already delivered"
        assert delivery.account.waiting.traces == 0
        assert delivered(traces, other.url, tmp_path).words() == "3 exported"
        check_delivered(traces, one, [])
        check_delivered(traces, other, [])


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


def _received(log: Path, later_s: int) -> None:
    """A log without a wall clock, as a journal got it."""
    plain = (CORPUS / "v48.0-refused" / "source.log").read_bytes()
    began_ns = (1_800_000_000 + later_s) * 10**9
    log.write_bytes(journal_json(plain, began_ns=began_ns, host="a", pid=7, machine_id="1" * 32, boot_id="2" * 32))


def _undated(log: Path, later_s: int) -> None:
    """A log whose wall clock has no date."""
    dated = (CORPUS / "v53.0-wallclock" / "source.log").read_bytes()
    log.write_bytes(re.sub(rb"(?m)^2026-11-23T([\d:.]+)Z \S+ <.*?> (\w+):\S+ --", rb"\1 \2", dated))
    os.utime(log, (1_800_000_000 + later_s, 1_800_000_000 + later_s))


@pytest.mark.parametrize(
    ("kind", "write", "later_s"), [("receipt", _received, 777), ("partial_wallclock", _undated, 90_000)]
)
def test_estimated_another_time(
    kind: str, write: Callable[[Path, int], None], later_s: int, otelmig: Otelmig, tmp_path: Path
) -> None:
    """A log that was received again, or whose date is another guess, gives a trace that the receiver has already."""
    log = tmp_path / "source.log"
    command = ("trace", "-q", "--json", log, "--log-format", "{hour}:{minute}:{second}.{micros} {level} {msg}")
    with http_receiver() as receiver:
        write(log, 0)
        done = otelmig(*command, "--otlp", receiver.url)
        write(log, later_s)
        again = otelmig(*command, "--otlp", receiver.url)
        first, second = (json.loads(run.stdout)["migrations"][0] for run in (done, again))
        assert (first["epoch_origin"], second["epoch_origin"]) == (kind, kind)
        assert first["start"] != second["start"]
        assert "1 exported" in done.stderr
        assert "0 exported, 1 already delivered" in again.stderr
        assert len(receiver.requests) == 1


def test_tenants_of_one_url(tmp_path: Path) -> None:
    """Users and queries make receivers of their own; the spool has them as digests."""
    traces = payloads(1)
    with http_receiver() as receiver:
        place = f"{receiver.url.removeprefix('http://')}/v1/traces"
        urls = [f"http://{place}", f"http://anna@{place}", f"http://otto@{place}", f"http://{place}?tenant=anna"]
        for _ in range(2):
            words = [delivered(traces, url, tmp_path).words() for url in urls]
        assert words == ["0 exported, 1 already delivered"] * 4
        assert len(receiver.requests) == 4
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"anna" not in kept
    assert b"otto" not in kept
