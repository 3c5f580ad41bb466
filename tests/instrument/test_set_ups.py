"""The same program in processes of its own: without an SDK, with one, and instrumented from outside."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from opentelemetry.trace import TraceFlags

_PROGRAM: Final = """
import threading
from otelmig.instrument import migration

with migration(destination_url="tcp:192.0.2.20:4444", vm_name="web-7") as request:
    print("valid" if request.span.get_span_context().is_valid else "invalid", threading.active_count())
for number in range(20):
    try:
        with migration(vm_id="7"):
            raise LookupError(number)
    except LookupError:
        pass
"""
_SET_UP: Final = """
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
_logs.set_logger_provider(LoggerProvider())
_logs.get_logger_provider().add_log_record_processor(BatchLogRecordProcessor(ConsoleLogRecordExporter()))
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(ConsoleMetricExporter())]))
"""
_CONSOLE: Final = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_LOGS_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "console",
}


def _run(program: str, *before: str, **environ: str) -> str:
    """Run a program to which our warnings are errors; it must not complain. The result is what it prints."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PYTHON"))}
    done = subprocess.run(
        [*before, sys.executable, "-W", "error:::otelmig", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=bare | environ,
    )
    assert done.stderr == ""
    return done.stdout


def _documents(printed: str) -> list[dict[str, object]]:
    """The JSON documents that the console's exporters print one after the other."""
    decoder, documents, at = json.JSONDecoder(), [], 0
    while match := re.compile(r"\s*").match(printed, at):
        if match.end() == len(printed):
            break
        document, at = decoder.raw_decode(printed, match.end())
        documents.append(document)
    return documents


def test_without_an_sdk_nothing_happens() -> None:
    """The API alone: no span, no record, no thread, no warning; the program runs."""
    assert _run(_PROGRAM) == "invalid 1\n"


def test_an_sdk_that_is_disabled() -> None:
    """The program's own switch is obeyed."""
    printed = _run(_SET_UP + _PROGRAM, OTEL_SDK_DISABLED="true")
    assert printed.startswith("invalid ")
    assert "vm.migration" not in printed


def _check_everything(printed: str) -> None:
    """Twenty-one requests arrived: spans, twice as many records, both metrics."""
    first, _, rest = printed.partition("\n")
    assert first.startswith("valid ")
    documents = _documents(rest)
    spans = [each for each in documents if each.get("name") == "request migration"]
    records = [each for each in documents if str(each.get("event_name")).startswith("vm.migration.")]
    assert (len(spans), len(records)) == (21, 42)
    ids = {str(span["context"]["span_id"]) for span in spans}  # type: ignore[index] # it is a mapping
    assert {str(record["span_id"]) for record in records} == ids
    (metrics,) = (each for each in documents if "resource_metrics" in each)
    text = json.dumps(metrics)
    assert '"vm.migration.client.duration"' in text
    assert '"vm.migration.client.active"' in text


def test_the_sdk_set_up_by_the_program() -> None:
    """Global providers, batches, the periodic reader: everything is there when the program ends."""
    _check_everything(_run(_SET_UP + _PROGRAM))


def test_the_sdk_set_up_after_the_first_request() -> None:
    """A program that announces before its SDK is there loses those requests, and no later one."""
    printed = _run(f"{_PROGRAM}{_SET_UP}{_PROGRAM}")
    assert printed.startswith("invalid 1\n")
    _check_everything(printed.partition("\n")[2])


def test_instrumented_from_outside() -> None:
    """`opentelemetry-instrument` sets up the SDK by variables; the program does not know of it."""
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    _check_everything(_run(_PROGRAM, str(command), **_CONSOLE))


@pytest.mark.parametrize("sampler", ["always_off", "traceidratio"])
def test_a_sampler_by_variables(sampler: str) -> None:
    """What drops spans leaves the records, with flags that say so."""
    command = Path(sys.executable).with_name("opentelemetry-instrument")
    printed = _run(_PROGRAM, str(command), **_CONSOLE, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0")
    documents = _documents(printed.partition("\n")[2])
    assert not [each for each in documents if each.get("name") == "request migration"]
    records = [each for each in documents if str(each.get("event_name")).startswith("vm.migration.")]
    assert len(records) == 42
    assert not [record for record in records if int(str(record["trace_flags"])) & TraceFlags.SAMPLED]


def test_another_propagator() -> None:
    """A context that came by B3 is handed to the block's calls by B3, and to tools by TRACEPARENT."""
    program = """
from opentelemetry import propagate
from otelmig.instrument import migration

incoming = {"b3": "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1"}
with migration(context=propagate.extract(incoming)) as request:
    outgoing = {}
    propagate.inject(outgoing)
    traceparent = request.environment()["TRACEPARENT"]
    print(outgoing["b3"][:32], traceparent[3:35], outgoing["b3"][33:49] == traceparent[36:52])
"""
    printed = _run(_SET_UP + program, OTEL_PROPAGATORS="b3")
    assert printed.splitlines()[0] == " ".join(["463ac35c9f6413ad48485a3953bb6124"] * 2 + ["True"])
