"""Whose request each migration was: many at once from one program, of VMs that are equal but for the endpoint."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from intake_client import Inbox, intake
from live_run import LiveRun
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from sent_logs import file_record, request
from telemetry import Telemetry
from trace_invariants import CORPUS

from otelmig.cli.main import build_parser
from otelmig.cli.options.live import live_options
from otelmig.hypervisors.log_options import LogOptions
from otelmig.instrument import migration
from otelmig.live.options import LiveOptions
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MANY: Final = 100 if os.environ.get("OTELMIG_FULL") else 12
_PORT: Final = 4444
_READ_NS: Final = 1_795_450_000 * 10**9
"""When the first line of each file was read."""
_HOSTS: Final = {"source": ("host-a", "10.9.0.1"), "destination": ("host-b", "10.9.0.2")}


class _Asked(NamedTuple):
    """A request for a migration: the span that asked, and both announcements as they are sent."""

    trace_id: str
    span_id: str
    announced: bytes
    returned: bytes


class _Program:
    """A program that is instrumented, and whose log records are kept as they are sent."""

    def __init__(self, inbox: Inbox, endpoint: str, sampler: Sampler) -> None:
        self._inbox = inbox
        self._telemetry = Telemetry(sampler=sampler)
        self._records = LoggerProvider(shutdown_on_exit=False)
        self._records.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint)))

    def ask(self, port: int) -> _Asked:
        """Ask for a migration to a port, inside a span of the program's own."""
        providers: dict[str, Any] = self._telemetry.providers | {"logger_provider": self._records}
        with (
            self._telemetry.tracer_provider.get_tracer("mover").start_as_current_span("move"),
            migration(destination_url=f"tcp:10.9.0.2:{port}", **providers) as asked,
        ):
            context = asked.span.get_span_context()
        announced, returned = (received.body for received in self._inbox.requests[-2:])
        return _Asked(f"{context.trace_id:032x}", f"{context.span_id:016x}", announced, returned)


@contextmanager
def _program(sampler: Sampler = ALWAYS_ON) -> Iterator[_Program]:
    inbox = Inbox()
    with intake(inbox) as server:
        yield _Program(inbox, f"http://{server.address}/v1/logs", sampler)


@pytest.fixture(scope="module")
def program() -> Iterator[_Program]:
    """A program whose spans are exported."""
    with _program() as each:
        yield each


def _lines(role: str, port: int, recording: str = "v53.0-twohosts") -> list[bytes]:
    """The lines of a side of a migration to a port, each as a request of its own."""
    name, address = _HOSTS[role]
    resource = {"host.name": name, "host.id": f"id-of-{name}", "host.ip": [address]}
    text = (CORPUS / recording / f"{role}.log").read_bytes().decode()
    text = text.replace("127.0.0.1:4444", "10.9.0.2:4444").replace("4444", str(port))
    sent, offset = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        record = file_record(line.rstrip("\r\n"), offset, number, f"/var/log/vm-{port}.log", _READ_NS + number)
        sent.append(request([record], resource=resource).SerializeToString())
        offset += len(line.encode())
    return sent


def _joined(bodies: Sequence[bytes]) -> bytes:
    """One request with everything of several: repeated fields of a message in a row are one list."""
    return b"".join(bodies)


def _parents(run: LiveRun) -> dict[int, list[tuple[str, str]]]:
    """The trace and the parent of the root of each migration that was exported, in order, by its port."""
    parents: dict[int, list[tuple[str, str]]] = {}
    for line in run.lines:
        spans = [
            span
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        (root,) = (span for span in spans if span["name"] == "migration")
        values = {each["key"]: each["value"] for each in root["attributes"]}
        port = int(values["server.port"]["intValue"])
        parents.setdefault(port, []).append((root["traceId"], root.get("parentSpanId", "")))
    return parents


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_hundred_at_once(program: _Program, tmp_path: Path, is_killed: bool) -> None:  # noqa: FBT001 - a column
    """Each is below the span that asked for it: announced before, during or after its lines, twice, service killed."""
    random = Random(7)  # noqa: S311 - the same for each run
    ports = range(_PORT, _PORT + _MANY)
    asked = {port: program.ask(port) for port in ports}
    early: list[bytes] = []
    late: list[bytes] = []
    for port in ports:
        source, destination = _lines("source", port), _lines("destination", port)
        parts = [_joined(source[:90]), _joined(destination[:45]), _joined(source[90:120]), _joined(destination[45:])]
        rest = [_joined(source[120:]), asked[port].returned]
        if port % 5 < len(parts):
            parts.insert(port % 5, asked[port].announced)
        else:
            rest.insert(1, asked[port].announced)
        if port % 3 == 0:
            rest.insert(1, asked[port].announced)
        early += parts
        late += rest
    with LiveRun(directory=tmp_path / "state") as run:
        for body in early + late:
            if is_killed and random.random() < 0.02:
                run.restart()
            run.take_body(body)
        run.wait(2000)
        assert _parents(run) == {port: [(asked[port].trace_id, asked[port].span_id)] for port in ports}


def test_retries(program: _Program, tmp_path: Path) -> None:
    """An attempt that is refused, and its retry: each is below its own request."""
    ports = range(_PORT, _PORT + 10)
    first, second = ({port: program.ask(port) for port in ports} for _ in range(2))
    sides = {
        port: (_lines("source", port, "v53.0-retry"), _lines("destination", port, "v53.0-retry")) for port in ports
    }
    with LiveRun(directory=tmp_path / "state") as run:
        for port, (source, _) in sides.items():
            for body in (first[port].announced, _joined(source[:98]), first[port].returned):
                run.take_body(body)
        run.wait(5)
        for port, (source, destination) in sides.items():
            for body in (second[port].announced, _joined(destination), _joined(source[98:]), second[port].returned):
                run.take_body(body)
        run.wait(2000)
        expected = {port: [asked[port][:2] for asked in (first, second)] for port in ports}
        assert _parents(run) == expected


def test_two_that_fit(program: _Program, tmp_path: Path) -> None:
    """Two requests for one endpoint at once: either could be meant, so there is no parent, and a link to each."""
    asked = [program.ask(_PORT) for _ in range(2)]
    with LiveRun(directory=tmp_path / "state") as run:
        for body in (*(each.announced for each in asked), *_lines("source", _PORT), *_lines("destination", _PORT)):
            run.take_body(body)
        for each in asked:
            run.take_body(each.returned)
        run.wait(2000)
        ((_, parent),) = _parents(run)[_PORT]
        assert parent == ""
        (line,) = run.lines
        assert [each.span_id in line.decode() for each in asked] == [True, True]


def test_one_that_comes_late(program: _Program, tmp_path: Path) -> None:
    """The trace was made without it and stays as it is; the next migration to that endpoint is not below it."""
    asked = program.ask(_PORT)
    with LiveRun(directory=tmp_path / "state") as run:
        for body in (*_lines("source", _PORT), *_lines("destination", _PORT)):
            run.take_body(body)
        run.wait(60)
        before = list(run.lines)
        run.take_body(asked.announced)
        run.take_body(asked.returned)
        run.wait(2000)
        assert run.lines == before
        assert [parent for _, parent in _parents(run)[_PORT]] == [""]


@pytest.mark.parametrize("parent_unsampled", [False, True])
def test_a_span_that_nobody_exports(tmp_path: Path, parent_unsampled: bool) -> None:  # noqa: FBT001 - a column
    """The migration's trace does not hang below it, unless that is asked for."""
    with _program(ALWAYS_OFF) as program:
        asked = program.ask(_PORT)
    options = LiveOptions(parent_unsampled=parent_unsampled)
    with LiveRun(directory=tmp_path / "state", options=options) as run:
        for body in (asked.announced, *_lines("source", _PORT), *_lines("destination", _PORT), asked.returned):
            run.take_body(body)
        run.wait(2000)
        assert [parent for _, parent in _parents(run)[_PORT]] == [asked.span_id if parent_unsampled else ""]


def test_the_option_for_spans_that_nobody_exports() -> None:
    """The command line asks for it."""
    for given, asked_for in ([], False), (["--parent-unsampled"], True):
        arguments = build_parser().parse_args(["serve", *given])
        assert live_options(arguments, LogOptions(), TraceOptions()).parent_unsampled == asked_for
