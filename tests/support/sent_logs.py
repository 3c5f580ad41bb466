"""Requests with OTLP logs, as Collectors and SDKs send them, in both encodings."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HOST", "any_value", "file_record", "json_of", "log_record", "request"]

HOST = {"host.name": "alpha", "host.id": "id-of-alpha"}


def any_value(value: Any) -> AnyValue:
    """Return a value as OTLP has it."""
    result = AnyValue()
    match value:
        case None:
            pass
        case str():
            result.string_value = value
        case bytes():
            result.bytes_value = value
        case bool():
            result.bool_value = value
        case int():
            result.int_value = value
        case float():
            result.double_value = value
        case dict():
            result.kvlist_value.values.extend(_pairs(value))
        case _:
            result.array_value.values.extend(map(any_value, value))
    return result


def _pairs(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def log_record(body: Any, attributes: Mapping[str, Any] | None = None, **given: Any) -> LogRecord:
    """Return a record; ``given`` are other fields of the message."""
    record = LogRecord(attributes=_pairs(attributes or {}), **given)
    if body is not None:
        record.body.CopyFrom(any_value(body))
    return record


def file_record(text: str, offset: int, number: int, path: str = "/var/log/ch.log", observed_ns: int = 5) -> LogRecord:
    """Return a record as a Collector's file receiver makes it of a line."""
    name = path.rpartition("/")[2]
    attributes = {
        "log.file.path": path,
        "log.file.name": name,
        "log.file.record_offset": offset,
        "log.file.record_number": number,
    }
    return log_record(text, attributes, observed_time_unix_nano=observed_ns)


def request(*batches: Sequence[LogRecord], resource: Mapping[str, Any] = HOST) -> ExportLogsServiceRequest:
    """Return a request of one resource, with a scope for each of ``batches``."""
    scopes = [ScopeLogs(log_records=list(batch)) for batch in batches]
    logs = ResourceLogs(resource=Resource(attributes=_pairs(resource)), scope_logs=scopes)
    return ExportLogsServiceRequest(resource_logs=[logs])


def json_of(message: ExportLogsServiceRequest) -> bytes:
    """Return the request as OTLP/JSON, whose ids are hexadecimal."""
    document = MessageToDict(message)
    for resource_logs in document.get("resourceLogs", []):
        for scope_logs in resource_logs.get("scopeLogs", []):
            for record in scope_logs.get("logRecords", []):
                for name in record.keys() & {"traceId", "spanId"}:
                    record[name] = base64.b64decode(record[name]).hex()
    return json.dumps(document).encode()
