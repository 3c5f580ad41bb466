"""An OTLP receiver in this process, on a real socket, whose answers a test chooses."""

from __future__ import annotations

import gzip
import threading
from concurrent import futures
from contextlib import contextmanager
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

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOBUF = "application/x-protobuf"


class Receiver:
    """What was received, and what is answered next."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.sizes: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.answer_headers = {"Content-Type": PROTOBUF}
        self.body = b""
        self.url = ""

    @property
    def spans(self) -> list[Any]:
        """All spans received so far."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def reject(self, spans: int) -> None:
        """Answer that some spans were rejected."""
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = spans
        answer.partial_success.error_message = "too old"
        self.body = answer.SerializeToString()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Note one request."""
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.sizes.append(len(body))
        self.headers.append(headers)
        self.requests.append(ExportTraceServiceRequest.FromString(body))


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """A receiver for OTLP over HTTP."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            receiver.take(self.rfile.read(length), {name.lower(): value for name, value in self.headers.items()})
            self.send_response(receiver.status)
            for name, value in receiver.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(receiver.body)))
            self.end_headers()
            self.wfile.write(receiver.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_receiver() -> Iterator[Receiver]:
    """A receiver for OTLP over gRPC."""
    receiver = Receiver()

    class Service(TraceServiceServicer):
        def Export(  # noqa: N802 - the name of the call
            self, request: ExportTraceServiceRequest, _context: grpc.ServicerContext
        ) -> ExportTraceServiceResponse:
            receiver.take(request.SerializeToString(), {})
            return ExportTraceServiceResponse.FromString(receiver.body)

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call] # generated code
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    receiver.url = f"http://127.0.0.1:{port}"
    try:
        yield receiver
    finally:
        server.stop(None).wait()
