"""Every TraceQL query of the documents and the dashboards, asked of a real Tempo that has all recordings."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from delivery_cases import delivered
from grafana_dashboards import FOLDER
from queries import TRACEQL
from trace_invariants import RECORDINGS, inputs

from backends.remote_write import remote_write_receiver
from backends.retry import eventually
from backends.tempo_api import Tempo
from otelmig.migration.side import Role
from otelmig.otlp.payload import Payload
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backends.backend_stack import BackendStack
    from otelmig.trace.span import Span, Trace

pytestmark = pytest.mark.backend

_MS: Final = 10**6
_QUERIES: Final = {query.name: query.text for query in TRACEQL}
_DEFAULT_LIMIT: Final = 20
_MISSED: Final = "vm.migration.downtime.target_missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a Tempo has."""

    tempo: Tempo
    traces: list[Trace]


@pytest.fixture(scope="module")
def sent(shared_site: BackendStack) -> Sent:
    """All recordings, with names of hosts, once Tempo finds them."""
    shared_site.tempo()
    hosts = TraceOptions(hosts={Role.SOURCE: "alpha", Role.DESTINATION: "beta"})
    traces = [trace for name in RECORDINGS for trace in read_findings(inputs(name)).traces(hosts)]
    for trace in traces:
        assert delivered([Payload.of_trace(trace)], shared_site.url(14318), None).complete
    begin_ns, end_ns = min(trace.root.start_ns for trace in traces), max(trace.root.start_ns for trace in traces)
    tempo = Tempo(shared_site.url(3200), begin_ns // 10**9 - 3600, end_ns // 10**9 + 7200)
    every = '{ name = "migration" }'
    assert len(eventually(lambda: tempo.search(every), lambda found: len(found) == len(traces))) == len(traces)
    counted = eventually(lambda: _count(tempo, every), len(traces).__eq__)
    assert counted == len(traces)
    return Sent(tempo=tempo, traces=traces)


def _count(tempo: Tempo, query: str) -> float:
    return sum(value for values in tempo.series(f"{query} | count_over_time()").values() for value in values)


def _missed(span: Span) -> bool:
    return span.name == "downtime" and span.attributes.get(_MISSED) is True


def _of_final_delta(trace: Trace) -> list[Span]:
    parents = {span.span_id for span in trace.spans if _missed(span)}
    deltas = trace.named("final delta")
    return [span for span in deltas if span.parent_id in parents and span.duration_ns > 50 * _MS]


def _over_its_own(span: Span) -> bool:
    printed, target = (span.attributes.get(f"vm.migration.downtime.{name}") for name in ("duration", "target"))
    return isinstance(printed, float) and isinstance(target, float) and printed > target


_FOUND: Final[dict[str, Callable[[Trace], Sequence[Span]]]] = {
    "missed": lambda trace: [span for span in trace.spans if _missed(span)],
    "own target": lambda trace: [span for span in trace.spans if _over_its_own(span)],
    "threshold": lambda trace: [span for span in trace.named("downtime") if span.duration_ns > 300 * _MS],
    "final delta": _of_final_delta,
    "failed": lambda trace: [
        span for span in trace.spans if span.attributes.get("vm.migration.result") in ("failure", "timeout", "unknown")
    ],
    "blackouts": lambda trace: trace.named("blackout"),
}
"""Which spans of a trace each search is to find."""


@pytest.mark.parametrize("name", _FOUND)
def test_searches_find_what_they_say(name: str, sent: Sent) -> None:
    """Exactly these spans of these traces."""
    wanted = {trace.trace_id: {span.span_id for span in _FOUND[name](trace)} for trace in sent.traces}
    wanted = {trace_id: spans for trace_id, spans in wanted.items() if spans}
    found = sent.tempo.search(_QUERIES[name].replace("250ms", "50ms"))  # no recording has so long a final delta
    assert {trace_id: {span["spanID"] for span in spans} for trace_id, spans in found.items()} == wanted
    assert wanted


def test_both_forms_of_the_question_agree(sent: Sent) -> None:
    """The boolean and the two numbers find the same migrations."""
    assert sent.tempo.search(_QUERIES["missed"]).keys() == sent.tempo.search(_QUERIES["own target"]).keys()


def test_blackouts_come_with_their_bounds(sent: Sent) -> None:
    """The numbers are those of the span; an upper bound that is not proved is absent."""
    numbers = tuple(f"vm.migration.blackout.{name}" for name in ("min", "duration", "max"))
    spans = {span.span_id: span for trace in sent.traces for span in trace.named("blackout")}
    found = [span for spans in sent.tempo.search(_QUERIES["blackouts"]).values() for span in spans]
    for span in found:
        values = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
        own = spans[span["spanID"]].attributes
        assert {name: values[name] for name in numbers if name in values} == {n: own[n] for n in numbers if n in own}
    assert len(found) == len(spans)


def test_a_search_gives_twenty_traces_by_default(sent: Sent) -> None:
    """The documents warn of it: there are more."""
    query = '{ name = "migration" }'
    assert len(sent.traces) > _DEFAULT_LIMIT
    assert len(sent.tempo.search(query, limit=None)) == _DEFAULT_LIMIT


def test_counts_are_of_all(sent: Sent) -> None:
    """How many downtimes there are, and how many of them missed their target."""
    downtimes = [span for trace in sent.traces for span in trace.named("downtime")]
    for name, wanted in (("all", downtimes), ("all missed", [span for span in downtimes if _missed(span)])):
        values = sent.tempo.series(_QUERIES[name]).values()
        assert sum(value for series in values for value in series) == len(wanted)


def test_pairs_of_hosts_are_told(sent: Sent) -> None:
    """How many migrations went from whom to whom; a host that is not known is no label."""
    names = tuple(f"vm.migration.{side}.host.name" for side in ("source", "destination"))
    wanted = Counter(
        tuple((f"span.{name}", str(trace.root.attributes[name])) for name in names if name in trace.root.attributes)
        for trace in sent.traces
    )
    assert max(map(len, wanted)) == len(names)
    found = sent.tempo.series(_QUERIES["pairs"])
    assert {labels: sum(values) for labels, values in found.items()} == wanted


def test_the_worst_host_is_told(sent: Sent) -> None:
    """The longest downtime of each host, in seconds."""
    found = sent.tempo.series(_QUERIES["worst host"])
    longest = max(span.duration_ns for trace in sent.traces for span in trace.named("downtime"))
    assert {labels: max(values) for labels, values in found.items()} == {
        (("resource.host.name", "alpha"),): pytest.approx(longest / 1e9)
    }


def test_every_query_is_asked() -> None:
    """No query of the documents is left out here."""
    assert set(_QUERIES) == set(_FOUND) | {"all", "all missed", "worst host", "pairs"}


# --- the dashboards -----------------------------------------------------------------------------------------------


def _panels(file: str) -> dict[str, str]:
    """The queries of a shipped dashboard to Tempo, by the title of the panel, and a letter where it has several."""
    panels = json.loads((FOLDER / file).read_text())["panels"]
    return {
        f"{panel['title']} {target['refId']}".removesuffix(" A"): target["query"]
        for panel in panels
        for target in panel["targets"]
        if target["datasource"]["type"] == "tempo"
    }


_SELECTED: Final = re.compile(r"(?:span|resource)\.([\w.]+)(?=[,)])")
_OVERVIEW: Final = _panels("overview.json")
_MIGRATION: Final = _panels("migration.json")


@pytest.mark.parametrize("title", [title for title in _OVERVIEW if "select(" in _OVERVIEW[title]])
def test_tables_of_the_overview(title: str, sent: Sent) -> None:
    """They have a row for each migration that their title means, and every column has something in it."""
    wanted = {
        "Migrations that missed their target": {t.trace_id for t in sent.traces if any(map(_missed, t.spans))},
        "Migrations that did not succeed": {
            trace.trace_id for trace in sent.traces if trace.root.attributes["vm.migration.result"] != "success"
        },
        "Blackouts with their bounds": {trace.trace_id for trace in sent.traces if trace.named("blackout")},
    }[title]
    found = sent.tempo.search(_OVERVIEW[title])
    assert found.keys() == wanted
    columns = {item["key"] for spans in found.values() for span in spans for item in span["attributes"]}
    assert set(_SELECTED.findall(_OVERVIEW[title])) <= columns


@pytest.mark.parametrize(("letter", "name", "reduce"), [("", "min", min), (" B", "duration", None), (" C", "max", max)])
def test_blackouts_over_time(letter: str, name: str, reduce: Callable[[list[float]], float] | None, sent: Sent) -> None:
    """The least lower bound, a mean between, the greatest upper bound, in seconds."""
    values = [
        float(str(span.attributes[f"vm.migration.blackout.{name}"]))
        for trace in sent.traces
        for span in trace.named("blackout")
        if f"vm.migration.blackout.{name}" in span.attributes
    ]
    (found,) = sent.tempo.series(_OVERVIEW[f"Blackout: estimates between their bounds{letter}"]).values()
    if reduce is None:
        assert all(min(values) <= value <= max(values) for value in found)
    else:
        assert reduce(found) == pytest.approx(reduce(values))


@pytest.mark.parametrize("title", [title for title in _MIGRATION if title != "The trace"])
def test_panels_of_one_migration(title: str, sent: Sent) -> None:
    """They show the spans of that trace alone, and every column has something in it."""
    (trace,) = [trace for trace in sent.traces if trace.trace_id.startswith("b5cc7a2b980a")]
    query = _MIGRATION[title].replace("$trace", trace.trace_id)
    found = sent.tempo.search(query)
    name = re.findall(r'name = "([\w ]+)"', query)[0]
    assert {ident: {span["spanID"] for span in spans} for ident, spans in found.items()} == {
        trace.trace_id: {span.span_id for span in trace.named(name)}
    }
    columns = {item["key"] for spans in found.values() for span in spans for item in span["attributes"]}
    assert set(_SELECTED.findall(query)) <= columns


def test_the_trace_of_one_migration(sent: Sent) -> None:
    """The panel asks for the trace by its id, which is all of its query."""
    assert _MIGRATION["The trace"] == "$trace"
    trace = sent.traces[0]
    assert sent.tempo.spans(trace.trace_id) == len(trace.spans)


def test_every_panel_is_asked() -> None:
    """No query to Tempo is left out here."""
    tables = {title for title in _OVERVIEW if "select(" in _OVERVIEW[title]}
    assert len(tables) == 3
    assert {title for title in _OVERVIEW if title not in tables} == {
        f"Blackout: estimates between their bounds{letter}" for letter in ("", " B", " C")
    }


def test_pairs_of_hosts_are_counted(stack: BackendStack) -> None:
    """The generator of tempo_metrics.yaml counts migrations by both hosts, and downtimes by whether they were over."""
    runs = (("alpha", "beta", "v53.0-twohosts"), ("alpha", "beta", "v53.0-basicv"), ("beta", "alpha", "v53.0-local"))
    with remote_write_receiver(stack.port(9090)) as series:
        stack.tempo({"registry: {": "registry: {collection_interval: 1s, "})
        for source, destination, name in runs:
            hosts = TraceOptions(hosts={Role.SOURCE: source, Role.DESTINATION: destination})
            for trace in read_findings(inputs(name)).traces(hosts):
                assert delivered([Payload.of_trace(trace)], stack.url(14318), None).complete

        def counted(metric: str, *labels: str, **chosen: str) -> dict[tuple[str, ...], float]:
            wanted = {"__name__": metric, **chosen}.items()
            found = [(dict(key), value) for key, value in series.copy().items() if wanted <= set(key)]
            return {tuple(key.get(label, "") for label in labels): value for key, value in found}

        def pairs() -> dict[tuple[str, ...], float]:
            graph = "traces_service_graph_request_total"
            return counted(graph, "client_host_name", "server_host_name", client="migration-source")

        wanted = {("alpha", "beta"): 2.0, ("beta", "alpha"): 1.0}
        assert eventually(pairs, wanted.__eq__) == wanted
        over = counted(
            "traces_spanmetrics_calls_total", "host_name", "vm_migration_downtime_target_missed", span_name="downtime"
        )
        assert over == {("alpha", "true"): 2.0, ("beta", "false"): 1.0}
