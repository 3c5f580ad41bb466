"""Many migrations at once: tasks, threads, cancellation, blocks that are left elsewhere than they were entered."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from telemetry import Telemetry

from otelmig import announcement as names
from otelmig.announcement import ClientMetric, ClientResult
from otelmig.instrument import migration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExportResult
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult

_MANY = 100


def _check(telemetry: Telemetry, parents: dict[str, int]) -> None:
    """Each of a hundred requests has one span, below the right parent, and its two records are inside that span."""
    spans = {dict(span.attributes or {})[names.MIGRATION_ID]: span for span in telemetry.spans if span.parent}
    assert len(spans) == len(parents) == _MANY
    for name, parent in parents.items():
        found = spans[name].parent
        assert found is not None
        assert found.span_id == parent
    records = [data.log_record for data in telemetry.records]
    assert len(records) == 2 * _MANY
    for record in records:
        assert record.span_id == spans[dict(record.attributes or {})[names.MIGRATION_ID]].context.span_id
    (active,) = telemetry.points[ClientMetric.ACTIVE]
    (duration,) = telemetry.points[ClientMetric.DURATION]
    assert (active.value, duration.count) == (0, _MANY)


def test_tasks() -> None:
    """A hundred tasks of one loop, all inside their blocks at once."""
    telemetry, parents = Telemetry(), dict[str, int]()
    tracer = telemetry.tracer_provider.get_tracer("caller")

    async def one(number: int, barrier: asyncio.Barrier) -> None:
        with tracer.start_as_current_span("outer") as outer:
            parents[f"job-{number}"] = outer.get_span_context().span_id
            async with migration(migration_id=f"job-{number}", **telemetry.providers) as request:
                await barrier.wait()
                assert trace.get_current_span() is request.span
            assert trace.get_current_span() is outer

    async def every() -> None:
        barrier = asyncio.Barrier(_MANY)
        await asyncio.gather(*(one(number, barrier) for number in range(_MANY)))

    asyncio.run(every())
    _check(telemetry, parents)


def test_threads() -> None:
    """A hundred threads; none of them is ours, and ours is none of theirs."""
    telemetry, parents = Telemetry(), dict[str, int]()
    tracer = telemetry.tracer_provider.get_tracer("caller")
    barrier = threading.Barrier(_MANY + 1)

    def one(number: int) -> None:
        with tracer.start_as_current_span("outer") as outer:
            parents[f"job-{number}"] = outer.get_span_context().span_id
            with migration(migration_id=f"job-{number}", **telemetry.providers):
                barrier.wait()
                barrier.wait()

    before = threading.active_count()
    with ThreadPoolExecutor(_MANY) as threads:
        for number in range(_MANY):
            threads.submit(one, number)
        barrier.wait()
        assert threading.active_count() == before + _MANY
        barrier.wait()
    _check(telemetry, parents)


def test_cancelled_task() -> None:
    """A task that is cancelled inside the block stays cancelled; the record tells that the caller gave up."""
    telemetry = Telemetry()

    async def main() -> None:
        inside = asyncio.Event()

        async def one() -> None:
            async with migration(**telemetry.providers):
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(one())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    (span,) = telemetry.spans
    assert span.attributes == {
        names.RESULT: ClientResult.CANCELLED,
        names.ERROR_TYPE: "asyncio.exceptions.CancelledError",
    }
    assert [data.log_record.event_name for data in telemetry.records] == [row.name for row in names.RECORDS]


def test_left_in_another_context(caplog: pytest.LogCaptureFixture) -> None:
    """A block that is left by another task ends its span, without a word of complaint, and changes nothing there."""
    telemetry = Telemetry()

    async def lines() -> AsyncIterator[int]:
        async with migration(**telemetry.providers):
            yield 1
            yield 2

    async def main() -> None:
        generator = lines()
        assert await asyncio.create_task(anext(generator)) == 1  # type: ignore[arg-type] # it is a coroutine
        current = context.get_current()
        await generator.aclose()  # type: ignore[attr-defined] # it is a generator
        assert context.get_current() is current

    asyncio.run(main())
    assert len(telemetry.spans) == 1
    assert caplog.records == []


def test_entered_in_a_copy_of_the_context() -> None:
    """The same for a program that enters and leaves by callbacks: what is current elsewhere stays as it is."""
    telemetry = Telemetry()
    request = migration(**telemetry.providers)
    contextvars.copy_context().run(request.__enter__)
    assert trace.get_current_span() is trace.INVALID_SPAN
    request.__exit__(None, None, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(telemetry.spans) == 1


def test_a_retry_is_another_attempt() -> None:
    """Each attempt has a span and an announcement of its own below the caller's."""
    telemetry = Telemetry()
    with telemetry.tracer_provider.get_tracer("caller").start_as_current_span("outer"):
        for _ in range(2):
            with migration(vm_id="7", **telemetry.providers):
                pass
    first, second, outer = telemetry.spans
    assert first.parent == second.parent == outer.get_span_context()
    assert len({data.log_record.span_id for data in telemetry.records}) == 2


def test_a_receiver_that_does_not_answer_holds_nobody_up() -> None:
    """While both exporters wait for a receiver, a hundred migrations begin and return; all of it is sent later."""
    answered = threading.Event()

    class SlowSpans(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            answered.wait()
            return super().export(spans)

    class SlowRecords(InMemoryLogRecordExporter):
        def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
            answered.wait()
            return super().export(batch)

    spans, records = SlowSpans(), SlowRecords()  # type: ignore[no-untyped-call] # the SDK's own
    tracer_provider, logger_provider = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=1))
    logger_provider.add_log_record_processor(BatchLogRecordProcessor(records, schedule_delay_millis=1))
    for _ in range(_MANY):
        with migration(tracer_provider=tracer_provider, logger_provider=logger_provider):
            pass
    assert not spans.get_finished_spans()
    assert not records.get_finished_logs()
    answered.set()
    assert tracer_provider.force_flush()
    assert logger_provider.force_flush()
    assert (len(spans.get_finished_spans()), len(records.get_finished_logs())) == (_MANY, 2 * _MANY)
    tracer_provider.shutdown()
    logger_provider.shutdown()
