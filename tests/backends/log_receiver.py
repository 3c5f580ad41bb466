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
        self.requests: list[bytes] = []
        """All requests that were taken, as they came, one after the other."""
        self.refused = 0
        """How many requests were not answered with 200."""
        self.status = 200
        """What is answered; a request is taken with 200 alone, and with 0, which loses the answer."""

    @property
    def content(self) -> bytes:
        """All requests, joined."""
        return b"".join(self.requests)


@contextmanager
def log_receiver(port: int = 0) -> Iterator[LogReceiver]:
    """A receiver for OTLP over HTTP, on ``port`` or a free one, that takes everything until it is told otherwise."""
    receiver = LogReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = receiver.status
            if status in {0, 200}:
                receiver.requests.append(body)
                receiver.received += ExportLogsServiceRequest.FromString(body).resource_logs
            receiver.refused += status != 200
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
