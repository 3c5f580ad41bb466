"""An OTLP receiver in this process, on a real socket: it answers, refuses, hangs or breaks off, as a test wants."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
from collections import Counter
from concurrent import futures
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from otlp_lines import parsed_line

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = [
    "PROTOBUF",
    "Receiver",
    "Reply",
    "free_port",
    "grpc_receiver",
    "http_receiver",
    "json_rejection",
    "receiver_of",
    "rejection",
]

PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is done with one request."""

    status: int = 200
    """HTTP's."""
    headers: dict[str, str] = field(default_factory=dict)
    """Besides a content type that fits."""
    body: bytes | None = None
    """Instead of an OTLP response."""
    raw: bytes | None = None
    """HTTP's answer from the first byte to the last, instead of a proper one."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""
    trailers: tuple[tuple[str, bytes], ...] = ()
    takes: bool = True
    """Whether the spans are kept, whatever is answered."""
    pause_s: float = 0.0
    """Before the answer."""
    hangs: bool = False
    """No answer until the receiver is told to go on."""
    breaks: bool = False
    """The connection is reset in the middle of the answer."""


_json_request = lru_cache(maxsize=64)(parsed_line)
"""A body that is sent again is not parsed again, which is slow."""


class Receiver:
    """What was received, and what is done next."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        """Those with spans."""
        self.taken: list[ExportTraceServiceRequest] = []
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        """Of all requests, also those without spans."""
        self.replies: list[Reply] = []
        """For the next requests with spans, one each."""
        self.reply = Reply()
        """For all others."""
        self.go_on = threading.Event()
        self.url = ""

    @property
    def spans(self) -> list[Span]:
        """All spans taken so far."""
        return [span for request in self.taken for span in _spans(request)]

    def copies(self) -> Counter[str]:
        """How many copies too many were taken, by trace id in hex."""
        counts = Counter((span.trace_id, span.span_id) for span in self.spans)
        found: Counter[str] = Counter()
        for (trace_id, _), count in counts.items():
            found[trace_id.hex()] = max(found[trace_id.hex()], count - 1)
        return +found

    def contents(self) -> dict[tuple[bytes, bytes], set[bytes]]:
        """The different contents that were taken of each span."""
        found: dict[tuple[bytes, bytes], set[bytes]] = {}
        for span in self.spans:
            found.setdefault((span.trace_id, span.span_id), set()).add(span.SerializeToString(deterministic=True))
        return found

    def take(self, body: bytes, headers: dict[str, str]) -> Reply:
        """Note one request; what is to be done with it."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers.append(headers)
        if headers.get("content-type") == "application/json":
            request = _json_request(body)
        else:
            request = ExportTraceServiceRequest.FromString(body)
        if not request.resource_spans:
            return self.reply
        self.bodies.append(body)
        self.requests.append(request)
        reply = self.replies.pop(0) if self.replies else self.reply
        if reply.takes:
            self.taken.append(request)
        return reply


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        data = self.rfile.read(int(headers["content-length"]))
        if len(data) < int(headers["content-length"]):
            self.close_connection = True  # who sent it is gone: half a request is none
            return
        reply = self.server.receiver.take(data, headers)
        time.sleep(reply.pause_s)
        kind = headers["content-type"]
        body = (b"{}" if kind == "application/json" else b"") if reply.body is None else reply.body
        if reply.hangs:
            self.server.receiver.go_on.wait()
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            return
        with suppress(ConnectionError):
            self.send_response(reply.status)
            for name, value in ({"Content-Type": kind} | reply.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + 100 * reply.breaks))
            self.end_headers()
            self.wfile.write(body)
        if reply.breaks or reply.hangs:
            self.close_connection = True
        if reply.breaks:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or that does not trust us, is what a test wanted."""

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.settimeout(30)
        return connection, address


@contextmanager
def http_receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver for OTLP over HTTP, protobuf and JSON."""
    receiver = Receiver()

    server = _Server(("127.0.0.1", port), _Handler)
    server.receiver = receiver
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_receiver(port: int = 0, tls: grpc.ServerCredentials | None = None) -> Iterator[Receiver]:
    """A receiver for OTLP over gRPC."""
    receiver = Receiver()

    class Service(TraceServiceServicer):
        def Export(  # noqa: N802 - the name of the call
            self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
        ) -> ExportTraceServiceResponse:
            metadata = {str(name): str(value) for name, value in context.invocation_metadata()}
            reply = receiver.take(request.SerializeToString(), metadata | {"content-type": "application/grpc"})
            time.sleep(reply.pause_s)
            if reply.hangs:
                receiver.go_on.wait()
            if reply.code is not grpc.StatusCode.OK:
                context.set_trailing_metadata(reply.trailers)
                context.abort(reply.code, reply.details)
            return ExportTraceServiceResponse.FromString(reply.body or b"")

    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), options=options)
    add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call] # generated code
    address = f"127.0.0.1:{port}"
    bound = server.add_insecure_port(address) if tls is None else server.add_secure_port(address, tls)
    server.start()
    receiver.url = f"http{'s' if tls else ''}://127.0.0.1:{bound}"
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.stop(None).wait()


def receiver_of(protocol: str) -> Any:
    """The kind of receiver for a protocol."""
    return grpc_receiver if protocol == "grpc" else http_receiver


def rejection(spans: int, message: str = "too old") -> bytes:
    """An answer that says that some spans were rejected."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = spans
    answer.partial_success.error_message = message
    return answer.SerializeToString()


def json_rejection(spans: int) -> bytes:
    """The same in JSON."""
    return json.dumps({"partialSuccess": {"rejectedSpans": str(spans), "errorMessage": "too old"}}).encode()
