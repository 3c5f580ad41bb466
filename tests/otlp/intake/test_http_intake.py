"""The HTTP server for logs, on real sockets: every answer that it gives, and what it takes."""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status
from intake_client import LOCAL, PROTOBUF_HEADERS, Held, Inbox, WireClient, intake, post
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from sent_logs import file_record, json_of, request

from otelmig.errors import UsageError
from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.exchange import ReceivedRequest, Verdict
from otelmig.otlp.intake.http import HttpIntake
from otelmig.otlp.intake.request import MalformedRequestError, decode_logs

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE = request([file_record("a", 0, 1)])
BODY = MESSAGE.SerializeToString()
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


def test_a_request_in_protobuf() -> None:
    """What was sent is handed over as it is, and the answer is an empty response in protobuf; the connection stays."""
    inbox = Inbox()
    with intake(inbox) as server, WireClient(server.address) as client:
        for _ in range(3):
            answer = client.post(BODY)
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["content-type"] == "application/x-protobuf"
    assert inbox.requests == [ReceivedRequest(BODY, is_json=False, peer="127.0.0.1")] * 3


def test_a_request_in_json() -> None:
    """The same in JSON; what the handler remarks is told the sender, who has nothing to do about it."""
    inbox = Inbox(Verdict(reason="1 record without a file"))
    with intake(inbox) as server, WireClient(server.address) as client:
        answer = client.post(json_of(MESSAGE), JSON_HEADERS)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body) == {"partialSuccess": {"errorMessage": "1 record without a file"}}
    assert inbox.requests[0].is_json
    assert decode_logs(inbox.requests[0].body, is_json=True) == decode_logs(BODY, is_json=False)


def test_a_remark_in_protobuf() -> None:
    """The same in protobuf."""
    with intake(Inbox(Verdict(reason="a word"))) as server, WireClient(server.address) as client:
        response = ExportLogsServiceResponse.FromString(client.post(BODY).body)
    assert response.partial_success.error_message == "a word"


def _zstandard(data: bytes) -> bytes:
    return bytes(zstd.compress(data))


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("identity", bytes),
        ("", bytes),
        ("gzip", gzip.compress),
        ("GZIP", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("zlib", zlib.compress),
        ("zstd", _zstandard),
        ("zstd", lambda data: _zstandard(data[:9]) + _zstandard(data[9:])),
    ],
)
def test_encodings_of_the_body(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """The handler gets what was compressed, be it in one part or in several."""
    inbox = Inbox()
    body = BODY * 3_000
    with intake(inbox) as server, WireClient(server.address) as client:
        assert client.post(compress(body), PROTOBUF_HEADERS | {"Content-Encoding": encoding}).status == 200
    assert inbox.requests[0].body == body


def test_bodies_in_chunks() -> None:
    """A body may come in chunks, with extensions and trailers, and each byte on its own."""
    inbox = Inbox()
    head = b"POST /v1/logs?x=1 HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x;name=value\r\n%b\r\n1\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(BODY) - 1, BODY[:-1], BODY[-1:])
    with intake(inbox) as server, WireClient(server.address) as client:
        client.send(head + chunks + head)
        assert client.answer().status == 200
        for byte in chunks:
            client.send(bytes((byte,)))
        assert client.answer().status == 200
        assert client.post(BODY).status == 200
    assert [each.body for each in inbox.requests] == [BODY] * 3


def test_a_sender_that_asks_before_it_sends() -> None:
    """``Expect: 100-continue`` is answered before the body is there; a request that is refused is answered at once."""
    expecting = PROTOBUF_HEADERS | {"Expect": "100-continue"}
    head = post(BODY, expecting).removesuffix(BODY)
    with intake() as server:
        with WireClient(server.address) as client:
            client.send(head)
            assert client.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(BODY)
            assert client.answer().status == 200
        with WireClient(server.address) as client:
            client.send(head.replace(b"/v1/logs", b"/v1/metrics"))
            assert client.answer().status == 404


def test_requests_one_behind_the_other() -> None:
    """A sender may send before it has the answers; they come in order."""
    inbox = Inbox(lambda received: Verdict(reason=str(len(received.body))))
    with intake(inbox) as server, WireClient(server.address) as client:
        client.send(b"".join(post(b"\x00" * size, JSON_HEADERS) for size in range(1, 20)) + b"\r\n")
        for size in range(1, 20):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.socket.recv(1)
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert f'"{size}"'.encode() in client.socket.recv(length, socket.MSG_WAITALL)


@pytest.mark.parametrize("is_json", [False, True])
@pytest.mark.parametrize(
    ("verdict", "code", "retry_after"),
    [
        (Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "the disk is full", 2.5), 14, "3"),
        (Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "busy", 0.0), 14, "1"),
        (Verdict(HTTPStatus.BAD_REQUEST, "no request"), 3, None),
    ],
)
def test_what_the_handler_refuses(*, is_json: bool, verdict: Verdict, code: int, retry_after: str | None) -> None:
    """A refusal says why, in the encoding of the request, and when to come again; the connection stays."""
    with intake(Inbox(verdict)) as server, WireClient(server.address) as client:
        for _ in range(2):
            answer = client.post(BODY, JSON_HEADERS if is_json else PROTOBUF_HEADERS)
            assert (answer.status, answer.headers.get("retry-after")) == (verdict.status, retry_after)
            if is_json:
                assert json.loads(answer.body) == {"code": code, "message": verdict.reason}
            else:
                assert Status.FromString(answer.body) == Status(code=code, message=verdict.reason)
        assert server.refusals() == (("127.0.0.1", verdict.status, verdict.reason, 2),)


def test_what_is_no_request_is_malformed() -> None:
    """A handler that decodes says so of a body that is none: such a body never blocks its sender's queue."""

    def decode(received: ReceivedRequest) -> Verdict:
        try:
            decode_logs(received.body, is_json=received.is_json)
        except MalformedRequestError as error:
            return Verdict(HTTPStatus.BAD_REQUEST, error.reason)
        return Verdict()

    with intake(decode) as server, WireClient(server.address) as client:
        assert client.post(b"\x0a\xff").status == 400
        assert client.post(b"[]", JSON_HEADERS).status == 400
        assert client.post(BODY.replace(b"alpha", b"\xff\xfe\xfd\xfc\xfb")).status == 200
        assert client.post(b"").status == 200


def test_a_handler_that_fails() -> None:
    """Nothing was taken: the request may come again; one that fails three times is given up, so that others pass."""

    def fail(received: ReceivedRequest) -> Verdict:
        if received.body == BODY:
            raise KeyError("secret")
        return Verdict()

    with intake(fail) as server, WireClient(server.address) as client:
        answers = [client.post(BODY) for _ in range(3)]
        assert client.post(b"").status == 200
    assert [answer.status for answer in answers] == [503, 503, 500]
    assert not [answer for answer in answers if b"secret" in answer.body]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(BODY, path="/v1/traces"), 404),
        (post(BODY, path="/v1/metrics"), 404),
        (post(BODY, path="/"), 404),
        (b"GET /v1/logs HTTP/1.1\r\n\r\n", 405),
        (b"PUT /v1/logs HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /status HTTP/1.1\r\n\r\n", 404),
        (post(BODY, {"Content-Type": "text/plain"}), 415),
        (post(BODY, {}), 415),
        (post(BODY, PROTOBUF_HEADERS | {"Content-Encoding": "snappy"}), 415),
        (post(BODY, PROTOBUF_HEADERS | {"Content-Encoding": "gzip"}), 400),
        (post(gzip.compress(BODY)[:-1], PROTOBUF_HEADERS | {"Content-Encoding": "gzip"}), 400),
        (post(_zstandard(BODY)[:-1], PROTOBUF_HEADERS | {"Content-Encoding": "zstd"}), 400),
        (post(b"\x00" * 99, PROTOBUF_HEADERS | {"Content-Encoding": "deflate"}), 400),
        (post(gzip.compress(b"") * 2_000, PROTOBUF_HEADERS | {"Content-Encoding": "gzip"}), 400),
        (post(BODY, PROTOBUF_HEADERS | {"Expect": "the worst"}), 417),
        (b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\n\r\n", 411),
        (b"POST /v1/logs HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (
            b"POST /v1/logs HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            400,
        ),
        (b"POST /v1/logs HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 40_000, 431),
    ],
)
def test_what_is_refused(sent: bytes, status: int) -> None:
    """Whatever is no request with logs is answered with the status that says so; others are served on."""
    inbox = Inbox()
    with intake(inbox) as server:
        with WireClient(server.address) as client:
            client.send(sent)
            assert client.answer().status == status
            assert client.is_closed()
        with WireClient(server.address) as client:
            assert client.post(BODY).status == 200
        assert [(each.status, each.times) for each in server.refusals()] == [(status, 1)]
    assert len(inbox.requests) == 1


def test_the_reason_for_other_signals() -> None:
    """Whoever sends spans or metrics is told in one line, in the encoding that it sent."""
    with intake() as server:
        with WireClient(server.address) as client:
            status = Status.FromString(client.post(BODY, path="/v1/traces").body)
            assert (status.code, status.message) == (12, "this service takes logs, at /v1/logs, and nothing else")
        with WireClient(server.address) as client:
            assert json.loads(client.post(b"{}", JSON_HEADERS, "/v1/metrics").body)["message"] == status.message


def test_status() -> None:
    """``GET /status`` gives the document with its status, as often as it is asked."""
    state = (503, {"replay": "under way"})
    with intake(status=lambda: state) as server, WireClient(server.address) as client:
        client.send(b"GET /status HTTP/1.1\r\n\r\n")
        answer = client.answer()
        assert (answer.status, json.loads(answer.body)) == state
        client.send(b"GET /status?pretty HTTP/1.0\r\n\r\n")
        assert client.answer().headers["connection"] == "close"
        assert client.is_closed()
        with WireClient(server.address) as other:
            assert other.post(b"", path="/status").status == 405


@pytest.mark.parametrize("state", [(99, {}), (200, {"a": object()}), None])
def test_a_status_that_fails(state: Any) -> None:
    """Whoever asks is told that there is a fault, and may ask again; nothing of it ends the server."""
    with intake(status=lambda: state) as server:
        for _ in range(2):
            with WireClient(server.address) as client:
                client.send(b"GET /status HTTP/1.1\r\n\r\n")
                assert client.answer().status == 500


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "", "localhost"])
def test_addresses(host: str) -> None:
    """A server is reached where it says that it listens."""
    server = HttpIntake(Address(host, 0), Inbox())
    server.start()
    family = socket.AF_INET6 if ":" in server.address.host else socket.AF_INET
    target = {"": "127.0.0.1", "localhost": server.address.host}.get(host, host)
    with socket.socket(family if host else socket.AF_INET) as client:
        client.connect((target, server.address.port))
        client.sendall(post(BODY))
        assert client.recv(15) == b"HTTP/1.1 200 OK"
    server.stop(grace_s=5.0)


def test_an_address_that_is_in_use() -> None:
    """Whoever cannot listen is told at once, in one line."""
    with intake() as server, pytest.raises(UsageError, match=r"cannot listen on 127.0.0.1:\d+: Address already in use"):
        HttpIntake(server.address, Inbox())
    with pytest.raises(UsageError, match=r"cannot listen on no\.such\.host\.invalid:1"):
        HttpIntake(Address("no.such.host.invalid", 1), Inbox())


def test_stop_answers_what_is_under_way() -> None:
    """A request that is handled is answered, with the last word; connections without one are closed at once."""
    held = Held()
    server = HttpIntake(LOCAL, held)
    server.start()
    with WireClient(server.address) as idle, WireClient(server.address) as busy:
        busy.send(post(BODY))
        assert held.begun.wait(30)
        stopping = threading.Thread(target=server.stop, args=(30.0,))
        stopping.start()
        assert idle.is_closed()
        with pytest.raises(ConnectionError), WireClient(server.address) as late:
            late.answer()
        held.go_on.set()
        answer = busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert busy.is_closed()
        stopping.join(30)
        assert not stopping.is_alive()
    assert server.connections == 0


def test_stop_waits_no_longer_than_it_is_told() -> None:
    """A handler that does not come to an end, or a request that does not, holds up nobody."""
    go_on = threading.Event()
    server = HttpIntake(LOCAL, lambda _: Verdict(reason=str(go_on.wait(30))))
    server.start()
    with WireClient(server.address) as busy, WireClient(server.address) as half:
        busy.send(post(BODY))
        half.send(post(BODY)[:-1])
        server.stop(grace_s=0.1)
        assert half.is_closed()
    go_on.set()


def test_a_server_that_never_started_stops() -> None:
    """Whatever goes wrong between making and starting it, the address is free again."""
    server = HttpIntake(LOCAL, Inbox())
    server.stop(grace_s=1.0)
    HttpIntake(server.address, Inbox()).stop(grace_s=1.0)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
def test_the_exporter_of_the_sdk(compression: Compression) -> None:
    """What OpenTelemetry's own exporter sends is taken: a line of a file, with its place."""
    inbox = Inbox()
    with intake(inbox) as server:
        exporter = OTLPLogExporter(f"http://{server.address}/v1/logs", compression=compression)
        provider = LoggerProvider(Resource.create({"host.name": "alpha"}))
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        attributes: dict[str, str | int] = {"log.file.path": "/a", "log.file.record_offset": 7}
        record = LogRecord(body="hello", attributes=attributes, severity_number=SeverityNumber.INFO, timestamp=5)
        provider.get_logger("tests").emit(record)
        provider.shutdown()
    (line,) = decode_logs(inbox.requests[0].body, is_json=False).records
    assert (line.text, line.file, line.offset, line.received_ns) == ("hello", ("alpha", "/a"), 7, 5)
