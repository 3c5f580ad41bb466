"""Traces to an OTLP receiver, each one delivered or known not to be.

Traces are packed into requests below a size that every hop takes; a request is retried while that can help and the
time allows it; once the receiver turns out to be unreachable or to be no receiver, the rest is not tried any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otelmig.otlp.readable import readable_spans
from otelmig.otlp.transport import Answer, open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from otelmig.otlp.settings import Settings
    from otelmig.otlp.transport import Transport
    from otelmig.trace.span import Trace

__all__ = ["LARGEST_REQUEST", "Outcome", "export"]

LARGEST_REQUEST: Final = 2 * 10**6
"""Bytes: below 2 MiB, half of gRPC's default limit, which a later hop may apply after the first one said yes."""
_FIRST_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one trace; ``failure`` is None if the receiver took all of it."""

    trace_id: str
    failure: str | None


@dataclass(slots=True, kw_only=True)
class _Request:
    message: ExportTraceServiceRequest
    size: int
    trace_ids: list[str]


def export(
    traces: Iterable[Trace],
    settings: Settings,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Outcome]:
    """Send ``traces`` and yield an outcome for each; requests go out as they fill, so memory stays flat."""
    transport = open_transport(settings)
    dead: Answer | None = None
    try:
        for batch in _batches(traces):
            failures: dict[str, str] = {}
            for request in batch:
                answer = dead or _sent(transport, request, settings, sleep, clock)
                if answer.failure is None:
                    continue
                failures |= dict.fromkeys(request.trace_ids, answer.failure)
                if not answer.of_request:
                    dead = answer
            ids = batch[0].trace_ids  # of a trace that was split, every request has the same one
            yield from (Outcome(trace_id=trace_id, failure=failures.get(trace_id)) for trace_id in ids)
    finally:
        transport.close()


def _sent(
    transport: Transport,
    request: _Request,
    settings: Settings,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> Answer:
    """The last answer to one request, tried again while that can help and ``timeout_s`` allows it."""
    deadline = clock() + settings.timeout_s
    pause = _FIRST_PAUSE_S
    while True:
        answer = transport.send(request.message, max(deadline - clock(), 0.001))
        wait = max(answer.retry_after_s or 0.0, pause)
        if answer.failure is None or not answer.retryable or clock() + wait >= deadline:
            return answer
        sleep(wait)
        pause *= 2


def _batches(traces: Iterable[Trace]) -> Iterator[list[_Request]]:
    """Full requests, one after the other; a trace that fills several comes as a batch of its own."""
    open_request: _Request | None = None
    for trace in traces:
        spans = readable_spans(trace)
        message = encode_spans(spans)
        size = message.ByteSize()
        if open_request is not None and open_request.size + size > LARGEST_REQUEST:
            yield [open_request]
            open_request = None
        if size > LARGEST_REQUEST:
            pieces = -(-size // (LARGEST_REQUEST // 2))
            step = max(-(-len(spans) // pieces), 1)
            parts = [encode_spans(spans[at : at + step]) for at in range(0, len(spans), step)]
            yield [_Request(message=part, size=part.ByteSize(), trace_ids=[trace.trace_id]) for part in parts]
            continue
        if open_request is None:
            open_request = _Request(message=message, size=size, trace_ids=[trace.trace_id])
        else:
            open_request.message.MergeFrom(message)
            open_request.size += size
            open_request.trace_ids.append(trace.trace_id)
    if open_request is not None:
        yield [open_request]
