"""Every PromQL query of the dashboards: asked of Prometheus's engine, about what a real gateway counted."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from delivery_cases import delivered
from grafana_dashboards import FOLDER
from msgspec.structs import replace
from trace_invariants import RECORDINGS, inputs

from backends.prometheus_text import Sample, scrape, total
from backends.retry import eventually
from otelmig.migration.side import Role
from otelmig.otlp.payload import Payload
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from backends.backend_stack import BackendStack
    from otelmig.trace.span import Span, Trace

pytestmark = pytest.mark.backend

_MISSED: Final = "vm.migration.downtime.target_missed"
_RESULT: Final = "vm.migration.result"
_HOSTS: Final = ("alpha", "beta", None)
_PAIRS: Final = {("alpha", "beta"): 3, ("beta", "alpha"): 1}
_VARIABLES: Final = {"$__range": "1h", "$host": ".*", "$version": ".*"}
"""What Grafana puts in place of its variables, where all is chosen."""
_Values = dict[tuple[tuple[str, str], ...], float]


def _targets(kind: str) -> dict[str, dict[str, Any]]:
    """The queries of the shipped overview to one kind of source, by the titles of their panels."""
    panels = json.loads((FOLDER / "overview.json").read_text())["panels"]
    return {
        panel["title"]: target
        for panel in panels
        for target in panel["targets"]
        if target["datasource"]["type"] == kind
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was sent to a gateway, and what that exposed then."""

    traces: list[Trace]
    samples: list[Sample]

    def spans(self, name: str) -> list[tuple[Trace, Span]]:
        """All spans of this name, each with its trace."""
        return [(trace, span) for trace in self.traces for span in trace.named(name)]


@pytest.fixture(scope="module")
def counted(shared_site: BackendStack) -> Counted:
    """All recordings, with the names of some hosts."""
    soon = {"metrics_flush_interval: 60s": "metrics_flush_interval: 2s"}
    shared_site.collector(shared_site.place("gateway.yaml", soon), health=23133)
    traces = []
    for number, name in enumerate(RECORDINGS):
        host = _HOSTS[number % len(_HOSTS)]
        for trace in read_findings(inputs(name)).traces(TraceOptions(hosts={Role.SOURCE: host} if host else {})):
            ident = hashlib.sha256(f"{name} {trace.trace_id}".encode()).hexdigest()[:32]
            traces.append(replace(trace, trace_id=ident))
    for trace in traces:
        assert delivered([Payload.of_trace(trace)], shared_site.url(24317), None, protocol="grpc").complete
    every = sum(len(trace.spans) for trace in traces)
    calls = "traces_span_metrics_calls_total"
    samples = eventually(
        lambda: scrape(f"{shared_site.url(28889)}/metrics"), lambda found: total(found, calls) >= every
    )
    assert total(samples, calls) == every
    return Counted(traces=traces, samples=samples)


def _resource(trace: Trace, span: Span, name: str) -> str:
    return str(trace.resources[span.role].get(name, ""))


def _by(label: str, counts: Mapping[str, float]) -> _Values:
    return {((label, value),) if value else (): float(count) for value, count in counts.items() if count}


def _of_downtimes(counted: Counted, name: str | None = None) -> _Values:
    """The share of downtimes over target, of those that say; by an attribute of the source's resource."""
    said = [(trace, span) for trace, span in counted.spans("downtime") if _MISSED in span.attributes]
    keys = [_resource(trace, span, name) if name else "" for trace, span in said]
    over = Counter(key for key, (_, span) in zip(keys, said, strict=True) if span.attributes[_MISSED])
    label = (name or "").replace(".", "_")
    return {((label, key),) if key else (): over[key] / count for key, count in Counter(keys).items()}


def _count(spans: Iterable[object]) -> _Values:
    return {(): float(len(list(spans)))}


def _lengths(counted: Counted) -> _Values:
    """How many downtimes are no longer than each border of the histogram."""
    borders = {sample.labels["le"] for sample in counted.samples if "le" in sample.labels}
    lengths = [span.duration_ns / 1e9 for _, span in counted.spans("downtime")]
    return {(("le", border),): float(len([s for s in lengths if s <= float(border)])) for border in borders}


_WANTED: Final[dict[str, Callable[[Counted], _Values]]] = {
    "Migrations": lambda counted: _count(counted.traces),
    "Not successful": lambda counted: _count(
        trace for trace in counted.traces if trace.root.attributes[_RESULT] != "success"
    ),
    "Target missed": lambda counted: _count(
        span for _, span in counted.spans("downtime") if span.attributes.get(_MISSED)
    ),
    "Share of downtimes over their target": _of_downtimes,
    "Migrations of the hour before, by result": lambda counted: _by(
        "vm_migration_result", Counter(str(trace.root.attributes[_RESULT]) for trace in counted.traces)
    ),
    "Failures by cause": lambda counted: _by(
        "error_type",
        Counter(
            str(trace.root.attributes["error.type"])
            for trace in counted.traces
            if "error.type" in trace.root.attributes
        ),
    ),
    "Downtimes by length": _lengths,
    "Migrations by host": lambda counted: _by(
        "host_name", Counter(_resource(trace, trace.root, "host.name") for trace in counted.traces)
    ),
    "Over target, by host": lambda counted: _of_downtimes(counted, "host.name"),
    "Over target, by version": lambda counted: _of_downtimes(counted, "service.version"),
    "Who migrates to whom": lambda _: {
        (("client_host_name", source), ("server_host_name", destination)): float(count)
        for (source, destination), count in _PAIRS.items()
    },
}
"""What each panel is to show, counted in the traces themselves."""


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in pairs)


def _series(counted: Counted) -> str:
    """What the gateway exposed, as series that begin after ten minutes; and pairs of hosts, as Tempo counts them."""
    lines = [
        f"{sample.name}{{{_labels(sample.labels.items())}}} _x9 {sample.value:g}x100"
        for sample in counted.samples
        if sample.name.startswith("traces_span_metrics_") and sample.name.endswith(("_total", "_bucket"))
    ]
    for (source, destination), count in _PAIRS.items():
        labels = {
            "client": "migration-source",
            "server": "migration-destination",
            "client_host_name": source,
            "server_host_name": destination,
        }
        lines.append(f"traces_service_graph_request_total{{{_labels(labels.items())}}} _x9 {count}x100")
    return "\n".join(f"  {line}" for line in lines)


def _asked(expression: str) -> str:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize("title", _WANTED)
def test_panels_show_what_the_traces_say(title: str, counted: Counted, binaries: dict[str, Path]) -> None:
    """The query of the panel, with all hosts and versions chosen, gives what is counted in the traces."""
    wanted = _WANTED[title](counted)
    assert wanted
    rows = "\n".join(f"  {{{_labels(labels)}}} {value!r}" for labels, value in wanted.items())
    script = (
        f"load 1m\n{_series(counted)}\n\neval instant at 1h {_asked(_targets('prometheus')[title]['expr'])}\n{rows}\n"
    )
    done = subprocess.run(
        [binaries["promqltest"]], input=script, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_one_host_is_chosen(counted: Counted, binaries: dict[str, Path]) -> None:
    """The variable narrows a panel down; a wrong value is seen to be one."""
    query = _targets("prometheus")["Migrations"]["expr"].replace("$host", "alpha|nobody")
    alpha = len([trace for trace in counted.traces if _resource(trace, trace.root, "host.name") == "alpha"])
    assert 0 < alpha < len(counted.traces)
    for value, code in ((alpha, 0), (alpha + 1, 1)):
        script = f"load 1m\n{_series(counted)}\n\neval instant at 1h {_asked(query)}\n  {{}} {value}\n"
        done = subprocess.run(
            [binaries["promqltest"]], input=script, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, done.stdout[-2000:]


def test_every_panel_is_asked() -> None:
    """No query to Prometheus is left out here."""
    assert _targets("prometheus").keys() == _WANTED.keys()


def test_variables_are_labels_that_are_there(counted: Counted) -> None:
    """What the choices of the overview are made of is exposed."""
    listed = json.loads((FOLDER / "overview.json").read_text())["templating"]["list"]
    choices = [variable["definition"] for variable in listed if variable["type"] == "query"]
    for choice, values in zip(choices, ({"alpha", "beta"}, {"v52.0", "v53.0"}), strict=True):
        metric, label = choice.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
        assert metric == 'traces_span_metrics_calls_total{span_name="migration"}'
        assert values <= {
            sample.labels.get(label, "")
            for sample in counted.samples
            if sample.name == "traces_span_metrics_calls_total" and sample.labels["span_name"] == "migration"
        }
