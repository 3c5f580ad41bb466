"""One line of OTLP/JSON, ready to be sent: the unit that is kept, sent, acknowledged and counted.

Lines that otelmig writes hold one trace each; a line that somebody else wrote may hold spans of several.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from otelmig.errors import InputError
from otelmig.otlp.encoding.json_lines import encoded, json_text
from otelmig.otlp.encoding.protobuf import request_bytes
from otelmig.trace import attributes as names
from otelmig.trace.attributes import ESTIMATED_ORIGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.trace.span import Span, Trace

__all__ = ["Payload"]

_ORIGIN: Final = names.OTELMIG_CLOCK_EPOCH_ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A line of OTLP/JSON and what is sent for it."""

    ident: str
    """Trace id and span id of its first span: of a line of otelmig's, the ids of the root."""
    digest: str
    """Of the content: whether two payloads with one ``ident`` are the same (spaces in the JSON do not count)."""
    spans: int
    line: bytes
    """Without its line feed."""
    body: bytes
    """The same as an ``ExportTraceServiceRequest`` in protobuf; always the same for the same line."""
    estimated: bool = False
    """Its absolute time is only an estimate: the same log may give another one another time."""

    @classmethod
    def of_trace(cls, trace: Trace) -> Payload:
        """A trace that has just been built."""
        line, body = encoded(trace)
        return cls(
            ident=f"{trace.trace_id}{_first(trace).span_id}",
            digest=_digest(body),
            spans=len(trace.spans),
            line=line,
            body=body,
            estimated=trace.root.attributes.get(_ORIGIN) in ESTIMATED_ORIGINS,
        )

    @classmethod
    def of_line(cls, line: bytes) -> Payload:
        """A line that was stored, without the byte order mark that some editors begin a file with.

        Raises:
            InputError: why it is no OTLP/JSON line with spans in it.
        """
        try:
            line = line.removeprefix(BOM_UTF8)
            document = json.loads(line.decode(), parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise InputError("not JSON") from error
        return cls._of(document, line)

    @classmethod
    def _of(cls, document: Any, line: bytes) -> Payload:  # noqa: ANN401 - any JSON
        body = request_bytes(document)
        spans = list(_spans(document))
        if not spans:
            raise InputError("no spans in it")
        ident = f"{spans[0]['traceId']}{spans[0]['spanId']}".lower()
        return cls(
            ident=ident, digest=_digest(body), spans=len(spans), line=line, body=body, estimated=_estimated(spans[0])
        )

    def requests(self, largest: int, *, as_json: bool) -> list[bytes]:
        """What is posted: itself, or, if that is larger than so many bytes, its spans in several requests.

        A line that cannot be written again (a number that is too large, half a character) is not divided.
        """
        whole = self.line if as_json else self.body
        if len(whole) <= largest or self.spans == 1:
            return [whole]
        share = -(-self.spans // (-(-len(whole) // largest) + 1))
        try:
            parts = [self._of(part, json_text(part)) for part in _divided(json.loads(self.line), share)]
        except ValueError:
            return [whole]
        return [request for part in parts for request in part.requests(largest, as_json=as_json)]


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()[:16]


def _first(trace: Trace) -> Span:
    """The first span of the line, which goes by resources."""
    role = next(iter(trace.resources))
    return next(span for span in trace.spans if span.role is role)


def _estimated(root: dict[str, Any]) -> bool:
    return any(
        each["key"] == _ORIGIN and (each.get("value") or {}).get("stringValue") in ESTIMATED_ORIGINS
        for each in root.get("attributes") or ()
    )


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _spans(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in document["resourceSpans"]:
        for scope in resource.get("scopeSpans") or ():
            yield from scope.get("spans") or ()


def _divided(document: dict[str, Any], share: int) -> Iterator[dict[str, Any]]:
    """The document again and again, each time with the next ``share`` of one scope's spans."""
    for resource in document["resourceSpans"]:
        for scope in resource.get("scopeSpans") or ():
            spans = scope.get("spans") or ()
            for at in range(0, len(spans), share):
                part = {**scope, "spans": spans[at : at + share]}
                yield {"resourceSpans": [{**resource, "scopeSpans": [part]}]}
