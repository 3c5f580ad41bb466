"""Log records on their way to the receiver of the traces: as well as it goes, and never in anybody's way.

They say what a trace cannot say yet, or any more; what cannot be sent is counted and given up.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelmig.otlp.receiver.settings import GRPC, HTTP
from otelmig.otlp.receiver.transport import open_log_transport
from otelmig.printable import printable
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.otlp.receiver.settings import Settings
    from otelmig.otlp.telemetry.names import ServiceRecord
    from otelmig.trace.span import AttributeValue

__all__ = ["LogRecords"]

_MOST: Final = 1_000
"""Records that wait at a time; the oldest are given up."""
_PAUSE_S: Final = 5.0
"""Seconds until the next attempt after one that failed."""


class LogRecords:
    """A thread that sends log records.

    Example:
        records = LogRecords(settings, {"service.name": "otelmig"})
        records.start()
        records.put(ServiceRecord.PROGRESS, {"vm.migration.phase": "precopy"}, "precopy for 12 s", at_ns=time.time_ns())
        records.stop(1.0)
    """

    def __init__(self, settings: Settings, resource: Mapping[str, AttributeValue]) -> None:
        self.sent = 0
        self.given_up = 0
        """Records that could not be sent."""
        protocol = GRPC if settings.protocol == GRPC else HTTP
        self._settings = replace(settings.for_signal("logs"), protocol=protocol)
        self._resource = Resource(attributes=_attributes(resource))
        self._waiting: deque[LogRecord] = deque()
        self._arrived = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="otelmig-log-records", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(
        self,
        name: ServiceRecord,
        attributes: Mapping[str, AttributeValue],
        text: str,
        *,
        at_ns: int,
        is_warning: bool = False,
        trace_id: str = "",
        span_id: str = "",
    ) -> None:
        """Take a record; the ids are those of the span in whose context it is, if it is in one."""
        record = LogRecord(
            time_unix_nano=at_ns,
            observed_time_unix_nano=at_ns,
            severity_number=SeverityNumber.SEVERITY_NUMBER_WARN if is_warning else SeverityNumber.SEVERITY_NUMBER_INFO,
            severity_text="WARN" if is_warning else "INFO",
            body=AnyValue(string_value=printable(text)),
            attributes=_attributes(attributes),
            event_name=str(name),
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id),
            flags=1 if trace_id else 0,
        )
        with self._arrived:
            self._waiting.append(record)
            if len(self._waiting) > _MOST:
                self._waiting.popleft()
                self.given_up += 1
            self._arrived.notify()

    def stop(self, timeout_s: float) -> None:
        """Send what there is, within a time."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        transport = open_log_transport(self._settings)
        while True:
            with self._arrived:
                while not self._waiting and not self._stopping:
                    self._arrived.wait()
                batch = list(self._waiting)
                self._waiting.clear()
            if not batch:
                break
            answer = transport.send(self._request(batch).SerializeToString(), self._settings.timeout_s)
            if answer.failure is None:
                self.sent += len(batch)
                continue
            with self._arrived:
                if not answer.retryable or self._stopping:
                    self.given_up += len(batch)
                else:
                    room = max(_MOST - len(self._waiting), 0)
                    self.given_up += max(len(batch) - room, 0)
                    self._waiting.extendleft(reversed(batch[-room:] if room else []))
                    self._arrived.wait(_PAUSE_S)
        transport.close()

    def _request(self, batch: list[LogRecord]) -> ExportLogsServiceRequest:
        scope = InstrumentationScope(name="otelmig", version=__version__)
        logs = ResourceLogs(resource=self._resource, scope_logs=[ScopeLogs(scope=scope, log_records=batch)])
        return ExportLogsServiceRequest(resource_logs=[logs])


def _attributes(values: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: AttributeValue) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=printable(value))
        case _:
            result = AnyValue()
            result.array_value.values.extend(AnyValue(string_value=printable(text)) for text in value)
            return result
