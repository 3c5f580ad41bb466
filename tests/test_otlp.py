"""What leaves as OTLP: the same spans by file, HTTP and gRPC, and no delivery that is not proved."""

from __future__ import annotations

import base64
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from forest import inputs, traced
from google.protobuf.json_format import ParseDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_receiver import grpc_receiver, http_receiver
from readable import readable_spans

from otelmig.errors import UsageError
from otelmig.otlp.export import LARGEST_REQUEST, export
from otelmig.otlp.json_lines import json_line
from otelmig.otlp.settings import Settings

if TYPE_CHECKING:
    from conftest import Otelmig

    from otelmig.trace.span import Trace

_NAMES = ("v53.0-twohosts", "v53.0-postcopy", "head-conn4", "v48.0-refused", "v53.0-retry")


def _settings(url: str, protocol: str = "http/protobuf", **environ: str) -> Settings:
    return Settings.of(url, protocol, 2.0, environ)


def _parsed(line: bytes) -> ExportTraceServiceRequest:
    """An OTLP/JSON line as the protobuf message (whose JSON form wants base64 where OTLP has hex)."""

    def convert(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            return {
                key: base64.b64encode(bytes.fromhex(item)).decode()
                if key in ("traceId", "spanId", "parentSpanId")
                else convert(item)
                for key, item in value.items()
            }
        return [convert(item) for item in value] if isinstance(value, list) else value

    message = ExportTraceServiceRequest()
    ParseDict(convert(json.loads(line)), message)
    return message


def _by_id(message: ExportTraceServiceRequest) -> dict[bytes, bytes]:
    return {
        span.span_id: span.SerializeToString(deterministic=True)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


@pytest.mark.parametrize("name", _NAMES)
def test_line_equals_what_the_sdk_encodes(name: str) -> None:
    """An OTLP/JSON line, parsed by protobuf, is the message that the SDK's encoder makes of the same trace."""
    for trace in traced(inputs(name)):
        parsed, encoded = _parsed(json_line(trace)), encode_spans(readable_spans(trace))
        assert _by_id(parsed) == _by_id(encoded)
        resources = [message.resource_spans for message in (parsed, encoded)]
        assert [each.resource for each in resources[0]] == [each.resource for each in resources[1]]
        assert [each.schema_url for each in resources[0]] == [each.schema_url for each in resources[1]]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_receiver_gets_what_the_file_has(protocol: str, compression: str) -> None:
    """Span for span, by either transport, compressed or not."""
    traces = traced(inputs("v53.0-retry"))
    with (grpc_receiver if protocol == "grpc" else http_receiver)() as receiver:
        settings = _settings(receiver.url, protocol, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
        outcomes = list(export(traces, settings))
        assert [outcome.failure for outcome in outcomes] == [None, None]
        assert [outcome.trace_id for outcome in outcomes] == [trace.trace_id for trace in traces]
        (request,) = receiver.requests
        written: dict[bytes, bytes] = {}
        for trace in traces:
            written |= _by_id(_parsed(json_line(trace)))
        assert _by_id(request) == written


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (301, {"Location": "https://elsewhere/v1/traces"}, "redirects to https://elsewhere/v1/traces"),
        (302, {"Location": "/login?next=secret"}, "redirects to /login"),
        (400, {}, "400"),
        (401, {}, "401"),
        (404, {}, "is the path /v1/traces?"),
        (500, {}, "500"),
        (503, {}, "503"),
        (200, {"Content-Type": "text/html"}, "a web page"),
        (200, {"Content-Type": "application/json"}, "no OTLP receiver"),
        (200, {}, "no content type"),
    ],
)
def test_wrong_answers_are_failures(status: int, headers: dict[str, str], expected: str) -> None:
    """Redirects, errors and answers of another kind: nothing counts as delivered, one line says why."""
    traces = traced(inputs("v53.0-twohosts"))
    with http_receiver() as receiver:
        receiver.status, receiver.answer_headers = status, headers
        (outcome,) = export(traces, _settings(receiver.url), sleep=lambda _: None)
    assert outcome.failure is not None
    assert expected in outcome.failure
    assert "\n" not in outcome.failure


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_rejected_spans_are_a_failure(protocol: str) -> None:
    """A partial success that rejects spans is no success."""
    traces = traced(inputs("v53.0-twohosts"))
    with (grpc_receiver if protocol == "grpc" else http_receiver)() as receiver:
        receiver.reject(3)
        (outcome,) = export(traces, _settings(receiver.url, protocol))
    assert "rejected 3 spans: too old" in (outcome.failure or "")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_refused_connection(protocol: str) -> None:
    """Nobody listens: one failure for all traces, quickly, with credentials left out of the message."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{unused.getsockname()[1]}"
        traces = traced(inputs("v53.0-retry"))
        outcomes = list(export(traces, replace(_settings(url, protocol), timeout_s=0.5)))
    assert len(outcomes) == 2
    assert all(outcome.failure and "hunter2" not in outcome.failure for outcome in outcomes)


def test_requests_stay_small() -> None:
    """Many traces go in several requests, each below the limit; a trace larger than that is split by its spans."""
    (trace,) = traced(inputs("v53.0-tls"))
    giant = replace(
        trace,
        trace_id="f" * 32,
        spans=tuple(replace(trace.root, span_id=f"{number + 1:016x}") for number in range(3000)),
    )
    traces: list[Trace] = [trace] * 120 + [giant] + [trace]
    with http_receiver() as receiver:
        outcomes = list(export(traces, _settings(receiver.url)))
        assert len(outcomes) == len(traces)
        assert all(outcome.failure is None for outcome in outcomes)
        assert max(receiver.sizes) <= LARGEST_REQUEST
        assert len(receiver.spans) == 121 * len(trace.spans) + 3000


def test_settings_follow_the_specification() -> None:
    """Endpoints, headers and timeouts mean what the OTLP specification says."""
    base = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/tenant/", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500"}
    found = Settings.of(None, None, None, base | {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x,b=c"})
    assert found.url == "http://c:4318/tenant/v1/traces"
    assert found.timeout_s == 1.5
    assert found.headers == {"authorization": "Bearer x", "b": "c"}
    exact = base | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d:1/x"}
    assert Settings.of(None, None, None, exact).url == "http://d:1/x"
    assert Settings.of("http://e:2", None, None, exact).url == "http://e:2/v1/traces"
    assert Settings.of("f:4317", "grpc", None, {}).url == "http://f:4317"
    with pytest.raises(UsageError, match="http/json"):
        Settings.of(None, None, None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_command_exports_and_accounts(otelmig: Otelmig) -> None:
    """`--otlp URL` exports; a failure is exit code 3, one line why, and nothing counted as exported."""
    logs = inputs("v53.0-retry")
    with http_receiver() as receiver:
        good = otelmig("trace", "-q", "--otlp", receiver.url, *logs)
        by_environment = otelmig("trace", "-q", *logs, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        receiver.status, receiver.answer_headers = 302, {"Location": "http://x/"}
        bad = otelmig("trace", "-q", "--otlp", receiver.url, *logs)
    assert (good.returncode, by_environment.returncode, bad.returncode) == (0, 0, 3)
    assert "2 migrations found, 2 exported" in good.stderr
    assert "2 migrations found, 0 exported, 2 not exported" in bad.stderr.splitlines()[-1]
    assert bad.stderr.count("not exported: ") == 1
