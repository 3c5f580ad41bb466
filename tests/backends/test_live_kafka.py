"""Lines of two hosts through a real Kafka, with the shipped overlays for both ends."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from replay import Player

from backends.live_hosts import HOSTS, await_all, files_of, migration_steps
from backends.log_receiver import log_receiver
from backends.retry import eventually
from backends.sent_lines import sent_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
    from replay import Step

    from backends.backend_stack import BackendStack
    from backends.log_receiver import LogReceiver
    from backends.server import Server

pytestmark = pytest.mark.backend


@pytest.fixture
def broker(stack: BackendStack, kafka: tuple[Path, str]) -> Server:
    """A Kafka that is up, with nothing in it."""
    return stack.kafka(*kafka)


def _service_end(stack: BackendStack, group: str = "otelmig", health: int = 23144, service: int = 4319) -> Server:
    edits = {"group_id: otelmig": f"group_id: {group}", "23144": f"{health}", "4319": f"{service}"}
    return stack.collector(stack.place("live_kafka_service.yaml", edits, copy=f"{group}-{service}-"), health=health)


@pytest.mark.usefixtures("broker")
def test_lines_through_kafka(stack: BackendStack) -> None:
    """Every line arrives once, each file in order; a group that begins anew gets all of them again."""
    with log_receiver(stack.port(4319)) as receiver:
        for host in HOSTS.values():
            stack.host(host, "live_kafka_host.yaml")
        _service_end(stack)
        Player().play(migration_steps(stack))
        files = files_of(stack)
        await_all(receiver, files)
        lines = list(sent_lines(receiver.received))
        assert len({(line.host, line.path, line.offset) for line in lines}) == len(lines)
        for host, path in files:
            offsets = [line.offset for line in lines if (line.host, line.path) == (host, path)]
            assert offsets == sorted(offsets)
        with log_receiver(stack.port(4320)) as again:
            _service_end(stack, group="another", health=23145, service=4320)
            await_all(again, files)


def test_nothing_is_lost_on_the_way(stack: BackendStack, broker: Server) -> None:
    """The service refuses, the Collector beside it is killed, the broker is killed: all lines arrive in the end."""
    with log_receiver(stack.port(4319)) as receiver:
        for host in HOSTS.values():
            stack.host(host, "live_kafka_host.yaml")
        end = _service_end(stack)

        def disturbed(steps: Sequence[Step]) -> Iterator[Step]:
            third = len(steps) // 3
            yield from steps[:third]
            receiver.status = 503
            yield from steps[third : 2 * third]
            eventually(lambda: receiver.refused, bool)
            end.stop(signal.SIGKILL)
            broker.stop(signal.SIGKILL)
            yield from steps[2 * third :]
            receiver.status = 200
            broker.start()
            end.start()

        Player().play(disturbed(migration_steps(stack)))
        await_all(receiver, files_of(stack))
        assert receiver.refused


@pytest.mark.usefixtures("broker")
def test_two_services_in_one_group_share_the_hosts(stack: BackendStack) -> None:
    """A host is in one partition, so one of them has all of its lines: both sides may never meet."""
    with log_receiver(stack.port(4319)) as one, log_receiver(stack.port(4320)) as other:
        _service_end(stack)
        _service_end(stack, health=23145, service=4320)
        for host in HOSTS.values():
            stack.host(host, "live_kafka_host.yaml")
        Player().play(migration_steps(stack))
        files = files_of(stack)
        both = _Both(one, other)
        await_all(both, files)
        hosts = [{line.host for line in sent_lines(receiver.received)} for receiver in (one, other)]
    assert not hosts[0] & hosts[1]


class _Both:
    """What two receivers have together."""

    def __init__(self, one: LogReceiver, other: LogReceiver) -> None:
        self._one, self._other = one, other

    @property
    def received(self) -> list[ResourceLogs]:
        return [*self._one.received, *self._other.received]
