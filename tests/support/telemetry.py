"""A program's telemetry in memory: the SDK's own providers, and what went into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["Telemetry"]


@dataclass
class Telemetry:
    """Three providers, each with a memory."""

    sampler: Sampler = ALWAYS_ON
    _spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    _records: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)
    _metrics: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracer_provider = TracerProvider(sampler=self.sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._records))
        self.meter_provider = MeterProvider([self._metrics], shutdown_on_exit=False)

    @property
    def providers(self) -> dict[str, Any]:
        """Return the providers as the parameters of ``migration`` that they are for."""
        return {
            "tracer_provider": self.tracer_provider,
            "logger_provider": self.logger_provider,
            "meter_provider": self.meter_provider,
        }

    @property
    def spans(self) -> list[ReadableSpan]:
        """Return every span that ended."""
        return list(self._spans.get_finished_spans())

    @property
    def records(self) -> list[ReadableLogRecord]:
        """Return every log record."""
        return list(self._records.get_finished_logs())

    @property
    def points(self) -> dict[str, list[Any]]:
        """Return the data points of each metric, by its name."""
        data = self._metrics.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }
