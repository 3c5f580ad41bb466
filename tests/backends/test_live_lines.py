"""Lines of hypervisors on two hosts, through real Collectors with the shipped live.yaml: each one arrives."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from replay import Action, Player, restarted, rotated
from trace_invariants import CORPUS

from backends.live_hosts import HOSTS, RECORDING, await_all, copies, files_of, migration_steps
from backends.log_receiver import log_receiver
from backends.retry import eventually
from backends.sent_lines import lines_of, rests, sent_lines
from otelmig.otlp.encoding.json_lines import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from conftest import Otelmig
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
    from replay import Step

    from backends.backend_stack import BackendStack
    from backends.log_receiver import LogReceiver

pytestmark = pytest.mark.backend


def test_every_line_arrives_once(stack: BackendStack) -> None:
    """Records in many writes, CRLF, empty lines, event streams: all bytes but the line ends, from both hosts, once."""
    with log_receiver(stack.port(4319)) as receiver:
        for host in HOSTS.values():
            stack.host(host)
        Player().play(migration_steps(stack))
        files = files_of(stack)
        assert len(files) == 4
        await_all(receiver, files)
        assert copies(receiver) == 0
        numbers = {(line.path, line.offset): line.number for line in sent_lines(receiver.received)}
        for (_, path), content in files.items():
            for offset, number in ((o, n) for (p, o), n in numbers.items() if p == path):
                assert content[:offset].count(b"\n") == number - 1
        resources = [_resource(one) for one in receiver.received]
    assert {resource["host.name"].string_value for resource in resources} == set(HOSTS.values())
    for resource in resources:
        assert resource["service.namespace"].string_value == "vm-migration"
        assert set(resource) == {"host.id", "host.ip", "host.name", "service.name", "service.namespace"}


def _resource(logs: ResourceLogs) -> dict[str, AnyValue]:
    return {each.key: each.value for each in logs.resource.attributes}


def test_a_host_says_its_addresses(stack: BackendStack) -> None:
    """By default all that the machine has: a source's destination URL is held against them."""
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("gamma")
        (stack.folder("/var/log/gamma") / "vm.log").write_text("a line\n")
        resource = _resource(eventually(lambda: receiver.received, bool)[0])
    assert resource["host.ip"].array_value.values
    assert resource["host.name"].string_value == "gamma"


def test_a_gateway_between_the_hosts_and_the_service(stack: BackendStack) -> None:
    """What it batches is what the hosts sent; while the service refuses, the lines wait on the hosts."""
    with log_receiver(stack.port(4319)) as receiver:
        receiver.status = 503
        stack.collector(stack.place("live_gateway.yaml"), health=23143)
        for host in HOSTS.values():
            stack.host(host, service=4329)
        Player().play(migration_steps(stack))
        assert eventually(lambda: receiver.refused, bool)
        assert not receiver.received
        receiver.status = 200
        await_all(receiver, files_of(stack))


def test_a_gateway_makes_few_requests_of_many(stack: BackendStack) -> None:
    """It answers a host when the service has answered; what comes in meanwhile is one request."""
    requests = 40
    with log_receiver(stack.port(4319)) as receiver:
        stack.collector(stack.place("live_gateway.yaml"), health=23143)
        url = f"{stack.url(4329)}/v1/logs"
        bodies = [json_text(_request(f"line {number}")) for number in range(requests)]
        with ThreadPoolExecutor(requests) as pool:
            answers = list(pool.map(lambda body: _post(url, body), bodies))
        assert answers == [200] * requests
        records = [record for one in receiver.received for scope in one.scope_logs for record in scope.log_records]
        assert sorted(record.body.string_value for record in records) == sorted(f"line {n}" for n in range(requests))
        assert len(receiver.requests) <= requests // 4
        receiver.status = 503
        assert _post(url, bodies[0]) == 503


def test_a_file_instead_of_a_service(stack: BackendStack, otelmig: Otelmig) -> None:
    """What the hosts send is in a file that `otelmig trace` reads: the migration is in it."""
    file = stack.folder("/var/lib/otelcol-otelmig-live") / "lines.jsonl"
    file.parent.mkdir(parents=True)
    stack.collector(stack.place("live_gateway.yaml"), stack.place("live_file.yaml"), health=23143)
    for host in HOSTS.values():
        stack.host(host, service=4329)
    Player().play(migration_steps(stack))
    copy = _Copy(file)
    await_all(copy, files_of(stack))
    done = otelmig("trace", "--json", file)
    assert done.returncode == 0, done.stderr
    (migration,) = json.loads(done.stdout)["migrations"]
    assert (migration["result"], migration["pairing_basis"], migration["clock"]["status"]) == (
        *("success", "endpoint", "bounded"),
    )


class _Copy:
    """What is in a file of the file exporter."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def received(self) -> list[ResourceLogs]:
        lines = self._path.read_text().splitlines(keepends=True) if self._path.exists() else []
        requests = (Parse(line, ExportLogsServiceRequest()) for line in lines if line.endswith("\n"))
        return [each for request in requests for each in request.resource_logs]


def _request(text: str) -> object:
    record = {"body": {"stringValue": text}}
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}]}


def _post(url: str, body: bytes) -> int:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_killed_collector_loses_nothing(stack: BackendStack) -> None:
    """Killed again and again while lines are written: each of them arrives, some of them twice."""
    with log_receiver(stack.port(4319)) as receiver:
        servers = [stack.host(host) for host in HOSTS.values()]
        with ThreadPoolExecutor() as pool:
            played = pool.submit(Player().play, migration_steps(stack, speed=4))
            while not played.done():
                for server in servers:
                    server.stop(signal.SIGKILL)
                    server.start()
            played.result()
        await_all(receiver, files_of(stack))


@pytest.mark.parametrize("status", [0, 503])
def test_a_service_that_comes_and_goes_loses_nothing(status: int, stack: BackendStack) -> None:
    """Answers that are lost make copies; refusals do not."""

    def disturbed(steps: Sequence[Step]) -> Iterator[Step]:
        yield from steps[: len(steps) // 2]
        receiver.status = status
        yield from steps[len(steps) // 2 :]
        eventually(lambda: receiver.refused, bool)
        receiver.status = 200

    with log_receiver(stack.port(4319)) as receiver:
        for host in HOSTS.values():
            stack.host(host)
        Player().play(disturbed(migration_steps(stack)))
        await_all(receiver, files_of(stack))
        assert receiver.refused
        assert (copies(receiver) > 0) == (status == 0)


def test_a_log_that_is_renamed_in_mid_record(stack: BackendStack) -> None:
    """The hypervisor writes on to the new name, which the file's include has: the offsets go on there."""
    log = stack.folder("/var/log/alpha") / "vm.log"
    old = log.with_name("vm.log.1")
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("alpha")
        Player().play(_awaited(receiver, rotated(_of_one_host(stack), log, 60, old)))
        content = old.read_bytes()
        lines = eventually(
            lambda: [line for line in sent_lines(receiver.received) if ".log" in line.path],
            lambda lines: len(lines) >= len(lines_of(content)),
        )
    assert {line.path for line in lines} == {str(log), str(old)}
    rest, counts = rests(content, lines)
    assert not rest.strip(b"\r\n")
    assert set(counts.values()) == {1}


def test_a_log_that_is_copied_and_truncated_in_mid_record(stack: BackendStack) -> None:
    """What was read stays read; what is written then stands behind as many NULs as bytes were there."""
    log = stack.folder("/var/log/alpha") / "vm.log"
    old = log.with_name("vm.log.1")
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("alpha")
        whole = (CORPUS / RECORDING / "source.log").read_bytes()
        Player().play(_awaited(receiver, rotated(_of_one_host(stack), log, 60, old, copy=True)))
        wanted = {line.split(b" -- ", 1)[1] for line in lines_of(whole)}
        bodies = eventually(
            lambda: [line.body for line in sent_lines(receiver.received) if ".log" in line.path],
            lambda bodies: len(bodies) >= len(lines_of(whole)),
        )
    # the record that was being written is in two halves: one ends the copy, one follows the NULs
    found = {body.split(b" -- ", 1)[-1] for body in bodies}
    assert len(wanted - found) <= 1
    assert sum(body.startswith(b"\0") for body in bodies) == 1


def test_a_log_that_is_deleted(stack: BackendStack) -> None:
    """What was written between the last look and the deletion is still read: the Collector has it open."""
    log = stack.folder("/var/log/alpha") / "vm.log"
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("alpha")
        steps = [step for step in _of_one_host(stack) if step.path == log]
        player = Player()
        player.play(steps[: len(steps) // 2])
        _await_lines(receiver, str(log), 1)
        for step in steps[len(steps) // 2 :]:
            player.do(step)
        content = log.read_bytes()
        log.unlink()
        _await_lines(receiver, str(log), len(lines_of(content)))
        rest, _ = rests(content, [line for line in sent_lines(receiver.received) if line.path == str(log)])
    assert not rest.strip(b"\r\n")


def test_a_hypervisor_that_starts_again_on_its_log(stack: BackendStack) -> None:
    """Both runs arrive whole, the second from offset 0 again."""
    log = stack.folder("/var/log/alpha") / "vm.log"
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("alpha")
        first, second = (_of_one_host(stack, name) for name in ("v53.0-refused", "v53.0-retry"))
        Player().play(_awaited(receiver, restarted(first, second, 10**9)))
        contents = [(CORPUS / name / "source.log").read_bytes() for name in ("v53.0-refused", "v53.0-retry")]
        assert log.read_bytes() == contents[1]
        wanted = sum(len(lines_of(content)) for content in contents)
        lines = eventually(
            lambda: [line for line in sent_lines(receiver.received) if line.path == str(log)],
            lambda lines: len(lines) >= wanted,
        )
    assert len(lines) == wanted
    starts = [index for index, line in enumerate(lines) if line.offset == 0]
    assert len(starts) == 2
    for content, run in zip(contents, (lines[: starts[1]], lines[starts[1] :]), strict=True):
        rest, _ = rests(content, run)
        assert not rest.strip(b"\r\n")


def test_a_fifo_in_the_include_stops_everything(stack: BackendStack) -> None:
    """The warning of the documents is true: while nobody writes to the FIFO, no line of any file arrives."""
    folder = stack.folder("/var/log/alpha")
    folder.mkdir(parents=True)
    os.mkfifo(folder / "vm.events.json")
    (folder / "vm.log").write_bytes((CORPUS / RECORDING / "source.log").read_bytes())
    with log_receiver(stack.port(4319)) as receiver:
        server = stack.host("alpha")
        eventually(lambda: receiver.received, bool, patience_s=4)
        assert not receiver.received
        with (folder / "vm.events.json").open("wb"):
            assert eventually(lambda: receiver.received, bool)
        server.stop(signal.SIGKILL)


def _of_one_host(stack: BackendStack, recording: str = RECORDING) -> list[Step]:
    folder = stack.folder("/var/log/alpha")
    return [step for step in migration_steps(stack, recording) if step.path.parent == folder]


def _awaited(receiver: LogReceiver, steps: Sequence[Step]) -> Iterator[Step]:
    """Yield the steps; before a file is rotated or opened again, what was written whole so far has arrived.

    What a Collector does not read between the last line and the truncation is gone: nobody can send it.
    """
    written: dict[Path, bytes] = {}
    for step in steps:
        if step.action in {Action.COPY_TRUNCATE, Action.RENAME, Action.OPEN} and written.get(step.path):
            _await_lines(receiver, str(step.path), len(lines_of(written.pop(step.path))))
        if step.action is Action.WRITE:
            written[step.path] = written.get(step.path, b"") + step.data
        yield step


def _await_lines(receiver: LogReceiver, path: str, count: int) -> None:
    eventually(lambda: sum(line.path == path for line in sent_lines(receiver.received)), count.__le__)
