"""Logs as OTLP/JSON, one request a line: what a Collector's file exporter writes.

A request holds the records of many sources in batches; each batch says by attributes which host and process it is of.
A record's body is the line, or a map with a field for it (as the journal's receiver gives it). The host's own addresses
are the attribute ``host.ip``, one string or several.
(OpenTelemetry Protocol, ``opentelemetry/proto/logs/v1/logs.proto``.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.inputs.framing.entries import in_json, windowed
from otelmig.inputs.framing.json_text import json_object
from otelmig.inputs.framing.sent_records import Sender
from otelmig.inputs.framing.stores import line_of
from otelmig.inputs.line import Where
from otelmig.inputs.record import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.inputs.framing.sent_records import Value
    from otelmig.inputs.line import Line, Stream
    from otelmig.inputs.line_filter import LineFilter

__all__ = ["is_otlp", "otlp_lines", "otlp_records"]

_LONGEST: Final = 1 << 26
"""Bytes of a request; what is longer is passed over. (A Collector's receivers take 4 MiB, unless told otherwise.)"""
_DEEPEST: Final = 4
_LONGEST_TIME: Final = 19
"""Digits of a time in ns."""
_BODY: Final = "message"
"""The field that a body without fields is."""


def is_otlp(head: bytes) -> bool:
    """Return whether a file that begins like this holds requests with logs, one a line."""
    return head.lstrip()[:64].replace(b" ", b"").startswith(b'{"resourceLogs":')


def otlp_lines(
    chunks: Iterable[bytes], name: str, wanted: LineFilter | None, stream: Stream, *, of_files: bool = True
) -> Iterator[Line]:
    """Yield the lines of the records that are ``wanted``; their places are the lines of the requests.

    Those that name the file that they stood in are left out unless lines ``of_files`` are wanted.
    """
    return windowed(_lines(chunks, name, wanted, stream, of_files=of_files), wanted)


def otlp_records(chunks: Iterable[bytes]) -> Iterator[LogRecord | None]:
    """Yield the line of each record that names the file in which it stood, and None for any other record."""
    for raw in _requests(chunks):
        for _, sender, sent in _batches(json_object(raw) or {}):
            for record in sent:
                attributes, body = _attributes(record.get("attributes")), _body(record.get("body"))
                if not sender.names_file(attributes):
                    yield None
                    continue
                text = body.get(_BODY) if body.keys() == {_BODY} else body
                line = sender.record(attributes, text, _received_ns(record))
                if isinstance(line, LogRecord):
                    yield line


def _lines(
    chunks: Iterable[bytes], name: str, wanted: LineFilter | None, stream: Stream, *, of_files: bool
) -> Iterator[Line]:
    """Yield the lines of all records of requests in which something is ``wanted``, and of the request after each."""
    near, likely = False, in_json(wanted)
    for number, raw in enumerate(_requests(chunks), start=1):
        matches = likely is None or likely.matches(raw)
        if matches or near:
            request = json_object(raw)
            for line in _records(request or {}, Where(name, number), of_files=of_files):
                yield replace(line, stream=stream)
        near = matches


def _requests(chunks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    size = 0
    # begun: the pieces of a request that is not whole yet; size: their bytes, of which those beyond the limit are gone
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for end in whole:
            yield b"".join((*begun, end)) if size + len(end) <= _LONGEST else b""
            begun, size = [], 0
        size += len(rest)
        if size <= _LONGEST:
            begun.append(rest)
    if any(begun):
        yield b"".join(begun)


def _records(request: Mapping[str, object], where: Where, *, of_files: bool) -> Iterator[Line]:
    for common, sender, sent in _batches(request):
        for record in sent:
            attributes = _attributes(record.get("attributes"))
            if not of_files and sender.names_file(attributes):
                continue
            fields = {**common, **attributes, **_body(record.get("body")), **_times(record)}
            line = line_of(fields, where)
            if line is not None:
                yield line


def _batches(request: Mapping[str, object]) -> Iterator[tuple[dict[str, Value], Sender, Iterator[dict[str, object]]]]:
    """Yield the records of each scope with the attributes of their resource and what follows from these."""
    for resource_logs in _objects(request.get("resourceLogs")):
        resource = resource_logs.get("resource")
        common = _attributes(resource.get("attributes")) if isinstance(resource, dict) else {}
        sender = Sender(common)
        for scope_logs in _objects(resource_logs.get("scopeLogs")):
            sender.begin_batch()
            yield common, sender, _objects(scope_logs.get("logRecords"))


def _objects(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def _attributes(value: object, depth: int = 1) -> dict[str, Value]:
    """Return a list of keys with values as fields; names of those that lie deeper are joined by dots."""
    fields: dict[str, Value] = {}
    for pair in _objects(value):
        key, held = pair.get("key"), pair.get("value")
        if not isinstance(key, str) or not isinstance(held, dict):
            continue
        nested = held.get("kvlistValue")
        if isinstance(nested, dict):
            if depth < _DEEPEST:
                inner = _attributes(nested.get("values"), depth + 1)
                fields |= {f"{key}.{name}": inner_value for name, inner_value in inner.items()}
        else:
            fields[key] = next(iter(held.values()), None) if "arrayValue" not in held else _array(held["arrayValue"])
    return fields


def _array(value: object) -> list[Value]:
    """Return the texts of a list."""
    values = value.get("values") if isinstance(value, dict) else None
    return [held for item in _objects(values) if isinstance(held := next(iter(item.values()), None), str)]


def _body(value: object) -> dict[str, Value]:
    if not isinstance(value, dict):
        return {}
    nested = value.get("kvlistValue")
    if isinstance(nested, dict):
        return _attributes(nested.get("values"))
    return {_BODY: value.get("stringValue")}


def _received_ns(record: Mapping[str, object]) -> int | None:
    text = _times(record)["timestamp"] or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_TIME else None


def _times(record: Mapping[str, object]) -> dict[str, str | None]:
    """Return when a record came about, by whoever made it or, if that is not known, by the Collector."""
    times = (record.get(name) for name in ("timeUnixNano", "observedTimeUnixNano"))
    return {"timestamp": next((str(time) for time in times if time not in (None, "", 0, "0")), None)}
