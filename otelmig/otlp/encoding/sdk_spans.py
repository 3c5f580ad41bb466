"""Traces as finished spans of the OpenTelemetry SDK: for any ``SpanExporter``, and the reference for what is sent.

The spans are built directly. Their ids and times are facts of the logs, so no tracer, sampler or processor is involved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otelmig.trace import span as model
from otelmig.trace.attributes import SCHEMA_URL, SCOPE_NAME
from otelmig.version import __version__

if TYPE_CHECKING:
    from otelmig.trace.span import Span, Trace

__all__ = ["readable_spans"]

_KINDS: Final = {
    model.SpanKind.INTERNAL: SpanKind.INTERNAL,
    model.SpanKind.SERVER: SpanKind.SERVER,
    model.SpanKind.CLIENT: SpanKind.CLIENT,
}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SCOPE: Final = InstrumentationScope(SCOPE_NAME, __version__, SCHEMA_URL)


def readable_spans(trace: Trace) -> list[ReadableSpan]:
    """Return the spans of ``trace`` in its order; the spans of one side share one resource.

    Any exporter of the SDK takes them. Here is one that keeps them in memory, fed with the recorded migration that
    ships with the package:

    >>> from importlib.resources import as_file, files
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> from otelmig import trace_migrations
    >>> with as_file(files("otelmig") / "recordings") as folder:
    ...     (trace,) = trace_migrations([folder / "source.log", folder / "destination.log"])
    >>> exporter = InMemorySpanExporter()
    >>> exporter.export(readable_spans(trace))
    <SpanExportResult.SUCCESS: 0>
    >>> for span in exporter.get_finished_spans()[:3]:
    ...     print(span.name, (span.end_time - span.start_time) // 10**6, "ms")
    migration 12592 ms
    setup 503 ms
    receive 12467 ms
    """
    resources = {role: Resource(dict(attributes), SCHEMA_URL) for role, attributes in trace.resources.items()}
    return [_readable(span, trace, resources[span.role]) for span in trace.spans]


def _readable(span: Span, trace: Trace, resource: Resource) -> ReadableSpan:
    """Return one span with its resource."""
    return ReadableSpan(
        name=span.name,
        context=_context(trace.trace_id, span.span_id, remote=False),
        parent=None if span.parent_id is None else _context(trace.trace_id, span.parent_id, remote=span.parent_remote),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.time_ns) for event in span.events],
        links=[
            Link(_context(link.trace_id or trace.trace_id, link.span_id, remote=link.remote), dict(link.attributes))
            for link in span.links
        ],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str, *, remote: bool) -> SpanContext:
    """Return the context of a span."""
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)
