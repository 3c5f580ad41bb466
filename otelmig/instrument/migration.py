"""The context manager around a request to migrate: a span, two log records inside it, two metrics."""

from __future__ import annotations

from contextvars import ContextVar, Token
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current

from otelmig import announcement as names
from otelmig.announcement import REQUEST_SPAN, ClientResult, RecordName
from otelmig.instrument import records
from otelmig.instrument.endpoint import endpoint_attributes
from otelmig.instrument.harmless import HARMLESS
from otelmig.instrument.measurements import bounded, instruments
from otelmig.version import __version__

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from otelmig.instrument.measurements import Instruments
    from otelmig.instrument.records import LoggerProvider

__all__ = ["Migration", "migration"]

_SCOPE: Final = "otelmig.instrument"
_SUPPRESSED: Final = "suppress_instrumentation"
"""The key, or the beginning of the key, under which a context says that instrumentation is to be silent."""
_ENTERED: Final[ContextVar[object]] = ContextVar("otelmig.instrument.entered", default=None)
"""Tells whether a block is left in the context in which it was entered: only there can ours be detached."""


class _Told(NamedTuple):
    """What the caller tells of the migration."""

    destination_url: str | None
    vm_id: str | None
    vm_name: str | None
    source_host: str | None
    destination_host: str | None
    migration_id: str | None
    mode: str | None
    system: str | None

    def attributes(self) -> dict[str, str | int]:
        """Return the attributes of the span and of the records."""
        named = {
            names.VM_ID: self.vm_id,
            names.VM_NAME: self.vm_name,
            names.SOURCE_HOST: self.source_host,
            names.DESTINATION_HOST: self.destination_host,
            names.MIGRATION_ID: self.migration_id,
            names.MODE: self.mode,
            names.SYSTEM: self.system,
        }
        told: dict[str, str | int] = {name: str(value) for name, value in named.items() if value is not None}
        return endpoint_attributes(self.destination_url) | told


class _Providers(NamedTuple):
    """Where telemetry goes; None is the program's own."""

    tracer: TracerProvider | None
    logger: LoggerProvider | None
    meter: MeterProvider | None


def migration(
    *,
    destination_url: str | None = None,
    vm_id: str | None = None,
    vm_name: str | None = None,
    source_host: str | None = None,
    destination_host: str | None = None,
    migration_id: str | None = None,
    mode: str | None = None,
    system: str | None = None,
    context: Context | None = None,
    tracer_provider: TracerProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Migration:
    """Return a context manager, for ``with`` and for ``async with``, that announces one attempt to migrate.

    On entry a span of kind CLIENT begins, is made the current one, and ``vm.migration.announced`` is emitted inside it;
    on exit ``vm.migration.returned``. An exception that leaves the block is recorded and goes on unchanged. A retry
    is another attempt and takes a context manager of its own.

    Args:
        destination_url: The URL that the hypervisor is given; address, port and transport are told, nothing else of it.
        vm_id: The VM's UUID, by which the migration is found where its endpoint is not known.
        vm_name: The VM's name.
        source_host: The name of the host that it leaves.
        destination_host: The name of the host that it goes to.
        migration_id: The caller's own id of this migration.
        mode: ``precopy``, ``postcopy`` or ``local``, as it was asked for.
        system: The hypervisor, as ``vm.migration.system.name`` has it.
        context: What the span hangs below, as a propagator extracts it; otherwise the current context.
        tracer_provider: Otherwise the program's own, as for the next two.
        logger_provider: Where the two records go.
        meter_provider: Where the two metrics go.

    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> exporter, provider = InMemorySpanExporter(), TracerProvider()
    >>> provider.add_span_processor(SimpleSpanProcessor(exporter))
    >>> with migration(destination_url="tcp:192.0.2.20:4444", tracer_provider=provider) as request:
    ...     request.failed("the destination does not answer")
    >>> [span] = exporter.get_finished_spans()
    >>> span.name, span.attributes["server.address"], span.attributes["vm.migration.client.result"]
    ('request migration', '192.0.2.20', 'failed')
    """
    told = _Told(
        destination_url=destination_url,
        vm_id=vm_id,
        vm_name=vm_name,
        source_host=source_host,
        destination_host=destination_host,
        migration_id=migration_id,
        mode=mode,
        system=system,
    )
    return Migration(told, _Providers(tracer_provider, logger_provider, meter_provider), context)


class Migration:
    """One attempt to migrate, as its caller sees it; :func:`migration` makes it."""

    def __init__(self, told: _Told, providers: _Providers, parent: Context | None) -> None:
        self._told = told
        self._providers = providers
        self._parent = parent
        self._span: Span = trace.INVALID_SPAN
        self._attributes: dict[str, str | int] = {}
        self._context: Context | None = None
        self._tokens: tuple[Token[Context], Token[object]] | None = None
        self._measured: tuple[Instruments, dict[str, str], float] | None = None
        self._failure: BaseException | str | None = None

    @property
    def span(self) -> Span:
        """The caller's span, for attributes and events of the caller's own; one that does nothing outside the block."""
        return self._span

    def failed(self, error: BaseException | str) -> None:
        """Say that the attempt failed, where no exception leaves the block; the last word holds."""
        self._failure = error

    def environment(self) -> dict[str, str]:
        """Return the variables that put a tool's trace under this span: TRACEPARENT, and TRACESTATE if there is one.

        The mapping is empty where there is no span.
        """
        variables: dict[str, str] = {}
        with HARMLESS:
            context = self._span.get_span_context()
            if context.is_valid:
                variables["TRACEPARENT"] = (
                    f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
                )
                if context.trace_state:
                    variables["TRACESTATE"] = context.trace_state.to_header()
        return variables

    def __enter__(self) -> Self:
        with HARMLESS:
            outer = get_current() if self._parent is None else self._parent
            if not _is_suppressed(outer) and not _is_suppressed(get_current()):
                self._begin(outer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._context is None:
            return  # suppressed, or it could not begin
        with HARMLESS:
            self._end(error)
        with HARMLESS:
            self._measure(error)
        with HARMLESS:
            self._leave()
        with HARMLESS:
            self._span.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _begin(self, outer: Context) -> None:
        """Open the span, make it the current one, announce the migration, count it."""
        self._attributes = self._told.attributes()
        tracer = trace.get_tracer(_SCOPE, __version__, self._providers.tracer)
        self._span = tracer.start_span(
            REQUEST_SPAN, outer, kind=trace.SpanKind.CLIENT, attributes=dict(self._attributes)
        )
        self._context = trace.set_span_in_context(self._span, outer)
        self._tokens = (attach(self._context), _ENTERED.set(self))
        with HARMLESS:
            self._emit(RecordName.ANNOUNCED, self._attributes)
        of_metrics = bounded(self._told.mode, self._told.system)
        of_provider = instruments(_SCOPE, self._providers.meter)
        of_provider.active.add(1, of_metrics, self._context)
        self._measured = (of_provider, of_metrics, perf_counter())

    def _end(self, error: BaseException | None) -> None:
        """Say on the span, and in the second record, how it ended."""
        told = self._failure if error is None else error
        attributes = {names.RESULT: str(_result_of(error, self._failure))}
        if told is not None:
            attributes[names.ERROR_TYPE] = _error_type(told)
        with HARMLESS:
            self._emit(RecordName.RETURNED, self._attributes | attributes)
        self._span.set_attributes(attributes)
        if told is not None:
            description = type(told).__name__
            with HARMLESS:  # whoever made the exception made its text, too
                description = f"{description}: {told}" if isinstance(told, BaseException) else told
            self._span.set_status(trace.StatusCode.ERROR, description)
        if isinstance(told, BaseException):
            self._span.record_exception(told)

    def _emit(self, name: RecordName, attributes: dict[str, Any]) -> None:
        """Emit a record, unless there is no span that anything could be put under."""
        if self._context is not None and self._span.get_span_context().is_valid:
            records.emit(name, attributes, scope=_SCOPE, context=self._context, provider=self._providers.logger)

    def _measure(self, error: BaseException | None) -> None:
        if self._measured is None:
            return
        (duration, active), attributes, began_s = self._measured
        elapsed_s = perf_counter() - began_s
        active.add(-1, attributes, self._context)
        result = {names.RESULT: str(_result_of(error, self._failure))}
        duration.record(elapsed_s, attributes | result, self._context)

    def _leave(self) -> None:
        """Make current what was current before, where the block is left where it was entered."""
        if self._tokens is None:
            return
        ours, entered = self._tokens
        try:
            _ENTERED.reset(entered)
        except ValueError:
            return  # another task or thread: what is current there is not ours
        detach(ours)


def _is_suppressed(context: Context) -> bool:
    """Whether instrumentation is to be silent: the API's key begins with the word, an older one is the word."""
    return any(value and key.startswith(_SUPPRESSED) for key, value in context.items())


def _result_of(error: BaseException | None, told: BaseException | str | None) -> ClientResult:
    """Return how the caller's part ended; what is no ``Exception`` ends programs and tasks, and is no failure."""
    of_error = error if error is not None else told
    if of_error is None:
        return ClientResult.RETURNED
    if isinstance(of_error, BaseException) and not isinstance(of_error, Exception):
        return ClientResult.CANCELLED
    return ClientResult.FAILED


def _error_type(error: BaseException | str) -> str:
    """Return the class of an error as the conventions want it; of a mere text, that it is none of those foreseen."""
    if isinstance(error, str):
        return "_OTHER"
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
