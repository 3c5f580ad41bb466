"""The gRPC server for logs, on real sockets: what it takes, and every status that it gives."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from intake_client import LOCAL, Held, Inbox
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from sent_logs import file_record, request
from tls_receiver import certificate

from otelmig.errors import UsageError
from otelmig.otlp.intake.access import Tls, TokenFile
from otelmig.otlp.intake.exchange import Limits, ReceivedRequest, Verdict
from otelmig.otlp.intake.grpc import GrpcIntake
from otelmig.otlp.intake.request import decode_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = request([file_record("a", 0, 1)]).SerializeToString()
EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
MIB = 1 << 20


@contextmanager
def grpc_intake(handler: Any = None, **given: Any) -> Iterator[GrpcIntake]:
    """Run a server on a free port."""
    server = GrpcIntake(LOCAL, handler or Inbox(), **given)
    server.start()
    try:
        yield server
    finally:
        server.stop(grace_s=5.0)


def _unary(channel: grpc.Channel, method: str = EXPORT) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(method, bytes, bytes)


def export(
    server: GrpcIntake,
    body: bytes,
    method: str = EXPORT,
    *,
    metadata: tuple[tuple[str, str], ...] = (),
    **given: Any,
) -> bytes:
    """Send a request as it is and return the answer as it is."""
    with grpc.insecure_channel(str(server.address)) as channel:
        answer: bytes = _unary(channel, method)(body, timeout=30, metadata=metadata, wait_for_ready=True, **given)
        return answer


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_request(compression: grpc.Compression) -> None:
    """What was sent is handed over as it is, invalid UTF-8 and all; the answer is a response in protobuf."""
    inbox = Inbox(Verdict(reason="a word"))
    body = BODY.replace(b"alpha", b"\xff" * 5)
    with grpc_intake(inbox) as server:
        response = ExportLogsServiceResponse.FromString(export(server, body, compression=compression))
    assert response.partial_success.error_message == "a word"
    assert inbox.requests == [ReceivedRequest(body, is_json=False, peer="127.0.0.1")]


@pytest.mark.parametrize(
    ("verdict", "code", "delay_s"),
    [
        (Verdict(HTTPStatus.BAD_REQUEST, "no request"), grpc.StatusCode.INVALID_ARGUMENT, None),
        (Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "the disk is full", 2.5), grpc.StatusCode.UNAVAILABLE, 3),
        (Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "busy"), grpc.StatusCode.UNAVAILABLE, None),
        (Verdict(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "large", 1.0), grpc.StatusCode.RESOURCE_EXHAUSTED, None),
        (Verdict(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault"), grpc.StatusCode.INTERNAL, None),
    ],
)
def test_what_the_handler_refuses(verdict: Verdict, code: grpc.StatusCode, delay_s: int | None) -> None:
    """A refusal says why, and when to come again: only where that helps."""
    with grpc_intake(Inbox(verdict)) as server:
        with pytest.raises(grpc.RpcError) as error:
            export(server, BODY)
        assert (error.value.code(), error.value.details()) == (code, verdict.reason)
        trailers = {each.key: each.value for each in error.value.trailing_metadata()}
        details = trailers.get("grpc-status-details-bin")
        assert (details is None) == (delay_s is None)
        if details is not None:
            info = RetryInfo()
            assert Status.FromString(details).details[0].Unpack(info)
            assert info.retry_delay.seconds == delay_s
        assert server.refusals() == (("127.0.0.1", verdict.status, verdict.reason, 1),)


def test_other_signals() -> None:
    """Whoever sends spans is told in one line what is taken here, and it is counted."""
    inbox = Inbox()
    with grpc_intake(inbox) as server:
        with pytest.raises(grpc.RpcError) as error:
            export(server, BODY, "/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert error.value.details() == "this service takes logs, by LogsService/Export, and nothing else"
        assert [each.status for each in server.refusals()] == [404]
    assert not inbox.requests


@pytest.mark.parametrize("body", [bytes(3 * MIB), b"x" * MIB + b"y"])
def test_too_large(body: bytes) -> None:
    """A message that is too large is refused for good, compressed or not."""
    inbox = Inbox()
    with grpc_intake(inbox, limits=Limits(inflated_bytes=MIB)) as server:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as error:
                export(server, body, compression=compression)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not inbox.requests


def test_too_much_at_once() -> None:
    """What does not fit beside the others may come again."""
    with grpc_intake(limits=Limits(bytes_under_way=100)) as server:
        with pytest.raises(grpc.RpcError) as error:
            export(server, bytes(101))
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert export(server, bytes(100)) == b""


def test_tokens(tmp_path: Path) -> None:
    """Without the token nothing is taken; it is never shown."""
    path = tmp_path / "token"
    path.write_text("s3cret")
    inbox = Inbox()
    with grpc_intake(inbox, token=TokenFile(path)) as server:
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as error:
                export(server, BODY, metadata=metadata)
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "s3cret" not in str(error.value.details())
        assert export(server, BODY, metadata=(("authorization", "Bearer s3cret"),)) == b""
        assert [each.status for each in server.refusals()] == [401]
    assert len(inbox.requests) == 1


@pytest.mark.parametrize("with_certificate", [False, True])
def test_tls(*, with_certificate: bool) -> None:
    """Where senders must have certificates, only those that have one are heard."""
    files = [Path(certificate(name)) for name in ("server.pem", "server.key", "ca.pem", "client.key", "client.pem")]
    server_pem, server_key, authority, *pair = files
    inbox = Inbox()
    with grpc_intake(inbox, tls=Tls(certificate=server_pem, key=server_key, client_ca=authority)) as server:
        client = [each.read_bytes() for each in pair] if with_certificate else [None, None]
        credentials = grpc.ssl_channel_credentials(authority.read_bytes(), *client)
        with grpc.secure_channel(f"localhost:{server.address.port}", credentials) as channel:
            if with_certificate:
                assert _unary(channel)(BODY, timeout=30) == b""
            else:
                with pytest.raises(grpc.RpcError):
                    _unary(channel)(BODY, timeout=30)
    assert len(inbox.requests) == with_certificate


def test_messages_that_do_not_come() -> None:
    """Senders that begin requests and send nothing are given up, so that others are served."""
    limits = Limits(workers=2, body_s=0.3, bytes_per_s=1 << 40)
    go_on = threading.Event()

    def silent() -> Iterator[bytes]:
        go_on.wait(30)
        yield from ()

    with grpc_intake(limits=limits) as server, grpc.insecure_channel(str(server.address)) as channel:
        calls = [channel.stream_unary(EXPORT, bytes, bytes).future(silent(), timeout=30) for _ in range(4)]
        assert export(server, BODY) == b""
        errors = [call.exception() for call in calls]
        assert [error.code() for error in errors if isinstance(error, grpc.RpcError)] == [grpc.StatusCode.CANCELLED] * 4
        go_on.set()


def test_stop_answers_what_is_under_way() -> None:
    """A request that is handled is answered before the server ends."""
    held = Held()
    server = GrpcIntake(LOCAL, held)
    server.start()
    with grpc.insecure_channel(str(server.address)) as channel:
        call = _unary(channel).future(BODY, timeout=30)
        assert held.begun.wait(30)
        stopping = threading.Thread(target=server.stop, args=(30.0,))
        stopping.start()
        held.go_on.set()
        assert call.result() == b""
        stopping.join(30)
        assert not stopping.is_alive()


def test_what_cannot_be_used() -> None:
    """An address that is in use, or a certificate that is none, is told at once."""
    with grpc_intake() as server, pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1:\d+ for gRPC"):
        GrpcIntake(server.address, Inbox())
    with pytest.raises(UsageError, match="cannot use the certificate or key"):
        GrpcIntake(LOCAL, Inbox(), tls=Tls(certificate=Path(certificate("server.key"))))


def test_the_exporter_of_the_sdk() -> None:
    """What OpenTelemetry's own exporter sends is taken."""
    inbox = Inbox()
    with grpc_intake(inbox) as server:
        exporter = OTLPLogExporter(f"http://{server.address}", insecure=True, compression=grpc.Compression.Gzip)
        provider = LoggerProvider(Resource.create({"host.id": "id"}))
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("tests").emit(LogRecord(body="hello", attributes={"log.file.path": "/a"}))
        provider.shutdown()
    (line,) = decode_logs(inbox.requests[0].body, is_json=False).records
    assert (line.text, line.file) == ("hello", ("id", "/a"))
