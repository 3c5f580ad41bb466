"""Every query of the live dashboard: asked of Prometheus's engine, about what real Collectors said of themselves."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from dashboard_queries import label
from grafana_dashboards import FOLDER
from replay import Player

from backends.live_hosts import HOSTS, migration_steps
from backends.log_receiver import log_receiver
from backends.prometheus_text import Sample, scrape
from backends.retry import eventually
from backends.server import free_ports
from otelmig.otlp.telemetry.names import METRICS

if TYPE_CHECKING:
    from pathlib import Path

    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_LINES: Final = {"alpha": 60, "beta": 120}
"""How many lines each host has."""


def _queries() -> dict[str, str]:
    panels: list[dict[str, Any]] = json.loads((FOLDER / "live.json").read_text())["panels"]
    return {panel["title"]: target["expr"] for panel in panels for target in panel["targets"]}


def _exposed(stack: BackendStack) -> dict[str, list[Sample]]:
    """What the Collectors of the two hosts say: one whose lines are refused for good, one whose lines wait."""
    ports = dict(zip(_LINES, free_ports(len(_LINES)), strict=True))
    with log_receiver(stack.port(4319)) as receiver:
        for host, port in ports.items():
            stack.host(host, more={"port: 18888": f"port: {port}"}, silent=False)
        for host, status in (("alpha", 400), ("beta", 503)):
            receiver.status = status
            before = receiver.refused
            (stack.folder(f"/var/log/{host}") / "vm.log").write_text("a line\n" * _LINES[host])
            eventually(lambda before=before: receiver.refused > before, bool)  # type: ignore[misc] # mypy infers no type of a default
        return {host: _scraped(port, _LINES[host]) for host, port in ports.items()}


def _scraped(port: int, lines: int) -> list[Sample]:
    url = f"http://127.0.0.1:{port}/metrics"
    return eventually(
        lambda: scrape(url),
        lambda found: any(s.name == "otelcol_receiver_accepted_log_records" and s.value == lines for s in found),
    )


_OF_SERVICE: Final = {
    "Migrations under way": 0.0,
    "Sides without a partner yet": 0.0,
    "Traces not safe yet": 0.0,
    "Lines lost": 0.0,
    "Traced alone": 0.0,
    "Clocks that contradict each other": 0.0,
    "Announcements without a migration": 0.0,
}
"""What the panels about the service show when a migration was traced and nothing went wrong."""
_DELAYS: Final = ("Last line to trace, half of the hour's", "Last line to trace, 95 % of the hour's")


def test_panels_say_what_the_service_says(stack: BackendStack, binaries: dict[str, Path]) -> None:
    """All metrics of the service come through the Collector by the names that the panels have."""
    stack.collector(stack.place("agent.yaml", {"14317": "9"}), stack.place("live_metrics.yaml"))
    stack.service("--otlp", stack.url(4318), "--metrics", "--settle", "0.2")
    for host in HOSTS.values():
        stack.host(host)
    Player().play(migration_steps(stack, speed=40))
    eventually(stack.status, lambda status: status["migrations"]["traced"] == 1)
    samples = eventually(
        lambda: scrape(f"{stack.url(28890)}/metrics"),
        lambda found: any(s.name == "otelmig_serve_delay_seconds_count" and s.value == 1 for s in found),
    )
    own = [sample for sample in samples if sample.name.startswith(("vm_migration_active", "otelmig_serve_"))]
    assert {label(row.name) for row in METRICS} == {
        next(label(row.name) for row in METRICS if sample.name.startswith(label(row.name))) for sample in own
    }
    series = "\n".join(
        f"  {sample.name}{{{', '.join(f'{key}={json.dumps(value)}' for key, value in sample.labels.items())}}}"
        f" {'0+' if sample.name.endswith('_bucket') else ''}{sample.value:g}x100"
        for sample in own
    )
    queries = _queries()
    assert set(_OF_SERVICE) | set(_DELAYS) <= queries.keys()
    evaluations = "\n".join(
        f"eval instant at 70m {queries[title].replace('$__range', '1h')}\n  {{}} {value!r}\n"
        for title, value in _OF_SERVICE.items()
    )
    evaluations += "".join(f"\neval instant at 70m ({queries[title]}) > bool 0\n  {{}} 1\n" for title in _DELAYS)
    script = f"load 1m\n{series}\n\n{evaluations}"
    done = subprocess.run(
        [binaries["promqltest"]], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_panels_say_what_the_collectors_say(stack: BackendStack, binaries: dict[str, Path]) -> None:
    """Hosts, rates, what waits and what is lost; counts begin at nothing and grow once a minute."""
    exposed = _exposed(stack)
    series = "\n".join(
        f"  {sample.name}{{{', '.join(f'{key}={json.dumps(value)}' for key, value in sample.labels.items())}"
        f', instance="{host}"}} {"" if "queue" in sample.name else "0+"}{sample.value:g}x100'
        for host, samples in exposed.items()
        for sample in samples
        if sample.name.startswith(("otelcol_receiver_", "otelcol_exporter_"))
    )
    waiting = {
        host: next(sample.value for sample in samples if sample.name == "otelcol_exporter_queue_size")
        for host, samples in exposed.items()
    }
    assert waiting["alpha"] == 0 < waiting["beta"]
    by_host = {
        "Lines a second, by host": {host: lines / 60 for host, lines in _LINES.items()},
        "Waiting, by host": waiting,
        "Lines that had to be read again, by host": dict.fromkeys(_LINES, 0.0),
    }
    wanted = {title: "\n".join(f'  {{instance="{h}"}} {v!r}' for h, v in row.items()) for title, row in by_host.items()}
    wanted |= {
        "Hosts that read logs": "  {} 2",
        "Waiting on all hosts": f"  {{}} {sum(waiting.values())!r}",
        "Lines dropped for good": f"  {{}} {_LINES['alpha'] * 60}",
    }
    fullest = "The fullest queue"
    queries = _queries()
    assert queries.keys() == {*wanted, fullest, *_OF_SERVICE, *_DELAYS}
    wanted[fullest] = f"  {{}} {max(waiting.values()) / 1e9!r}"
    evaluations = "\n".join(
        f"eval instant at 70m {queries[title].replace('$__range', '1h')}\n{rows}\n" for title, rows in wanted.items()
    )
    script = f"load 1m\n{series}\n\n{evaluations}"
    done = subprocess.run(
        [binaries["promqltest"]], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-3000:]
