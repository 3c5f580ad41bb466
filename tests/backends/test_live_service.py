"""Two hosts, their Collectors, `otelmig serve` and a real Jaeger: a trace is there when its migration has ended."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from replay import Player

from backends.jaeger_api import Jaeger
from backends.live_hosts import HOSTS, migration_steps
from backends.live_traces import Spans, afterwards, documents, of_lines
from backends.otlp_spans import spans_by_id
from backends.retry import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conftest import Otelmig
    from replay import Step

    from backends.backend_stack import BackendStack
    from backends.server import Server

pytestmark = pytest.mark.backend

_CERTIFICATES: Final = Path(__file__).parents[1] / "certificates"


def _afterwards(stack: BackendStack, otelmig: Otelmig) -> Spans:
    """The trace of the finished files."""
    (spans,) = afterwards(stack, otelmig).values()
    return spans


def _stored(stack: BackendStack, wanted: Spans) -> Spans:
    """What Jaeger has of the trace, once it has all of it."""
    trace_id = next(iter(wanted.values()))["traceId"]
    jaeger = Jaeger(stack.url(16686))
    return eventually(
        lambda: spans_by_id(jaeger.trace(trace_id) or [], poor=True), lambda spans: len(spans) >= len(wanted)
    )


@pytest.mark.parametrize("way", ["direct", "private", "gateway"])
def test_a_migration_is_in_jaeger_when_it_has_ended(way: str, stack: BackendStack, otelmig: Otelmig) -> None:
    """Span by span the trace of the finished files, which is also what the service wrote; Jaeger has it once."""
    stack.jaeger()
    service = stack.service("--otlp", stack.url(14317), "--protocol", "grpc")
    if way == "gateway":
        stack.collector(stack.place("live_gateway.yaml"), health=23143)
    for host in HOSTS.values():
        stack.host(
            host,
            *(["live_private.yaml"] if way == "private" else []),
            service=4329 if way == "gateway" else 4319,
        )
    Player().play(migration_steps(stack))
    wanted = _afterwards(stack, otelmig)
    assert of_lines(_stored(stack, wanted)) == of_lines(wanted)
    service.stop()
    (document,) = documents(stack.folder("/migrations.jsonl"))
    assert of_lines(spans_by_id(document["resourceSpans"], poor=True)) == of_lines(wanted)
    hosts = {span["resource"]["host.name"] for span in _stored(stack, wanted).values()}
    assert hosts == {("stringValue", host) for host in HOSTS.values()}


def test_nothing_is_lost_and_nothing_comes_twice(stack: BackendStack, otelmig: Otelmig) -> None:
    """The service and both Collectors are killed while the migration runs, and again when it has ended."""
    stack.jaeger()
    service = stack.service("--otlp", stack.url(14317), "--protocol", "grpc")
    servers = [service, *(stack.host(host) for host in HOSTS.values())]

    def disturbed(steps: Sequence[Step]) -> Iterator[Step]:
        at = {len(steps) * part // 6: servers[part % 3] for part in range(1, 6)}
        for index, step in enumerate(steps):
            if index in at:
                _killed(at[index])
            yield step

    Player().play(disturbed(migration_steps(stack)))
    wanted = _afterwards(stack, otelmig)
    assert of_lines(_stored(stack, wanted)) == of_lines(wanted)
    for server in servers:
        _killed(server)
    service.stop()
    (document,) = documents(stack.folder("/migrations.jsonl"))
    assert of_lines(spans_by_id(document["resourceSpans"], poor=True)) == of_lines(wanted)


def _killed(server: Server) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def test_a_lost_service_is_made_good_by_kafka(stack: BackendStack, otelmig: Otelmig, kafka: tuple[Path, str]) -> None:
    """The service and its state are gone: a fresh one reads the topic again, and makes the same trace."""
    stack.kafka(*kafka)
    stack.jaeger()
    first = stack.service()
    for host in HOSTS.values():
        stack.host(host, "live_kafka_host.yaml")
    stack.collector(stack.place("live_kafka_service.yaml"), health=23144)
    Player().play(migration_steps(stack))
    wanted = _afterwards(stack, otelmig)
    written = stack.folder("/migrations.jsonl")
    eventually(lambda: documents(written), bool)
    first.stop(signal.SIGKILL)
    before = written.read_bytes()
    written.unlink()
    again = {"23144": "23145", "group_id: otelmig": "group_id: otelmig-again"}
    stack.service("--otlp", stack.url(14317), "--protocol", "grpc", state="another")
    stack.collector(stack.place("live_kafka_service.yaml", again, copy="again-"), health=23145)
    assert of_lines(_stored(stack, wanted)) == of_lines(wanted)
    assert eventually(written.read_bytes, before.__eq__) == before


def test_a_service_with_tls_and_a_token(stack: BackendStack, otelmig: Otelmig) -> None:
    """As the page says: a certificate, a token, and line 3 of live.yaml edited; without the token nothing gets in."""
    token = stack.folder("/token")
    token.write_text("a-long-and-secret-token\n")
    token.chmod(0o600)
    tls: list[str | Path] = [
        "--tls-certificate",
        _CERTIFICATES / "server.pem",
        "--tls-key",
        _CERTIFICATES / "server.key",
    ]
    port = stack.port(4319)
    stack.service("--token-file", token, *tls, health=f"tcp://127.0.0.1:{port}")
    plain = f'endpoint: "http://127.0.0.1:{4319}",'
    secure = f'endpoint: "https://localhost:{port}", tls: {{ca_file: {_CERTIFICATES / "ca.pem"}}},'
    headers = ' headers: {authorization: "Bearer a-long-and-secret-token"},'
    for host in HOSTS.values():
        stack.host(host, more={plain: secure + headers})
    Player().play(migration_steps(stack))
    wanted = _afterwards(stack, otelmig)
    (document,) = eventually(lambda: documents(stack.folder("/migrations.jsonl")), bool)
    assert spans_by_id(document["resourceSpans"]).keys() == wanted.keys()


def test_status_says_what_is_under_way(stack: BackendStack) -> None:
    """A migration in the middle: both sides, their hosts, the phase; afterwards nothing."""
    stack.service()
    for host in HOSTS.values():
        stack.host(host)
    steps = migration_steps(stack)
    half = [step for step in steps if step.at_ns < steps[-1].at_ns // 2]
    player = Player()
    player.play(half)
    sides = eventually(lambda: stack.status()["under_way"], lambda sides: len(sides) == 2)
    assert {(side["role"], side["host"]) for side in sides} == set(HOSTS.items())
    player.play(steps[len(half) :])
    status = eventually(stack.status, lambda status: status["migrations"]["traced"] == 1)
    assert status["migrations"]["with_both_sides"] == 1
    assert status["records"]["lost"] == 0
    assert status["under_way"] == []
