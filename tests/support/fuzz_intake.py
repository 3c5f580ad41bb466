"""Mutated requests with logs: `python tests/support/fuzz_intake.py --requests 1000000 --seed 1`.

Whatever is sent, the decoder returns or says that it is no request at all, and the server answers so that the sender
does not come again with it: never 503, never 500, never nothing where a whole request came. Every request follows from
the seed and its number: `--seed S --first N --requests 1` sends one again. `--decode` leaves the server out.
"""

from __future__ import annotations

import argparse
import gzip
import random
import resource
import socket
import sys
import time
import zlib
from collections import Counter
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from intake_client import WireClient, intake, post
from sent_logs import file_record, json_of, log_record, request

from otelmig.otlp.intake.exchange import Limits, ReceivedRequest, Verdict
from otelmig.otlp.intake.request import MalformedRequestError, ReceivedLogs, decode_logs

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelmig.otlp.intake.http import HttpIntake

__all__ = ["Mutated", "check_decoded", "decode_all", "mutated", "send_all"]

_EXPECTED: Final = frozenset({200, 400, 404, 405, 411, 413, 415, 417, 431})
_WRECKED: Final = 0.1
"""The part of the requests whose HTTP is mutated, too."""
_BYTES: Final = (
    b"\x00",
    b"\xff",
    b"\x80",
    b"\x0a",
    b"\x12",
    b"\xff" * 9 + b"\x01",
    b"\xff" * 11,
    b"\xc3\x28",
    b"\xed\xa0\x80",
)
_TEXTS: Final = (
    *(b"null", b"[]", b"{}", b"{", b"]", b'"', b"\\", b"\\ud800", b"-1", b"1e999", b"NaN", b"9" * 40, b"true", b"\x00"),
    *(b'"kvlistValue"', b'"arrayValue"', b'"bytesValue"', b'"intValue"', b'"doubleValue"', b'"values"', b"[" * 50),
)
_PIECE: Final = 64
_AT_ONCE: Final = 50
_SAID_EVERY: Final = 50_000
_CODINGS: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    ("identity", bytes),
    ("gzip", partial(gzip.compress, compresslevel=1)),
    ("deflate", partial(zlib.compress, level=1)),
    ("zstd", lambda data: bytes(zstd.compress(data))),
)


class Mutated(NamedTuple):
    """A request with something done to it."""

    body: bytes
    is_json: bool
    sent: bytes
    """The same over HTTP."""
    is_whole: bool
    """Whether its HTTP is as it should be."""


@cache
def _seeds() -> tuple[tuple[bytes, bool], ...]:
    """Return requests of every kind that is known, with whether each is JSON."""
    entry = {"MESSAGE": "hello", "__CURSOR": "s=1;i=2;b=3", "_HOSTNAME": "h", "_PID": "5", "_SYSTEMD_UNIT": "a.service"}
    pod = {"k8s.pod.name": "p", "k8s.pod.uid": "u", "k8s.container.restart_count": 3}
    ids = {"trace_id": bytes(range(16)), "span_id": bytes(range(8)), "flags": 1, "time_unix_nano": 9}
    messages = (
        request(
            [file_record("cloud-hypervisor: 1.0s: <vmm> INFO:a.rs:1 -- hello", 0, 1), file_record("w\u00f6rld", 60, 2)]
        ),
        request([file_record(f"line {number}", 10 * number, number + 1) for number in range(30)]),
        request([log_record(entry), log_record(entry | {"MESSAGE": [104.0, 255.0], "_MACHINE_ID": "m"})]),
        request([log_record({"log": "x", "kubernetes": {"pod_name": "p", "deep": {"er": [1, {"a": b"b"}]}}}, pod)]),
        request([log_record(None, {"url": "tcp:h:1", "n": [1, 2.5]}, event_name="vm.migration.announced", **ids)]),
        request([log_record(b"\x00\xff", {"log.file.name": "n"})], [], resource={"host.ip": ["10.0.0.1", "fe80::1"]}),
        request(),
    )
    return tuple(
        (encode(message), is_json)
        for message in messages
        for is_json, encode in ((False, lambda each: bytes(each.SerializeToString())), (True, json_of))
    )


def mutated(seed: int, number: int) -> Mutated:
    """Return the request that follows from a seed and a number."""
    rng = random.Random(f"{seed}:{number}")
    body, is_json = rng.choice(_seeds())
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 8))):
        body = _changed(body, rng, is_json=is_json)
    if rng.random() < 0.02:
        is_json = not is_json
    coding, compress = rng.choice(_CODINGS)
    packed = compress(body)
    if coding != "identity" and rng.random() < 0.1:
        packed = _changed(packed, rng, is_json=False)
    headers = {"Content-Type": "application/json" if is_json else "application/x-protobuf", "Content-Encoding": coding}
    if rng.random() < 0.2:
        headers["Transfer-Encoding"] = "chunked"
        packed = _chunked(packed, rng)
    sent = post(packed, headers)
    is_whole = rng.random() >= _WRECKED
    return Mutated(body, is_json, sent if is_whole else _changed(sent, rng, is_json=False), is_whole)


def _changed(data: bytes, rng: random.Random, *, is_json: bool) -> bytes:
    begin = rng.randrange(len(data) + 1)
    end = min(begin + rng.choice((1, 2, rng.randrange(_PIECE))), len(data))
    other, _ = rng.choice(_seeds())
    place = rng.randrange(len(other) + 1)
    middle = rng.choice(
        (
            b"",
            rng.choice(_TEXTS if is_json else _BYTES),
            data[begin:end] * rng.choice((2, 3, 50)),
            other[place : place + rng.randrange(200)],
            rng.randbytes(end - begin),
            bytes(each ^ (1 << rng.randrange(8)) for each in data[begin:end][:2]) + data[begin:end][2:],
        )
    )
    rest = rng.choice((data[end:], data[end:], data[end:], data[end:], b"", data[end:] + data[:begin]))
    return data[:begin] + middle + rest


def _chunked(data: bytes, rng: random.Random) -> bytes:
    parts = []
    while data:
        size = rng.randrange(1, len(data) + 1)
        parts.append(b"%x\r\n%b\r\n" % (size, data[:size]))
        data = data[size:]
    return b"".join((*parts, b"0\r\n\r\n"))


def check_decoded(received: ReceivedLogs) -> None:
    """Check what a decoder may return."""
    for record in received.records:
        texts = [record.text, *record.file, record.writer, record.epoch]
        if record.host is not None:
            texts += [record.host.name or "", record.host.id or "", *record.host.ips]
        assert "".join(texts).encode() is not None  # raises for what no encoding has
        assert record.file.path
        assert all(each is None or 0 <= each < 1 << 63 for each in (record.offset, record.number, record.received_ns))
        assert record.size >= 0
    for announcement in received.announcements:
        assert (len(announcement.trace_id), len(announcement.span_id)) in ((0, 0), (32, 16))
        assert str(announcement.attributes).encode() is not None
    assert all(count > 0 and reason for reason, count in received.passed_over.items())


def _verdict(received: ReceivedRequest) -> Verdict:
    try:
        logs = decode_logs(received.body, is_json=received.is_json)
    except MalformedRequestError as error:
        return Verdict(HTTPStatus.BAD_REQUEST, error.reason)
    check_decoded(logs)
    return Verdict(reason="passed over" if logs.passed_over else "")


def decode_all(seed: int, first: int, count: int) -> Counter[str]:
    """Decode requests; return how many were what."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        case = mutated(seed, number)
        try:
            logs = decode_logs(case.body, is_json=case.is_json)
        except MalformedRequestError:
            outcomes["malformed"] += 1
            continue
        check_decoded(logs)
        assert decode_logs(case.body, is_json=case.is_json) == logs
        outcomes["passed over" if logs.passed_over else "taken"] += 1
    return outcomes


def send_all(seed: int, first: int, count: int, say: Callable[[str], None] = lambda _: None) -> Counter[str]:
    """Send requests to a server; return how many were answered with what, and whatever should not be."""
    outcomes: Counter[str] = Counter()
    with intake(_verdict, limits=Limits(body_s=10.0)) as server:
        for begin in range(first, first + count, _AT_ONCE):
            if begin % _SAID_EVERY < _AT_ONCE:
                say(f"{begin} {dict(outcomes.most_common())}")
            numbers = range(begin, min(begin + _AT_ONCE, first + count))
            cases = {number: mutated(seed, number) for number in numbers}
            outcomes.update(_wrecked(server, case.sent) for case in cases.values() if not case.is_whole)
            whole = {number: case.sent for number, case in cases.items() if case.is_whole}
            while whole:
                for number, outcome in _answered(server, whole):
                    outcomes[outcome] += 1
                    del whole[number]
                    if outcome.startswith("fault"):
                        say(f"--seed {seed} --first {number}: {outcome}")
    return outcomes


def _answered(server: HttpIntake, whole: Mapping[int, bytes]) -> list[tuple[int, str]]:
    """Send requests one behind the other over one connection; return what became of those that were answered."""
    outcomes: list[tuple[int, str]] = []
    with WireClient(server.address) as client:
        try:
            client.send(b"".join(whole.values()))
            for number in whole:
                answer = client.answer()
                status = str(answer.status)
                outcomes.append((number, status if answer.status in _EXPECTED else f"fault: {status}"))
                if answer.headers.get("connection") == "close":
                    return outcomes  # those behind it are for another connection
        except OSError as error:
            unanswered = next(number for number in whole if number not in dict(outcomes))
            outcomes.append((unanswered, f"fault: {type(error).__name__}"))
    return outcomes


def _wrecked(server: HttpIntake, sent: bytes) -> str:
    """Send what is no HTTP any more, and nothing after it; return what became of it: the connection always ends."""
    with WireClient(server.address) as client:
        try:
            client.send(sent)
            client.socket.shutdown(socket.SHUT_WR)
            said = b""
            while more := client.socket.recv(1 << 16):
                said += more
        except TimeoutError:
            return "fault: a connection that does not end"
        except OSError:
            return "broken off"
    status = said[9:12].decode("latin-1")
    if status in ("500", "503"):
        return f"fault: {status}"
    return f"wrecked: {status}" if said else "wrecked: closed"


def main() -> int:
    """Send requests; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description="Mutated requests with logs.")
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many (default: a million)")
    parser.add_argument("--seed", type=int, default=1, help="what they follow from")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--decode", action="store_true", help="decode them, without a server")
    arguments = parser.parse_args()
    say = partial(print, flush=True)  # a program prints what it finds as it finds it
    begin = time.monotonic()
    if arguments.decode:
        outcomes = decode_all(arguments.seed, arguments.first, arguments.requests)
    else:
        outcomes = send_all(arguments.seed, arguments.first, arguments.requests, say)
    seconds, usage = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_SELF)
    for outcome, count in outcomes.most_common():
        say(f"{count:>9} {outcome}")
    cpu_s = usage.ru_utime + usage.ru_stime
    say(f"{arguments.requests} requests in {seconds:.0f} s, {cpu_s:.0f} s of CPU, peak {usage.ru_maxrss >> 10} MiB")
    return any(outcome.startswith("fault") for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
