"""Metrics of a live service, by the SDK: what spans cannot say."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from otelmig.otlp.receiver.settings import GRPC
from otelmig.otlp.telemetry.names import METRICS, ServiceMetric
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions
    from opentelemetry.sdk.metrics.export import MetricExporter

    from otelmig.otlp.receiver.settings import Settings

__all__ = ["Metrics"]

_INTERVAL_S: Final = 10.0


class Metrics:
    """Exports what ``observe`` returns, by the metric's name, every few seconds; and how long traces took."""

    def __init__(
        self, settings: Settings, resource: Mapping[str, str], observe: Callable[[], Mapping[ServiceMetric, int]]
    ) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a failure of it is not worth a line a minute
        reader = PeriodicExportingMetricReader(_exporter(settings), export_interval_millis=_INTERVAL_S * 1000)
        self._provider = MeterProvider([reader], resource=Resource.create(dict(resource)))
        meter = self._provider.get_meter("otelmig", __version__)

        def callback(name: ServiceMetric) -> Callable[[CallbackOptions], Iterable[Observation]]:
            return lambda _: [Observation(observe().get(name, 0))]

        for row in METRICS:
            match row.instrument:
                case "updowncounter":
                    meter.create_observable_up_down_counter(row.name, [callback(row.name)], row.unit, row.note)
                case "counter":
                    meter.create_observable_counter(row.name, [callback(row.name)], row.unit, row.note)
                case _:
                    self._delay = meter.create_histogram(row.name, row.unit, row.note)

    def traced(self, delay_s: float, trace_id: str, span_id: str) -> None:
        """Record how long it took until a trace was safe; the trace is the exemplar."""
        context = trace.SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
        )
        self._delay.record(delay_s, context=trace.set_span_in_context(trace.NonRecordingSpan(context)))

    def stop(self, timeout_s: float) -> None:
        """Export what there is, within a time."""
        self._provider.shutdown(timeout_s * 1000)


def _exporter(settings: Settings) -> MetricExporter:
    headers = dict(settings.headers)
    if settings.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415 - loading gRPC takes long
            OTLPMetricExporter as GrpcExporter,
        )

        return GrpcExporter(endpoint=settings.url, headers=headers, insecure=settings.url.startswith("http:"))
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - the other one

    return OTLPMetricExporter(
        endpoint=settings.for_signal("metrics").url,
        headers=headers,
        certificate_file=settings.certificate,
        client_key_file=settings.client_key,
        client_certificate_file=settings.client_certificate,
    )
