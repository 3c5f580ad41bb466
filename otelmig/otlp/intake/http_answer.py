"""Answers over HTTP: an ``ExportLogsServiceResponse`` or a ``google.rpc.Status``, encoded as the request was.

(OpenTelemetry Protocol Specification, "OTLP/HTTP Response".)
"""

from __future__ import annotations

import json
import math
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.otlp.intake.exchange import Verdict

__all__ = ["CONTINUE", "JSON", "PROTOBUF", "answer", "document"]

JSON: Final = "application/json"
PROTOBUF: Final = "application/x-protobuf"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.NOT_FOUND: "UNIMPLEMENTED",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RESOURCE_EXHAUSTED",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.TOO_MANY_REQUESTS: "UNAVAILABLE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL",
}
"""gRPC's word for each status that has one of its own; the others are invalid arguments."""
_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", "Bearer"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow", "POST"),
}


def answer(verdict: Verdict, *, is_json: bool, keeps: bool) -> bytes:
    """Return the answer that says ``verdict``; ``keeps``: whether the connection stays open."""
    body = _success(verdict, is_json=is_json) if verdict.status is HTTPStatus.OK else _failure(verdict, is_json=is_json)
    headers = [] if verdict.status not in _HEADERS else [_HEADERS[verdict.status]]
    if verdict.retry_after_s is not None:
        headers.append(("Retry-After", str(max(1, math.ceil(verdict.retry_after_s)))))
    return _message(verdict.status, JSON if is_json else PROTOBUF, body, dict(headers), keeps=keeps)


def document(status: HTTPStatus, value: Mapping[str, object], *, keeps: bool) -> bytes:
    """Return an answer that is a JSON document."""
    return _message(status, JSON, json.dumps(value).encode() + b"\n", {"Cache-Control": "no-store"}, keeps=keeps)


def _success(verdict: Verdict, *, is_json: bool) -> bytes:
    if is_json:
        partial = {"partialSuccess": {"errorMessage": verdict.reason}} if verdict.reason else {}
        return json.dumps(partial).encode()
    response = ExportLogsServiceResponse()
    if verdict.reason:
        response.partial_success.CopyFrom(ExportLogsPartialSuccess(error_message=verdict.reason))
    return response.SerializeToString()


def _failure(verdict: Verdict, *, is_json: bool) -> bytes:
    code = Code.Value(_CODES.get(verdict.status, "INVALID_ARGUMENT"))
    if is_json:
        return json.dumps({"code": code, "message": verdict.reason}).encode()
    data: bytes = Status(code=code, message=verdict.reason).SerializeToString()
    return data


def _message(status: HTTPStatus, content_type: str, body: bytes, headers: Mapping[str, str], *, keeps: bool) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [] if keeps else ["Connection: close"]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body
