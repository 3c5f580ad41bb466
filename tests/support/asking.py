"""A program that asks for migrations: instrumented, with the SDK's exporter, and what it sends kept as it is sent."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from intake_client import Inbox, intake
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from telemetry import Telemetry

from otelmig.instrument import migration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Asked", "Program", "running_program"]


class Asked(NamedTuple):
    """A request for a migration: the span that asked, and both announcements as they are sent."""

    trace_id: str
    span_id: str
    announced: bytes
    returned: bytes


class Program:
    """A program that is instrumented, and whose log records are kept as they are sent."""

    def __init__(self, inbox: Inbox, endpoint: str, sampler: Sampler) -> None:
        self._inbox = inbox
        self._telemetry = Telemetry(sampler=sampler)
        self._records = LoggerProvider(shutdown_on_exit=False)
        self._records.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint)))

    def ask(self, destination_url: str) -> Asked:
        """Ask for a migration, inside a span of the program's own."""
        providers: dict[str, Any] = self._telemetry.providers | {"logger_provider": self._records}
        with (
            self._telemetry.tracer_provider.get_tracer("mover").start_as_current_span("move"),
            migration(destination_url=destination_url, **providers) as asked,
        ):
            context = asked.span.get_span_context()
        announced, returned = (received.body for received in self._inbox.requests[-2:])
        return Asked(f"{context.trace_id:032x}", f"{context.span_id:016x}", announced, returned)


@contextmanager
def running_program(sampler: Sampler = ALWAYS_ON) -> Iterator[Program]:
    """Run a program whose spans are exported, or not."""
    inbox = Inbox()
    with intake(inbox) as server:
        yield Program(inbox, f"http://{server.address}/v1/logs", sampler)
