"""Traces as the SDK's finished spans: for any ``SpanExporter``, and the reference for what is sent.

The spans are built directly: our ids and times are facts of the logs, so no tracer, sampler or processor is involved.
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
    """Return the spans of ``trace`` as finished spans of the OpenTelemetry SDK, in depth-first order, the root first.

    Times are nanoseconds since the Unix epoch; spans of one side share one resource. Any ``SpanExporter`` takes them.

    >>> from importlib.resources import files
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> from otelmig import trace_migrations
    >>> recording = files("otelmig") / "recordings"
    >>> exporter = InMemorySpanExporter()
    >>> for trace in trace_migrations([recording / "source.log", recording / "destination.log"]):
    ...     result = exporter.export(readable_spans(trace))
    >>> print(exporter.get_finished_spans()[0].name, exporter.get_finished_spans()[0].kind)
    migration SpanKind.CLIENT
    """
    resources = {role: Resource(dict(given), SCHEMA_URL) for role, given in trace.resources.items()}
    return [_readable(span, trace, resources[span.role]) for span in trace.spans]


def _readable(span: Span, trace: Trace, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(trace, span.span_id, remote=False),
        parent=None if span.parent_id is None else _context(trace, span.parent_id, remote=span.parent_remote),
        resource=resource,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.time_ns) for event in span.events],
        links=[Link(_context(trace, link.span_id, remote=link.remote), dict(link.attributes)) for link in span.links],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.UNSET) if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace: Trace, span_id: str, *, remote: bool) -> SpanContext:
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)
