"""Whose request each migration was: many at once from one program, of VMs that are equal but for the endpoint."""

from __future__ import annotations

import json
import os
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from asking import running_program
from live_run import LiveRun
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from sent_logs import file_record, request
from trace_invariants import CORPUS

from otelmig.cli.main import build_parser
from otelmig.cli.options.live import live_options
from otelmig.hypervisors.log_options import LogOptions
from otelmig.live.options import LiveOptions
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from asking import Program

_MANY: Final = 100 if os.environ.get("OTELMIG_FULL") else 12
_PORT: Final = 4444
_READ_NS: Final = 1_795_450_000 * 10**9
"""When the first line of each file was read."""
_HOSTS: Final = {"source": ("host-a", "10.9.0.1"), "destination": ("host-b", "10.9.0.2")}


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """A program whose spans are exported."""
    with running_program() as each:
        yield each


def _url(port: int) -> str:
    return f"tcp:10.9.0.2:{port}"


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
def test_a_hundred_at_once(program: Program, tmp_path: Path, *, is_killed: bool) -> None:
    """Each is below the span that asked for it: announced before, during or after its lines, twice, service killed."""
    random = Random(7)
    ports = range(_PORT, _PORT + _MANY)
    asked = {port: program.ask(_url(port)) for port in ports}
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


def test_retries(program: Program, tmp_path: Path) -> None:
    """An attempt that is refused, and its retry: each is below its own request."""
    ports = range(_PORT, _PORT + 10)
    first, second = ({port: program.ask(_url(port)) for port in ports} for _ in range(2))
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


def test_two_that_fit(program: Program, tmp_path: Path) -> None:
    """Two requests for one endpoint at once: either could be meant, so there is no parent, and a link to each."""
    asked = [program.ask(_url(_PORT)) for _ in range(2)]
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


def test_one_that_comes_late(program: Program, tmp_path: Path) -> None:
    """The trace was made without it and stays as it is; the next migration to that endpoint is not below it."""
    asked = program.ask(_url(_PORT))
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
def test_a_span_that_nobody_exports(tmp_path: Path, *, parent_unsampled: bool) -> None:
    """The migration's trace does not hang below it, unless that is asked for."""
    with running_program(ALWAYS_OFF) as program:
        asked = program.ask(_url(_PORT))
    options = LiveOptions(parent_unsampled=parent_unsampled)
    with LiveRun(directory=tmp_path / "state", options=options) as run:
        for body in (asked.announced, *_lines("source", _PORT), *_lines("destination", _PORT), asked.returned):
            run.take_body(body)
        run.wait(2000)
        assert [parent for _, parent in _parents(run)[_PORT]] == [asked.span_id if parent_unsampled else ""]


@pytest.mark.parametrize("command", [["serve"], ["watch", "logs", "--listen"]])
def test_the_option_for_spans_that_nobody_exports(command: list[str]) -> None:
    """The command line asks for it."""
    for given, asked_for in ([], False), (["--parent-unsampled"], True):
        arguments = build_parser().parse_args([*command, *given])
        assert live_options(arguments, LogOptions(), TraceOptions()).parent_unsampled == asked_for
