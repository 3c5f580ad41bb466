"""Lines of hypervisors on two hosts, through real Collectors with the shipped live.yaml: each one arrives."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest
from host_clock import HostClock
from replay import Action, Playback, Player, restarted, rotated, steps_of
from trace_invariants import CORPUS

from backends.log_receiver import log_receiver
from backends.retry import eventually
from backends.sent_lines import lines_of, rests, sent_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from replay import Step

    from backends.backend_stack import BackendStack
    from backends.log_receiver import LogReceiver

pytestmark = pytest.mark.backend

_HOSTS: Final = {"source": "alpha", "destination": "beta"}
_SPEED: Final = 10.0
_BEGIN_NS: Final = 1_800_000_000 * 10**9
_RECORDING: Final = "v53.0-twohosts"


def _steps(stack: BackendStack, recording: str = _RECORDING, speed: float = _SPEED) -> list[Step]:
    """A migration between two hosts whose clocks differ, with pauses in the middle of records."""
    playback = Playback(
        begin_ns=_BEGIN_NS,
        speed=speed,
        clocks={"destination": HostClock(ahead_ns=1_500_000_000)},
        names=dict.fromkeys(_HOSTS, "vm"),
        torn_every=7,
        torn_ns=40_000_000,
    )
    folders = {role: stack.folder(f"/var/log/{host}") for role, host in _HOSTS.items()}
    return steps_of(CORPUS / recording, folders, playback)


def _files(stack: BackendStack) -> dict[tuple[str, str], bytes]:
    """What the hosts have, by host and path."""
    return {
        (host, str(path)): path.read_bytes()
        for host in _HOSTS.values()
        for path in stack.folder(f"/var/log/{host}").iterdir()
    }


def _await_all(receiver: LogReceiver, files: dict[tuple[str, str], bytes]) -> None:
    """Wait for every line of ``files``; check that each stands where it did, and nothing but line ends is missing."""
    count = sum(len(lines_of(content)) for content in files.values())
    eventually(
        lambda: len({(line.host, line.path, line.offset) for line in sent_lines(receiver.received)}), count.__le__
    )
    lines = list(sent_lines(receiver.received))
    assert {(line.host, line.path) for line in lines} == set(files)
    for (host, path), content in files.items():
        rest, _ = rests(content, [line for line in lines if (line.host, line.path) == (host, path)])
        assert not rest.strip(b"\r\n"), path


def _copies(receiver: LogReceiver) -> int:
    """How many records came more than once."""
    lines = list(sent_lines(receiver.received))
    return len(lines) - len({(line.host, line.path, line.offset) for line in lines})


def test_every_line_arrives_once(stack: BackendStack) -> None:
    """Records in many writes, CRLF, empty lines, event streams: all bytes but the line ends, from both hosts, once."""
    with log_receiver(stack.port(4319)) as receiver:
        for host in _HOSTS.values():
            stack.host(host)
        Player().play(_steps(stack))
        files = _files(stack)
        assert len(files) == 4
        _await_all(receiver, files)
        assert _copies(receiver) == 0
        numbers = {(line.path, line.offset): line.number for line in sent_lines(receiver.received)}
        for (_, path), content in files.items():
            for offset, number in ((o, n) for (p, o), n in numbers.items() if p == path):
                assert content[:offset].count(b"\n") == number - 1
        resources = [{each.key: each.value for each in one.resource.attributes} for one in receiver.received]
    assert {resource["host.name"].string_value for resource in resources} == set(_HOSTS.values())
    for resource in resources:
        assert resource["service.namespace"].string_value == "vm-migration"
        assert resource["host.ip"].array_value.values
        assert set(resource) == {"host.id", "host.ip", "host.name", "service.name", "service.namespace"}


def test_a_gateway_between_the_hosts_and_the_service(stack: BackendStack) -> None:
    """What it batches is what the hosts sent; while the service refuses, the lines wait on the hosts."""
    with log_receiver(stack.port(4319)) as receiver:
        receiver.status = 503
        stack.collector(stack.place("live_gateway.yaml"), health=23143)
        for host in _HOSTS.values():
            stack.host(host, service=4329)
        Player().play(_steps(stack))
        assert eventually(lambda: receiver.refused, bool)
        assert not receiver.received
        receiver.status = 200
        _await_all(receiver, _files(stack))


def test_a_killed_collector_loses_nothing(stack: BackendStack) -> None:
    """Killed again and again while lines are written: each of them arrives, some of them twice."""
    with log_receiver(stack.port(4319)) as receiver:
        servers = [stack.host(host) for host in _HOSTS.values()]
        with ThreadPoolExecutor() as pool:
            played = pool.submit(Player().play, _steps(stack, speed=4))
            while not played.done():
                for server in servers:
                    server.stop(signal.SIGKILL)
                    server.start()
            played.result()
        _await_all(receiver, _files(stack))


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
        for host in _HOSTS.values():
            stack.host(host)
        Player().play(disturbed(_steps(stack)))
        _await_all(receiver, _files(stack))
        assert receiver.refused
        assert (_copies(receiver) > 0) == (status == 0)


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
        whole = (CORPUS / _RECORDING / "source.log").read_bytes()
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
    (folder / "vm.log").write_bytes((CORPUS / _RECORDING / "source.log").read_bytes())
    with log_receiver(stack.port(4319)) as receiver:
        server = stack.host("alpha")
        eventually(lambda: receiver.received, bool, patience_s=4)
        assert not receiver.received
        with (folder / "vm.events.json").open("wb"):
            assert eventually(lambda: receiver.received, bool)
        server.stop(signal.SIGKILL)


def _of_one_host(stack: BackendStack, recording: str = _RECORDING) -> list[Step]:
    folder = stack.folder("/var/log/alpha")
    return [step for step in _steps(stack, recording) if step.path.parent == folder]


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
