"""An OTLP receiver for log records in this process, on a real socket."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

__all__ = ["LogReceiver", "log_receiver"]


class LogReceiver:
    """What was received so far."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[ResourceLogs] = []
        self.bytes = b""
        """All requests, one after the other, as they came."""


@contextmanager
def log_receiver() -> Iterator[LogReceiver]:
    """A receiver for OTLP over HTTP that takes everything."""
    receiver = LogReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.bytes += body
            receiver.received += ExportLogsServiceRequest.FromString(body).resource_logs
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

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
