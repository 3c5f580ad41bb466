"""A server for OTLP logs over gRPC: the same requests, verdicts and limits as over HTTP.

The method is served as one whose request is a stream, which is the same on the wire: so a sender without the token is
refused before its message is received, and one whose message does not come is given up.
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

from otelmig.errors import UsageError
from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.exchange import Desk, Limits, ReceivedRequest, RefusedError, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.otlp.intake.access import Tls, TokenFile
    from otelmig.otlp.intake.exchange import Handler, Refusal

__all__ = ["GrpcIntake"]

_EXPORT: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_CODES: Final = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}
"""gRPC's word for each status; INTERNAL for others, which is never sent again. RESOURCE_EXHAUSTED is sent again only
where the answer says when (OTLP specification, "OTLP/gRPC Throttling"): here it never does."""
_DETAILS: Final = "grpc-status-details-bin"
_MOST_STREAMS: Final = 16
"""Requests under way on one connection."""
_WATCH_S: Final = 1.0
"""How often requests whose message does not come are looked for."""


class GrpcIntake:
    """Takes requests of ``LogsService/Export`` and hands them to a handler."""

    def __init__(
        self,
        address: Address,
        handler: Handler,
        *,
        limits: Limits | None = None,
        tls: Tls | None = None,
        token: TokenFile | None = None,
    ) -> None:
        """Bind ``address``; nobody is answered before the start. The parameters are those of ``HttpIntake``.

        Raises:
            UsageError: the address cannot be bound, or a certificate cannot be used.
        """
        limits = limits or Limits()
        self._desk = Desk(handler, limits, token)
        self._watch = _Watch(limits)
        self._server = grpc.server(
            ThreadPoolExecutor(limits.workers, thread_name_prefix="otlp-grpc"),
            handlers=[_Services(self._desk, self._watch)],
            options=[
                ("grpc.max_receive_message_length", limits.inflated_bytes),
                ("grpc.max_metadata_size", limits.header_bytes),
                ("grpc.max_concurrent_streams", _MOST_STREAMS),
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # Collectors' keepalive may be as frequent
                ("grpc.so_reuseport", 0),  # an address that is in use is a mistake
            ],
        )
        host = address.host or "::"
        target = str(Address(host, address.port))
        try:
            port = (
                self._server.add_insecure_port(target)
                if tls is None
                else self._server.add_secure_port(target, _credentials(tls))
            )
        except RuntimeError as error:
            raise UsageError(f"cannot listen on {address} for gRPC: is it in use?") from error
        self.address: Final = Address(host, port)
        """What it is bound to, with the port that was free if none was given."""

    def refusals(self) -> tuple[Refusal, ...]:
        """Return what was refused since the start, by sender, status and reason, the most frequent first.

        What gRPC itself refuses (a message that is too large) is not among it.
        """
        return self._desk.refusals()

    def start(self) -> None:
        """Begin to answer."""
        self._watch.start()
        self._server.start()

    def stop(self, grace_s: float) -> None:
        """Take no more requests; return once those under way are answered, after ``grace_s`` seconds at the latest."""
        self._server.stop(grace_s).wait(grace_s)
        self._watch.stop()


class _Services(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs alone
    """Serves the one method that there is, and refuses every other with a reason."""

    def __init__(self, desk: Desk, watch: _Watch) -> None:
        self._desk = desk
        self._watch = watch

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Iterator[bytes], bytes]:
        serve = self._export if handler_call_details.method == _EXPORT else self._refuse
        return grpc.stream_unary_rpc_method_handler(serve)

    def _refuse(self, _: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        verdict = Verdict(HTTPStatus.NOT_FOUND, "this service takes logs, by LogsService/Export, and nothing else")
        self._desk.count(_host_of(context.peer()), verdict)
        return _answered(verdict, context)

    def _export(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        peer = _host_of(context.peer())
        size = 0
        try:
            metadata = dict(context.invocation_metadata())
            self._desk.authorize(_text(metadata.get("authorization")))
            body = self._watch.message(requests, context)
            if body is None:
                return b""
            self._desk.reserve(len(body))
            size = len(body)
            verdict = self._desk.take(ReceivedRequest(body, is_json=False, peer=peer))
        except RefusedError as refused:
            verdict = refused.verdict
            self._desk.count(peer, verdict)
        finally:
            self._desk.release(size)
        return _answered(verdict, context)


class _Watch:
    """Gives up requests whose message does not come: each keeps one of the workers."""

    def __init__(self, limits: Limits) -> None:
        self._wait_s = limits.body_s + limits.inflated_bytes / limits.bytes_per_s
        self._waiting: dict[grpc.ServicerContext, float] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="otlp-grpc-watch", daemon=True)

    def message(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes | None:
        """Return the one message of a request; None if it is not coming any more."""
        with self._lock:
            self._waiting[context] = time.monotonic() + self._wait_s
        try:
            return next(requests, None)
        except Exception:  # noqa: BLE001 - whatever gRPC raises where the sender gave up, or was given up
            return None
        finally:
            with self._lock:
                del self._waiting[context]

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def _look(self) -> None:
        while not self._stopping.wait(min(_WATCH_S, self._wait_s)):
            now = time.monotonic()
            with self._lock:
                late = [context for context, deadline in self._waiting.items() if deadline < now]
            for context in late:
                context.cancel()  # type: ignore[no-untyped-call] # as in the stubs


def _answered(verdict: Verdict, context: grpc.ServicerContext) -> bytes:
    """Say ``verdict`` and return the response."""
    if verdict.status is HTTPStatus.OK:
        response = ExportLogsServiceResponse()
        if verdict.reason:
            response.partial_success.CopyFrom(ExportLogsPartialSuccess(error_message=verdict.reason))
        return response.SerializeToString()
    code = _CODES.get(verdict.status, grpc.StatusCode.INTERNAL)
    if code is grpc.StatusCode.UNAVAILABLE and verdict.retry_after_s is not None:
        info = Any()
        info.Pack(RetryInfo(retry_delay=Duration(seconds=max(1, math.ceil(verdict.retry_after_s)))))
        status = Status(code=code.value[0], message=verdict.reason, details=[info])
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.set_code(code)
    context.set_details(verdict.reason)
    return b""


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    """Return what gRPC needs; the files are checked first, because it aborts the process over bad ones.

    Raises:
        UsageError: a file cannot be read or used.
    """
    tls.context()
    certificate = tls.certificate.read_bytes()
    key = certificate if tls.key is None else tls.key.read_bytes()
    authority = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([(key, certificate)], authority, authority is not None)


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _host_of(peer: str) -> str:
    """Return the address in what gRPC calls a sender: ``ipv4:127.0.0.1:5000``, ``ipv6:%5B::1%5D:5000``."""
    _, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
