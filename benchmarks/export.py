"""What delivery costs: 10 000 migrations in one log -> spans at a local receiver, beside the stock SDK's way.

Prints one line per figure, with the bar it is held against:

- ``otelmig trace -q --otlp`` (bars: 300 migrations/s; 150 MB at its peak);
- the same traces, once read, through the SDK's tracer, its BatchSpanProcessor (with a queue that holds all of them, so
  that it drops none) and its exporter, in a process of its own; against otelmig's delivery of the same traces, with its
  spool, measured in the same way (bar: 3 times as fast).

The receiver is a process of its own that answers and counts; ``--endpoint`` takes a real one instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from child import compile_package, run
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from sample_logs import write_many

from otelmig.otlp.delivery import Delivery, Origin
from otelmig.otlp.payload import Payload
from otelmig.otlp.receiver.sender import Sender
from otelmig.otlp.receiver.settings import Settings
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context

    from otelmig.trace.span import Trace

_BAR_PER_S = 300
_BAR_PEAK_MB = 150
_BAR_RATIO = 3.0
_RECORDINGS = {"v53.0-basicv": None, "v53.0-twodestinations": _BAR_PER_S}
"""Source logs to tell again, with the bar for each: 11 spans (``-v``); 20 spans, and dirty tables to read (``-vv``)."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What delivery costs: prints each figure with its bar.")
    parser.add_argument(
        "--endpoint", metavar="URL", help="of a real receiver, OTLP over HTTP (default: one of its own)"
    )
    parser.add_argument("--migrations", type=int, default=10_000, metavar="N")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each; the median counts (default: 3)")
    parser.add_argument("--as", dest="role", choices=("receiver", "stock", "otelmig"), help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "receiver":
        _receive()
    elif arguments.role is not None:
        _deliver(arguments)
    else:
        print(f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}")
        compile_package()
        with tempfile.TemporaryDirectory() as folder, _receiver(arguments.endpoint) as url:
            _measure(arguments, Path(folder), url)


def _measure(arguments: argparse.Namespace, folder: Path, url: str) -> None:
    log, count = folder / "many.log", arguments.migrations
    for recording, bar_per_s in _RECORDINGS.items():
        write_many(log, count, recording)
        command = [sys.executable, "-m", "otelmig", "trace", "-q", str(log), "--otlp", url, "--spool"]
        runs = [run([*command, str(folder / f"{recording}-{number}")]) for number in range(arguments.runs)]
        usage = sorted(runs, key=lambda each: each.wall_s)[len(runs) // 2]
        if not usage.account.startswith(f"{count} migrations found, {count} exported;"):
            raise SystemExit(f"not everything was exported: {usage.account}")
        per_s = count / usage.wall_s
        bar = _bar(f"{bar_per_s}/s", met=per_s >= bar_per_s) if bar_per_s else "(no bar)"
        print(
            f"{count} of {recording} in {log.stat().st_size / 1e6:.0f} MB, trace -q --otlp: {usage.wall_s:.1f} s "
            f"(CPU {usage.cpu_s:.1f} s), {per_s:.0f} migrations/s {bar}"
        )
        print(
            f"its peak memory: {usage.peak_mb:.0f} MB {_bar(f'{_BAR_PEAK_MB} MB', met=usage.peak_mb <= _BAR_PEAK_MB)}"
        )
    ratios = []
    for _ in range(arguments.runs):
        seconds_of = {}
        for role in ("otelmig", "stock"):  # by turns: whatever else the machine does slows both down
            own = [sys.executable, __file__, "--as", role, "--log", str(log), "--endpoint", url]
            delivered = run(own)
            seconds_of[role] = float(delivered.account.split()[0])
            print(
                f"the traces in hand -> receiver, {role}: {delivered.account}, peak memory {delivered.peak_mb:.0f} MB"
            )
        ratios.append(seconds_of["stock"] / seconds_of["otelmig"])
    ratio = sorted(ratios)[len(ratios) // 2]
    print(f"otelmig is {ratio:.2f} times as fast as stock {_bar(f'{_BAR_RATIO:.0f} times', met=ratio >= _BAR_RATIO)}")


def _bar(text: str, *, met: bool) -> str:
    return f"(bar {text}: {'met' if met else 'MISSED'})"


def _deliver(arguments: argparse.Namespace) -> None:
    """Deliver the traces of the log, reading them apart from the time that is measured."""
    deliver = {"otelmig": _otelmig, "stock": _stock}[arguments.role](arguments.endpoint)
    seconds = busy = 0.0
    count = spans = 0
    traces = trace_migrations([arguments.log])
    while True:
        block = [trace for _, trace in zip(range(500), traces, strict=False)]
        begin, begin_busy = time.perf_counter(), time.process_time()
        deliver(block)
        seconds += time.perf_counter() - begin
        busy += time.process_time() - begin_busy
        count += len(block)
        spans += sum(len(trace.spans) for trace in block)
        if not block:
            break
    said = (
        f"{seconds:.2f} s (CPU {busy:.2f} s) for {count} migrations, {spans} spans: {count / seconds:.0f} migrations/s"
    )
    print(said, file=sys.stderr)


def _otelmig(url: str) -> Callable[[list[Trace]], None]:
    """Our way, with a spool: every trace on the disk before it is sent."""
    settings = Settings.of({}, url=url)
    folder = tempfile.TemporaryDirectory()
    delivery = Delivery(settings, Sender(settings), directory=Path(folder.name) / "spool", say=print)

    def deliver(traces: list[Trace]) -> None:
        delivery.deliver(map(Payload.of_trace, traces), Origin.TRACED)
        if not traces:
            delivery.__exit__()
            folder.cleanup()
            if not delivery.account.complete:
                raise SystemExit(delivery.account.words())

    return deliver


def _stock(url: str) -> Callable[[list[Trace]], None]:
    """The SDK's way: a tracer per resource, a processor whose queue holds everything, the exporter."""
    exporter = OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces")
    processor = BatchSpanProcessor(exporter, max_queue_size=1 << 20, max_export_batch_size=512)
    providers: dict[str, TracerProvider] = {}

    def deliver(traces: list[Trace]) -> None:
        for trace in traces:
            tracers = {}
            for role, attributes in trace.resources.items():
                key = repr(sorted(attributes.items()))
                if key not in providers:
                    providers[key] = TracerProvider(resource=Resource(dict(attributes)))
                    providers[key].add_span_processor(processor)
                tracers[role] = providers[key].get_tracer("otelmig")
            contexts: dict[str | None, Context] = {}
            for span in trace.spans:
                made = tracers[span.role].start_span(
                    span.name,
                    context=contexts.get(span.parent_id),
                    kind=SpanKind[span.kind.value],
                    attributes=dict(span.attributes),
                    start_time=span.start_ns,
                )
                for event in span.events:
                    made.add_event(event.name, dict(event.attributes), event.time_ns)
                if span.error is not None:
                    made.set_status(Status(StatusCode.ERROR, span.error))
                contexts[span.span_id] = set_span_in_context(made)
                made.end(span.end_ns)
        processor.force_flush()
        if not traces:
            processor.shutdown()  # type: ignore[no-untyped-call] # the SDK's signature has no types

    return deliver


@contextmanager
def _receiver(endpoint: str | None) -> Iterator[str]:
    """The URL of a receiver."""
    if endpoint is not None:
        yield endpoint
        return
    process = subprocess.Popen([sys.executable, __file__, "--as", "receiver"], stdout=subprocess.PIPE, text=True)
    if process.stdout is None:
        raise SystemExit("the receiver says nothing")
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def _receive() -> None:
    """Take every request that is one, and say so."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
