"""One line of OTLP/JSON, ready to be sent: the unit that is stored, sent, acknowledged and counted.

A line that otelmig wrote holds one trace; a line that another program wrote may hold spans of several.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from otelmig.errors import InputError
from otelmig.otlp.encoding.json_lines import encode_trace, json_text
from otelmig.otlp.encoding.protobuf import request_bytes
from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.attributes import ESTIMATED_ORIGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.trace.span import Span, Trace

__all__ = ["NotJsonError", "OtherSignalError", "Payload"]

_ORIGIN: Final = names.OTELMIG_CLOCK_EPOCH_ORIGIN
_DIGEST_DIGITS: Final = 16
_OTHER_SIGNALS: Final = frozenset({"resourceMetrics", "resourceLogs", "resourceProfiles"})
"""Fields of requests with other signals than traces."""


class NotJsonError(InputError):
    """A line is no JSON."""

    def __init__(self) -> None:
        super().__init__("not JSON")


class OtherSignalError(InputError):
    """A line is a request with another signal than traces: nothing is wrong with it."""

    def __init__(self) -> None:
        super().__init__("a request with other signals than traces")


class Payload(Struct, frozen=True, kw_only=True):
    """A line of OTLP/JSON and what is sent for it.

    >>> span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "migration"}
    >>> payload = Payload.of_line(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode())
    >>> payload.ident, payload.spans
    ('0af7651916cd43dd8448eb211c80319cb7ad6b7169203331', 1)
    """

    ident: str
    """Trace id and span id of the first span, 48 hex digits; in a line that otelmig wrote, that is the root."""
    digest: str
    """Digest of the content, 16 hex digits; spaces in the JSON do not count."""
    spans: int
    """Number of spans."""
    line: bytes
    """The line, without its line feed."""
    body: bytes
    """The line as an ``ExportTraceServiceRequest`` in protobuf; always the same for the same line."""
    estimated: bool = False
    """Whether its absolute time is only an estimate: tracing the same log again may give another one."""

    @classmethod
    def of_trace(cls, trace: Trace) -> Payload:
        """Return the payload of a trace that has just been built.

        Raises:
            ValueError: an attribute is an infinity or not a number.
        """
        line, body = encode_trace(trace)
        return cls(
            ident=f"{trace.trace_id}{_first_span(trace).span_id}",
            digest=_digest(body),
            spans=len(trace.spans),
            line=line,
            body=body,
            estimated=trace.root.attributes.get(_ORIGIN) in ESTIMATED_ORIGINS,
        )

    @classmethod
    def of_line(cls, line: bytes) -> Payload:
        """Return the payload of a stored line; a byte order mark, which some editors write, is removed.

        Raises:
            NotJsonError: the line is no JSON.
            OtherSignalError: it is a request with metrics, logs or profiles.
            InputError: it is no OTLP/JSON, or has no spans.
        """
        try:
            line = line.removeprefix(BOM_UTF8)
            document = json.loads(line.decode(), parse_constant=_reject_constant)
        except (ValueError, RecursionError) as error:
            raise NotJsonError from error
        if isinstance(document, dict) and document.keys() & _OTHER_SIGNALS and "resourceSpans" not in document:
            raise OtherSignalError
        return cls._of(document, line)

    @classmethod
    def _of(cls, document: Any, line: bytes) -> Payload:  # noqa: ANN401 - any JSON
        """Return the payload of ``line``, which is parsed already.

        Raises:
            InputError: ``document`` is no OTLP request, or has no spans.
        """
        body = request_bytes(document)
        spans = list(_spans(document))
        if not spans:
            raise InputError("no spans in it")
        ident = f"{spans[0]['traceId']}{spans[0]['spanId']}".lower()
        return cls(
            ident=ident, digest=_digest(body), spans=len(spans), line=line, body=body, estimated=_estimated(spans[0])
        )

    def requests(self, largest: int, *, as_json: bool) -> list[bytes]:
        """Return the bodies to send, in protobuf or (``as_json``) in JSON: one, or several of up to ``largest`` bytes.

        A larger one is returned where it cannot be divided: a single span, or a line that cannot be written again,
        because a number in it is too large for a double or a text has half of a surrogate pair.
        """
        whole = self.line if as_json else self.body
        if len(whole) <= largest or self.spans == 1:
            return [whole]
        part_count = -(-len(whole) // largest) + 1  # one more than necessary, because spans differ in size
        share = -(-self.spans // part_count)
        try:
            parts = [self._of(part, json_text(part)) for part in _divided(json.loads(self.line), share)]
        except ValueError:
            return [whole]
        return [request for part in parts for request in part.requests(largest, as_json=as_json)]


def _digest(body: bytes) -> str:
    """Return the digest of a request's protobuf form."""
    return sha256(body).hexdigest()[:_DIGEST_DIGITS]


def _first_span(trace: Trace) -> Span:
    """Return the span that comes first in the line, which is grouped by resource."""
    role = next(iter(trace.resources))
    return next(span for span in trace.spans if span.role is role)


def _estimated(root: dict[str, Any]) -> bool:
    """Return whether a root span in JSON says that its absolute time is an estimate."""
    return any(
        attribute["key"] == _ORIGIN and (attribute.get("value") or {}).get("stringValue") in ESTIMATED_ORIGINS
        for attribute in root.get("attributes") or ()
    )


def _reject_constant(text: str) -> float:
    """Reject ``NaN`` and ``Infinity``, which Python's parser would accept.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is no JSON")


def _spans(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the spans of a request in JSON."""
    for resource in document["resourceSpans"]:
        for scope in resource.get("scopeSpans") or ():
            yield from scope.get("spans") or ()


def _divided(document: dict[str, Any], share: int) -> Iterator[dict[str, Any]]:
    """Yield a request in JSON in parts, each with up to ``share`` spans of one scope."""
    # resource and scope are written again for every slice of the scope's spans, which begins at `begin`
    for resource in document["resourceSpans"]:
        for scope in resource.get("scopeSpans") or ():
            spans = scope.get("spans") or ()
            for begin in range(0, len(spans), share):
                part = {**scope, "spans": spans[begin : begin + share]}
                yield {"resourceSpans": [{**resource, "scopeSpans": [part]}]}
