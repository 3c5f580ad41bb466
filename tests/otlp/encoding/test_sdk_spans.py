"""Spans of the SDK: encoded by the SDK, they are what otelmig sends."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from trace_invariants import RECORDINGS, inputs, traced

from otelmig.otlp.encoding.json_lines import json_line
from otelmig.otlp.encoding.sdk_spans import readable_spans
from otelmig.otlp.payload import Payload


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_equal_what_the_sdk_encodes(name: str) -> None:
    """A trace's body is, byte for byte, what the SDK's encoder makes of it; a stored line gives it again."""
    for trace in traced(inputs(name)):
        payload = Payload.of_trace(trace)
        assert payload.line + b"\n" == json_line(trace)
        assert Payload.of_line(payload.line) == payload
        assert payload.spans == len(trace.spans)
        assert payload.ident == trace.trace_id + trace.root.span_id
        sdk = encode_spans(readable_spans(trace))
        by_role = {str(resource.resource): resource for resource in sdk.resource_spans}
        request = ExportTraceServiceRequest.FromString(payload.body)
        assert len(request.resource_spans) == len(by_role)
        for resource in request.resource_spans:
            assert resource.SerializeToString() == by_role[str(resource.resource)].SerializeToString()
