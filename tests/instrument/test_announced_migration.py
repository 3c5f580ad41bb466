"""What a program's telemetry has of a migration that it announces, with the SDK's own providers."""

from __future__ import annotations

import logging
from typing import Any, Final

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from telemetry import Telemetry

from otelmig import announcement as names
from otelmig.announcement import ClientMetric, ClientResult, RecordName
from otelmig.instrument import harmless, migration

_TOLD: Final[dict[str, Any]] = {
    "destination_url": "tcp:admin:sesame@192.0.2.20:4444",
    "vm_id": "8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10",
    "vm_name": "web-7",
    "source_host": "node-a",
    "destination_host": "node-b",
    "migration_id": "job-4711",
    "mode": "postcopy",
    "system": "qemu",
}
_ATTRIBUTES: Final = {
    "network.transport": "tcp",
    "server.address": "192.0.2.20",
    "server.port": 4444,
    "vm.id": "8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10",
    "vm.name": "web-7",
    "vm.migration.source.host.name": "node-a",
    "vm.migration.destination.host.name": "node-b",
    "vm.migration.id": "job-4711",
    "vm.migration.mode": "postcopy",
    "vm.migration.system.name": "qemu",
}
_SCOPE: Final = "otelmig.instrument"


class _RefusedError(Exception):
    """What a hypervisor answers."""


def _end_of(telemetry: Telemetry) -> dict[str, Any]:
    """The attributes of the last record beyond those of the first."""
    announced, returned = (dict(data.log_record.attributes or {}) for data in telemetry.records)
    assert announced.items() <= returned.items()
    return {name: value for name, value in returned.items() if name not in announced}


def test_span_and_records() -> None:
    """One CLIENT span below the current one; two records inside it, with its ids; of the URL only the endpoint."""
    telemetry = Telemetry()
    with telemetry.tracer_provider.get_tracer("caller").start_as_current_span("evacuate node-a") as outer:
        with migration(**_TOLD, **telemetry.providers) as request:
            assert trace.get_current_span() is request.span
        assert trace.get_current_span() is outer
    span, _ = telemetry.spans
    assert (span.name, span.kind, span.status.status_code) == (
        names.REQUEST_SPAN,
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert span.parent == outer.get_span_context()
    assert span.attributes == {**_ATTRIBUTES, "vm.migration.client.result": "returned"}
    announced, returned = (data.log_record for data in telemetry.records)
    assert (announced.event_name, returned.event_name) == ("vm.migration.announced", "vm.migration.returned")
    assert announced.attributes == _ATTRIBUTES
    assert _end_of(telemetry) == {names.RESULT: ClientResult.RETURNED}
    own = span.get_span_context()
    assert own is not None
    for data in telemetry.records:
        record = data.log_record
        assert (record.trace_id, record.span_id, record.trace_flags) == (own.trace_id, own.span_id, own.trace_flags)
        assert data.instrumentation_scope is not None
        assert data.instrumentation_scope.name == _SCOPE
        assert record.body is None
    assert span.start_time is not None
    assert span.end_time is not None
    assert announced.timestamp is not None
    assert returned.timestamp is not None
    assert span.start_time <= announced.timestamp <= returned.timestamp <= span.end_time
    assert "sesame" not in repr((span.to_json(), [data.to_json() for data in telemetry.records]))


def test_what_is_not_told_is_absent() -> None:
    """No attribute is empty, none is guessed."""
    telemetry = Telemetry()
    with migration(**telemetry.providers):
        pass
    (span,) = telemetry.spans
    assert span.attributes == {names.RESULT: ClientResult.RETURNED}
    assert not telemetry.records[0].log_record.attributes


def test_records_have_the_attributes_of_the_table() -> None:
    """The table of log records lists what they carry, in order."""
    telemetry = Telemetry()
    with migration(**_TOLD, **telemetry.providers) as request:
        request.failed("no")
    found = [(data.log_record.event_name, tuple(data.log_record.attributes or ())) for data in telemetry.records]
    assert found == [(row.name, row.attributes) for row in names.RECORDS]


def test_an_exception_passes_through_and_is_recorded() -> None:
    """The caller gets the very object that it raised; span and record tell its class, the span its text."""
    telemetry = Telemetry()
    raised = _RefusedError("Error dispatching the migration worker")
    with pytest.raises(_RefusedError) as caught, migration(**telemetry.providers):
        raise raised
    assert caught.value is raised
    (span,) = telemetry.spans
    assert (span.status.status_code, span.status.description) == (
        StatusCode.ERROR,
        "_RefusedError: Error dispatching the migration worker",
    )
    kind = f"{__name__}._RefusedError"
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes == {names.RESULT: ClientResult.FAILED, names.ERROR_TYPE: kind}
    assert _end_of(telemetry) == span.attributes
    assert "dispatching" not in telemetry.records[1].to_json()


@pytest.mark.parametrize(
    ("error", "kind", "description", "events"),
    [
        (TimeoutError("no end in 60 s"), "TimeoutError", "TimeoutError: no end in 60 s", 1),
        ("the guest is gone", "_OTHER", "the guest is gone", 0),
    ],
)
def test_failed_without_an_exception(error: BaseException | str, kind: str, description: str, events: int) -> None:
    """A caller that deals with the error itself says so, with an exception or in words."""
    telemetry = Telemetry()
    with migration(**telemetry.providers) as request:
        request.failed("something")
        request.failed(error)
    (span,) = telemetry.spans
    assert span.attributes == {names.RESULT: ClientResult.FAILED, names.ERROR_TYPE: kind}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, description)
    assert len(span.events) == events
    assert _end_of(telemetry) == span.attributes


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_ends_a_program_is_no_failure(error: BaseException) -> None:
    """The result tells that the caller stopped, not that the migration failed."""
    telemetry = Telemetry()
    with pytest.raises(type(error)) as caught, migration(**telemetry.providers):
        raise error
    assert caught.value is error
    assert _end_of(telemetry) == {names.RESULT: ClientResult.CANCELLED, names.ERROR_TYPE: type(error).__name__}


def test_metrics() -> None:
    """A histogram by result, a count of those under way; of what is told, only what has few values."""
    telemetry = Telemetry()
    with migration(**_TOLD, **telemetry.providers):
        (under_way,) = telemetry.points[ClientMetric.ACTIVE]
        assert (under_way.value, under_way.attributes) == (1, {names.MODE: "postcopy", names.SYSTEM: "qemu"})
    with migration(mode="by mail", system="https://node-a/", **telemetry.providers) as request:
        request.failed("no")
    points = telemetry.points
    other = {names.MODE: "_OTHER", names.SYSTEM: "_OTHER"}
    assert [(point.value, point.attributes) for point in points[ClientMetric.ACTIVE]] == [
        (0, {names.MODE: "postcopy", names.SYSTEM: "qemu"}),
        (0, other),
    ]
    assert [(point.count, point.attributes) for point in points[ClientMetric.DURATION]] == [
        (1, {names.MODE: "postcopy", names.SYSTEM: "qemu", names.RESULT: "returned"}),
        (1, {**other, names.RESULT: "failed"}),
    ]
    first, second = (point.exemplars[0].span_id for point in points[ClientMetric.DURATION])
    assert [first, second] == [span.context.span_id for span in telemetry.spans]
    rows = {row.name: row.attributes for row in names.METRICS}
    assert rows == {name: tuple(sorted(points[name][0].attributes, key=rows[name].index)) for name in (*ClientMetric,)}


def test_a_sampler_that_drops_is_obeyed() -> None:
    """No span is exported; the records are, and their flags say that nobody will see their span."""
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    with migration(**_TOLD, **telemetry.providers) as request:
        assert int(request.environment()["TRACEPARENT"][-2:], 16) & TraceFlags.SAMPLED == 0
    assert telemetry.spans == []
    assert [data.log_record.event_name for data in telemetry.records] == list(RecordName)
    for data in telemetry.records:
        assert data.log_record.trace_id
        assert data.log_record.span_id
        assert data.log_record.trace_flags is not None
        assert not data.log_record.trace_flags.sampled


def test_a_sampler_sees_what_the_caller_tells() -> None:
    """It is given the attributes at the start, with which it can decide."""

    class OfOneHost(Sampler):
        def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
            attributes = named["attributes"] if "attributes" in named else arguments[4]
            wanted = attributes[names.SOURCE_HOST] == "node-a"
            return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP, attributes)

        def get_description(self) -> str:
            return "of one host"

    telemetry = Telemetry(sampler=ParentBased(OfOneHost()))
    for host in ("node-a", "node-b"):
        with migration(source_host=host, **telemetry.providers):
            pass
    assert [dict(span.attributes or {})[names.SOURCE_HOST] for span in telemetry.spans] == ["node-a"]


def test_baggage_and_propagation() -> None:
    """What is in the context stays in it, and what the block calls is below the caller's span."""
    telemetry = Telemetry()
    outer = baggage.set_baggage("tenant", "blue")
    with migration(context=outer, **telemetry.providers) as request:
        assert baggage.get_baggage("tenant") == "blue"
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers)
        assert headers["traceparent"] == request.environment()["TRACEPARENT"]
    assert baggage.get_baggage("tenant") is None


def test_a_context_from_elsewhere_is_the_parent() -> None:
    """A request that came in with a `traceparent` and a `tracestate`, neither current, hands them on to tools."""
    telemetry = Telemetry()
    headers = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
    extracted = TraceContextTextMapPropagator().extract(headers)
    with migration(context=extracted, **telemetry.providers) as request:
        variables = request.environment()
    (span,) = telemetry.spans
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id) == (int("a" * 32, 16), int("b" * 16, 16))
    assert variables == {
        "TRACEPARENT": f"00-{'a' * 32}-{span.context.span_id:016x}-01",
        "TRACESTATE": "vendor=1",
    }


def test_without_a_span_there_is_nothing_to_hand_on() -> None:
    """Before the block, and where nothing traces, a tool gets no variable at all."""
    assert migration().environment() == {}
    with migration(logger_provider=Telemetry().logger_provider) as request:
        assert request.environment() == {}


@pytest.mark.parametrize("has_older_word", [True, False])
@pytest.mark.parametrize("is_current", [True, False])
def test_suppressed_instrumentation_is_silent(*, has_older_word: bool, is_current: bool) -> None:
    """Neither a span nor a record nor a measurement, by the API's key or by the older word for it."""
    telemetry = Telemetry()
    with suppress_instrumentation():
        keys = {key: value for key, value in context.get_current().items() if value is True}
    word = "suppress_instrumentation"
    suppressed = context.Context({key: value for key, value in keys.items() if (key == word) is has_older_word})
    assert len(suppressed) == 1
    elsewhere: dict[str, Any] = {} if is_current else {"context": suppressed}
    token = context.attach(suppressed if is_current else context.Context())
    try:
        with migration(**telemetry.providers, **elsewhere) as request:
            request.failed("no")
            assert not request.span.is_recording()
    finally:
        context.detach(token)
    assert (telemetry.spans, telemetry.records, telemetry.points) == ([], [], {})


class _BrokenError(RuntimeError):
    pass


class _Broken:
    """A provider of anything that always raises."""

    def __getattr__(self, name: str) -> Any:
        raise _BrokenError(name)


@pytest.mark.parametrize("broken", [{"tracer_provider"}, {"logger_provider"}, {"meter_provider"}])
def test_errors_of_telemetry_stay_with_it(
    broken: set[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever provider fails, the block runs, the rest is told, and one line says so however often it happens."""
    monkeypatch.setattr(harmless.HARMLESS, "_said", False)
    telemetry = Telemetry()
    providers = telemetry.providers | dict.fromkeys(broken, _Broken())
    ran = []
    with caplog.at_level(logging.DEBUG, _SCOPE):
        for _ in range(3):
            with migration(**_TOLD, **providers):
                ran.append(trace.get_current_span())
    assert len(ran) == 3
    assert trace.get_current_span() is trace.INVALID_SPAN
    (line,) = caplog.records
    assert (line.name, line.levelname) == (_SCOPE, "WARNING")
    assert len(telemetry.spans) == (0 if "tracer_provider" in broken else 3)
    assert len(telemetry.records) == (6 if "meter_provider" in broken else 0)


def test_an_error_that_cannot_be_shown_is_still_an_error() -> None:
    """The text of an exception is made by its own code, which may fail."""

    class UnshownError(Exception):
        def __str__(self) -> str:
            raise _BrokenError

    telemetry = Telemetry()
    with pytest.raises(UnshownError), migration(**telemetry.providers):
        raise UnshownError
    (span,) = telemetry.spans
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "UnshownError")
    assert dict(span.attributes or {})[names.RESULT] == ClientResult.FAILED


def test_parameters_that_are_no_text_do_not_reach_the_caller() -> None:
    """What a caller has may be of another type than the annotation says: the block runs all the same."""
    telemetry = Telemetry()
    wrong: dict[str, Any] = {"vm_id": 7, "destination_url": object()}
    with migration(**wrong, **telemetry.providers):
        pass
    assert telemetry.spans == []
