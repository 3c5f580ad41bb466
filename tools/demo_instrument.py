"""A program that moves a VM, and the trace of the migration below its span: ``make demo-instrument``.

The program is ``examples/move_vm.py``, with the SDK's own exporters. What it drives are two API sockets without a
hypervisor behind them, which write the logs of a recording while they migrate. A thread is the hosts' Collectors.
``otelmig serve`` makes the migration's trace of the logs, and puts it below the span of which it was told.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

import move_vm
from hypervisor_pair import HypervisorPair
from line_sender import LineSender
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otlp_receiver import Receiver, free_port, http_receiver
from trace_invariants import CORPUS

from otelmig.announcement import REQUEST_SPAN
from otelmig.trace.spans import SpanName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_RECORDING: Final = CORPUS / "v53.0-twohosts"
_DESTINATION_URL: Final = "tcp:10.9.0.2:4444"
_HOSTS: Final = {"source": ("alpha", "10.9.0.1"), "destination": ("beta", "10.9.0.2")}
"""The names of the two hosts, and the addresses that they had."""
_DELAY_MS: Final = 200
"""For so long the SDK keeps log records, instead of five seconds."""
_POLL_S: Final = 0.2
_PATIENCE_S: Final = 20.0


def main() -> int:
    """Move the VM and show the trace; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="N times as fast as recorded")
    speed = parser.parse_args().speed
    with tempfile.TemporaryDirectory(prefix="otelmig-instrument-") as folder, http_receiver() as backend:
        service_url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "otelmig", "serve", "-q", "--listen", service_url.removeprefix("http://")]
        command += ["--state", f"{folder}/state", "--otlp", backend.url, "--no-spool"]
        _say(f"$ {' '.join(command[2:])}")
        service = subprocess.Popen(command)
        try:
            _await_service(service, service_url)
            _move(Path(folder), service_url, backend.url, speed)
            spans = _one_trace(backend)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(_PATIENCE_S)
    for line in _tree(spans):
        _say(line)
    return 0 if any(span.name == SpanName.MIGRATION and span.parent_span_id for span in spans) else 1


def _move(folder: Path, service_url: str, backend_url: str, speed: float) -> None:
    """Set up the SDK as a program would, and run the example while the logs are sent."""
    resource = Resource({"service.name": "mover"})
    tracer_provider, logger_provider = TracerProvider(resource=resource), LoggerProvider(resource)
    tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{backend_url}/v1/traces")))
    exporter = OTLPLogExporter(f"{service_url}/v1/logs")
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=_DELAY_MS))
    trace.set_tracer_provider(tracer_provider)
    set_logger_provider(logger_provider)
    with HypervisorPair(folder, "v53.0", recording=_RECORDING, patience_s=_PATIENCE_S, speed=speed) as pair:
        senders = []
        for role, (name, address) in _HOSTS.items():
            pair.logs[role].mkdir()
            senders.append(LineSender(folder=pair.logs[role], host=name, address=address, url=service_url))
        is_over = threading.Event()
        thread = threading.Thread(target=_send, args=(senders, is_over))
        thread.start()
        _say(f"$ examples/move_vm.py source.sock destination.sock {_DESTINATION_URL}")
        with trace.get_tracer("mover").start_as_current_span("evacuate alpha"):
            move_vm.move(str(pair.source), str(pair.destination), _DESTINATION_URL)
        is_over.set()
        thread.join()
    tracer_provider.shutdown()
    logger_provider.shutdown()


def _send(senders: Sequence[LineSender], is_over: threading.Event) -> None:
    """Send the lines of both hosts until nothing more comes."""
    while sum(sender.poll() for sender in senders) or not is_over.is_set():
        time.sleep(_POLL_S)


def _one_trace(backend: Receiver) -> list[Span]:
    """Wait for the migration's spans; return all spans of the caller's trace."""
    deadline = time.monotonic() + _PATIENCE_S
    while not any(span.name == SpanName.MIGRATION for span in backend.spans):
        if time.monotonic() > deadline:
            raise SystemExit("the service made no trace")
        time.sleep(_POLL_S)
    (asked,) = (span for span in backend.spans if span.name == REQUEST_SPAN)
    return [span for span in backend.spans if span.trace_id == asked.trace_id]


def _tree(spans: Sequence[Span], parent: bytes = b"", depth: int = 0) -> Iterator[str]:
    """Yield a line for each span below ``parent``, in order of time."""
    first_ns = min(span.start_time_unix_nano for span in spans)
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        if span.parent_span_id == parent:
            begin_s = (span.start_time_unix_nano - first_ns) / 1e9
            length_s = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
            yield f"{'  ' * depth + span.name:<32}{begin_s:+10.3f} s {length_s:10.3f} s"
            yield from _tree(spans, span.span_id, depth + 1)


def _await_service(service: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/status", timeout=_PATIENCE_S):
                return
        except OSError:
            if service.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the service did not start") from None
            time.sleep(0.05)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
