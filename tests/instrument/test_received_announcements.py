"""What an instrumented program sends is what a service for OTLP logs receives: the same ids, names and values."""

from __future__ import annotations

import pytest
from intake_client import Inbox, intake
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from telemetry import Telemetry

from otelmig import announcement as names
from otelmig.announcement import ClientResult, RecordName
from otelmig.instrument import migration
from otelmig.otlp.intake.request import decode_logs


@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF])
def test_sent_and_received(sampler: Sampler) -> None:
    """Through the SDK's batches and its exporter, into the intake: two announcements of one span, and nothing else."""
    telemetry, inbox = Telemetry(sampler=sampler), Inbox()
    with intake(inbox) as server:
        endpoint = f"http://{server.address.host}:{server.address.port}/v1/logs"
        provider = LoggerProvider(Resource({"service.name": "mover"}), shutdown_on_exit=False)
        provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(endpoint)))
        with migration(
            destination_url="tcp:192.0.2.20:4444",
            vm_id="8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10",
            tracer_provider=telemetry.tracer_provider,
            logger_provider=provider,
        ) as request:
            context = request.span.get_span_context()
        provider.shutdown()
    (received,) = (decode_logs(each.body, is_json=each.is_json) for each in inbox.requests)
    assert (received.records, received.passed_over) == ((), {})
    announced, returned = received.announcements
    assert (announced.name, returned.name) == (*RecordName,)
    for each in received.announcements:
        assert (each.trace_id, each.span_id) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
        assert each.flags & 1 == (sampler is ALWAYS_ON)
        assert each.resource["service.name"] == "mover"
        assert each.time_ns == each.observed_ns
    assert announced.attributes == {
        names.TRANSPORT: "tcp",
        names.ADDRESS: "192.0.2.20",
        names.PORT: 4444,
        names.VM_ID: "8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10",
    }
    assert returned.attributes == {**announced.attributes, names.RESULT: ClientResult.RETURNED}
