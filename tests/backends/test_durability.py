"""What the Collector has acknowledged reaches Jaeger, whatever happens to either; what is no receiver is found out."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from restamp import shifted
from trace_invariants import CORPUS, inputs

from backends.backend_stack import SECOND_GATEWAY, TWO_GATEWAYS
from backends.jaeger_api import Jaeger
from backends.otlp_spans import spans_by_id
from backends.retry import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig

    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_PORTS: Final = {"http/protobuf": 4318, "grpc": 4317}
_MINUTE_US: Final = 60 * 10**6
_QUEUE: Final = "/var/lib/otelcol-otelmig"


def _many(path: Path, count: int, first: int = 0) -> Path:
    """The log of a host whose hypervisor was started again and again, and migrated its VM each time."""
    log = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    path.write_bytes(b"".join(shifted(log, number * _MINUTE_US) for number in range(first, first + count)))
    return path


def _documents(path: Path) -> dict[str, dict[str, Any]]:
    """The spans of every trace in a file of OTLP/JSON lines, by the trace's id."""
    found = {}
    for line in path.read_bytes().splitlines():
        spans = spans_by_id(json.loads(line)["resourceSpans"], poor=True)
        found[next(iter(spans.values()))["traceId"]] = spans
    return found


def _arrived(
    stack: BackendStack, wanted: dict[str, dict[str, Any]], patience_s: float = 60.0
) -> dict[str, dict[str, Any]]:
    """What of ``wanted`` Jaeger has in the end."""
    jaeger = Jaeger(stack.url(16686))
    found: dict[str, dict[str, Any]] = {}

    def look() -> dict[str, dict[str, Any]]:
        for trace_id, spans in wanted.items():
            if len(found.get(trace_id, ())) < len(spans):
                found[trace_id] = spans_by_id(jaeger.trace(trace_id) or [], poor=True)
        return found

    return eventually(look, wanted.__eq__, patience_s)


@pytest.mark.parametrize("protocol", _PORTS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_acknowledged_is_lost(
    number: signal.Signals, protocol: str, stack: BackendStack, otelmig: Otelmig, tmp_path: Path
) -> None:
    """Jaeger is down; the Collector takes many traces, is ended twice, and delivers all once Jaeger is up."""
    agent = stack.collector(stack.place("agent.yaml"))
    wanted: dict[str, dict[str, Any]] = {}
    for turn in range(2):
        log = _many(tmp_path / f"{turn}.log", 60, first=60 * turn)
        written = tmp_path / f"{turn}.jsonl"
        done = otelmig("trace", "-q", "-o", written, "--otlp", stack.url(_PORTS[protocol]), "--protocol", protocol, log)
        assert done.returncode == 0, done.stderr
        assert "60 migrations found" in done.stderr.splitlines()[-1]
        assert "60 exported" in done.stderr.splitlines()[-1]
        wanted |= _documents(written)
        agent.stop(number)
        agent.start()
    assert len(wanted) == 120
    stack.jaeger()
    assert _arrived(stack, wanted) == wanted


def test_nothing_is_lost_between_the_tiers(stack: BackendStack, otelmig: Otelmig, tmp_path: Path) -> None:
    """No gateway is up; the agent is killed, and delivers all that it acknowledged once they are there."""
    agent = stack.collector(stack.place("agent_balanced.yaml", TWO_GATEWAYS["agent_balanced.yaml"]))
    written = tmp_path / "all.jsonl"
    done = otelmig("trace", "-q", "-o", written, "--otlp", stack.url(4318), _many(tmp_path / "some.log", 40))
    assert done.returncode == 0, done.stderr
    agent.stop(signal.SIGKILL)
    agent.start()
    stack.collector(stack.place("gateway.yaml"), health=23133)
    stack.collector(stack.place("gateway.yaml", SECOND_GATEWAY, copy="second-"), health=33133)
    stack.jaeger()
    wanted = _documents(written)
    assert len(wanted) == 40
    assert _arrived(stack, wanted) == wanted


def test_collector_dies_during_the_export(stack: BackendStack, tmp_path: Path) -> None:
    """Exit code 3; the account says how many were acknowledged, and so many are in Jaeger later, unharmed."""
    agent = stack.collector(stack.place("agent.yaml"))
    written = tmp_path / "all.jsonl"
    log = _many(tmp_path / "many.log", 600)
    options = ["-q", "-o", str(written), "--otlp", stack.url(4318), "--timeout", "2"]
    command = subprocess.Popen(
        [sys.executable, "-m", "otelmig", "trace", "--no-spool", *options, str(log)], stderr=subprocess.PIPE, text=True
    )
    queue = stack.folder(_QUEUE)
    eventually(lambda: sum(path.stat().st_size for path in queue.iterdir()), lambda size: size > 3 * 10**6)
    agent.stop(signal.SIGKILL)
    _, stderr = command.communicate(timeout=120)
    account = re.search(r"^600 migrations found, .*\b(\d+) exported", stderr.splitlines()[-1])
    assert command.returncode == 3, stderr
    assert account is not None, stderr
    exported = int(account[1])
    assert 0 < exported < 600
    agent.start()
    stack.jaeger()
    wanted = _documents(written)
    arrived = eventually(
        lambda: {trace_id for trace_id in wanted if Jaeger(stack.url(16686)).trace(trace_id)},
        lambda found: len(found) >= exported,
    )
    assert len(arrived) >= exported
    there = {trace_id: wanted[trace_id] for trace_id in arrived}
    assert _arrived(stack, there) == there


@pytest.mark.parametrize("protocol", _PORTS)
def test_collector_is_down(protocol: str, otelmig: Otelmig) -> None:
    """Exit code 3, one line why, and nothing counted as exported."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = otelmig("trace", "-q", "--otlp", url, "--protocol", protocol, "--timeout", "1", *inputs("v53.0-retry"))
    assert done.returncode == 3
    assert re.search(r"^2 migrations found, .*\b0 exported", done.stderr.splitlines()[-1])


def test_other_ports_are_no_receivers(stack: BackendStack, otelmig: Otelmig) -> None:
    """Jaeger's viewer and the Collector's health check say 200 to anything: failures, each in one line."""
    stack.jaeger()
    stack.collector(stack.place("agent.yaml"))
    for port, protocol in ((16686, "http/protobuf"), (13133, "http/protobuf"), (16685, "grpc"), (13133, "grpc")):
        options = ["-q", "--otlp", stack.url(port), "--protocol", protocol, "--timeout", "2"]
        done = otelmig("trace", *options, *inputs("v53.0-retry"))
        assert done.returncode == 3, (port, done.stderr)
        assert done.stderr.count(f"127.0.0.1:{stack.port(port)}") >= 1
        assert re.search(r"^2 migrations found, .*\b0 exported", done.stderr.splitlines()[-1])


def test_a_queue_that_is_lost_is_noticed(stack: BackendStack, otelmig: Otelmig, tmp_path: Path) -> None:
    """The test above is not blind: where the queue's files go, so do the traces."""
    agent = stack.collector(stack.place("agent.yaml"))
    written = tmp_path / "lost.jsonl"
    done = otelmig("trace", "-q", "-o", written, "--otlp", stack.url(4318), _many(tmp_path / "some.log", 3))
    assert done.returncode == 0
    agent.stop(signal.SIGKILL)
    shutil.rmtree(stack.folder(_QUEUE))
    agent.start()
    stack.jaeger()
    wanted = _documents(written)
    assert not any(_arrived(stack, wanted, patience_s=3).values())
