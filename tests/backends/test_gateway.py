"""Two tiers: agents that send every span of a trace to the same gateway, gateways that count downtimes."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
import pytest
from delivery_cases import delivered
from msgspec.structs import replace
from otlp_receiver import Reply, grpc_receiver
from trace_invariants import RECORDINGS, inputs, traced

from backends.backend_stack import CONFIGURATIONS, SECOND_GATEWAY, TWO_GATEWAYS
from backends.jaeger_api import Jaeger
from backends.otlp_spans import spans_by_id
from backends.prometheus_text import Sample, scrape, total
from backends.retry import eventually
from otelmig.migration.side import Role
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.otlp.payload import Payload
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otlp_receiver import Receiver

    from backends.backend_stack import BackendStack
    from otelmig.trace.span import Trace

pytestmark = pytest.mark.backend

_SOON: Final = {"metrics_flush_interval: 60s": "metrics_flush_interval: 2s"}
_CALLS: Final = "traces_span_metrics_calls_total"
_COUNT: Final = "traces_span_metrics_duration_seconds_count"
_BUCKET: Final = "traces_span_metrics_duration_seconds_bucket"
_CERTIFICATES: Final = Path(__file__).parents[1] / "certificates"
_TARGET_NS: Final = 300 * 10**6
_TARGET_MISSED: Final = "vm.migration.downtime.target_missed"
_BALANCED: Final = "agent_balanced.yaml"
_SHARDED: Final = "agent_sharded.yaml"
_FIRST_RETRY_S: Final = 2.5
"""Of agent_balanced.yaml, at the earliest: its interval less what chance may take off."""
_SELECTOR: Final = re.compile(r"(traces_\w+)\{([^}]*)\}")


def _send(stack: BackendStack, port: int, protocol: str = "http/protobuf") -> list[Trace]:
    """All recordings, each in a request of its own."""
    sent = []
    for name in RECORDINGS:
        traces = traced(inputs(name))
        for trace in traces:
            assert delivered([Payload.of_trace(trace)], stack.url(port), None, protocol=protocol).complete
        sent += traces
    return sent


def _counted(stack: BackendStack, gateways: Sequence[int], count: int, patience_s: float = 60.0) -> list[list[Sample]]:
    """What each gateway exposes once they have counted so many spans together."""
    return eventually(
        lambda: [scrape(f"{stack.url(port)}/metrics") for port in gateways],
        lambda found: sum(total(each, _CALLS) for each in found) >= count,
        patience_s,
    )


def _spans(traces: Iterable[Trace]) -> int:
    return sum(len(trace.spans) for trace in traces)


def _downtimes(traces: list[Trace]) -> list[int]:
    return [span.duration_ns for trace in traces for span in trace.named("downtime")]


def _start_two_tiers(stack: BackendStack) -> None:
    stack.jaeger()
    stack.collector(stack.place("gateway.yaml", _SOON), health=23133)
    stack.collector(stack.place("gateway.yaml", _SOON | SECOND_GATEWAY, copy="second-"), health=33133)
    stack.collector(stack.place(_BALANCED, TWO_GATEWAYS[_BALANCED]))


def test_two_tiers_count_every_migration_once(stack: BackendStack) -> None:
    """Together the gateways count all, by result and by downtime, and pass all on."""
    _start_two_tiers(stack)
    traces = _send(stack, 4318)
    each = _counted(stack, (28889, 38889), _spans(traces))
    assert all(total(found, _CALLS, span_name="migration") > 0 for found in each)
    both = [sample for found in each for sample in found]
    assert total(both, _CALLS) == _spans(traces)
    assert total(both, _CALLS, span_name="migration") == len(traces)
    for result in ("success", "failure", "timeout", "unknown"):
        wanted = [trace for trace in traces if trace.root.attributes["vm.migration.result"] == result]
        assert total(both, _CALLS, span_name="migration", vm_migration_result=result) == len(wanted)
    lengths = _downtimes(traces)
    within = [length for length in lengths if length <= _TARGET_NS]
    assert 0 < len(within) < len(lengths)
    assert total(both, _COUNT, span_name="downtime") == len(lengths)
    assert total(both, _BUCKET, span_name="downtime", le="0.3") == len(within)
    _check_in_jaeger(stack, traces)


def test_two_tiers_keep_a_trace_together(stack: BackendStack) -> None:
    """Sent span by span, all of it comes to the same gateway."""
    _start_two_tiers(stack)
    (trace,) = traced(inputs("v53.0-twohosts"))
    for span in trace.spans:
        piece = replace(trace, spans=(span,), resources={span.role: trace.resources[span.role]})
        assert delivered([Payload.of_trace(piece)], stack.url(4317), None, protocol="grpc").complete
    each = _counted(stack, (28889, 38889), len(trace.spans))
    assert sorted(total(found, _CALLS) for found in each) == [0, len(trace.spans)]


@pytest.mark.parametrize("agent", [_BALANCED, _SHARDED])
def test_agent_as_shipped_needs_one_gateway(agent: str, stack: BackendStack) -> None:
    """It has all places, and every span comes to it once."""
    stack.collector(stack.place("gateway.yaml", _SOON), health=23133)
    stack.collector(stack.place(agent))
    traces = _send(stack, 4318)
    (found,) = _counted(stack, [28889], _spans(traces))
    assert total(found, _CALLS) == _spans(traces)


def test_balanced_while_a_gateway_is_down(stack: BackendStack) -> None:
    """Its own traces wait and are tried seldom; what is sent with them goes again; nothing is missing later."""
    payloads = _payloads(100)
    idents = {payload.ident[:32] for payload in payloads}
    alone, together = payloads[:80], payloads[80:]
    with grpc_receiver(stack.port(24317)) as up, grpc_receiver(stack.port(34317)) as down:
        down.reply = Reply(code=grpc.StatusCode.UNAVAILABLE, takes=False)
        stack.collector(stack.place(_BALANCED, TWO_GATEWAYS[_BALANCED]))
        begin = time.monotonic()
        for payload in alone:
            assert delivered([payload], stack.url(4318), None).complete
        first = {payload.ident[:32] for payload in alone}
        assert eventually(lambda: _taken(up) | set(_tried(down)), first.__eq__) == first
        assert min(len(_taken(up)), len(_tried(down))) > 10
        tried = eventually(lambda: _tried(down), lambda found: max(found.values()) > 1)
        assert 1 < max(tried.values()) <= 1 + (time.monotonic() - begin) / _FIRST_RETRY_S
        assert not up.copies()
        assert delivered(together, stack.url(4318), None).complete
        assert eventually(lambda: _taken(up) | set(_tried(down)), idents.__eq__) == idents
        here = _taken(up)
        assert eventually(up.copies, bool)
        assert max(map(len, up.bodies)) <= 16_000
        down.reply = Reply()
        assert eventually(lambda: _taken(down), (idents - here).__eq__) == idents - here
        spans = sum(payload.spans for payload in payloads)
        assert eventually(lambda: len(up.contents()) + len(down.contents()), spans.__eq__) == spans
        assert _taken(up) == here
        assert not down.copies()


def test_sharded_while_a_gateway_is_down(stack: BackendStack) -> None:
    """The other gets all of its own, once; the rest waits on the disk, is tried seldom, and arrives later, once."""
    traces = [trace for name in RECORDINGS for trace in traced(inputs(name))]
    here = {trace.trace_id for trace in traces if trace.trace_id[-1] < "8"}
    half = len(traces) // 2
    refused: list[tuple[bytes, float]] = []
    with grpc_receiver(stack.port(24317)) as up, grpc_receiver(stack.port(34317)) as down:
        down.reply = Reply(code=grpc.StatusCode.UNAVAILABLE, takes=False)

        def repeated() -> int:
            refused.extend((body, time.monotonic()) for body in down.bodies[len(refused) :])
            return len(refused) - len({body for body, _ in refused})

        agent = stack.collector(stack.place(_SHARDED, TWO_GATEWAYS[_SHARDED]))
        for some in (*([trace] for trace in traces[:half]), traces[half:]):
            assert delivered([Payload.of_trace(trace) for trace in some], stack.url(4318), None).complete
            repeated()
        assert eventually(repeated, bool)
        ((body, _),) = Counter(body for body, _ in refused).most_common(1)
        first, second, *_ = [at for each, at in refused if each == body]
        assert second - first > 1
        assert eventually(lambda: _taken(up), here.__eq__) == here
        assert not up.copies()
        agent.stop(signal.SIGKILL)
        agent.start()
        down.reply = Reply()
        there = {trace.trace_id for trace in traces} - here
        assert eventually(lambda: _taken(down), there.__eq__) == there
        assert len(down.spans) == sum(len(trace.spans) for trace in traces if trace.trace_id in there)
        assert _taken(up) == here
        assert not up.copies()


def _payloads(count: int) -> list[Payload]:
    """So many traces; their ids are spread as those of otelmig are."""
    (trace,) = traced(inputs("v53.0-twohosts"))
    idents = (hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in range(count))
    return [Payload.of_trace(replace(trace, trace_id=ident)) for ident in idents]


def _tried(receiver: Receiver) -> Counter[str]:
    """How many requests each trace came in, also those that were refused."""
    found: Counter[str] = Counter()
    for request in receiver.requests:
        resources = request.resource_spans
        found.update({s.trace_id.hex() for each in resources for scope in each.scope_spans for s in scope.spans})
    return found


def _taken(receiver: Receiver) -> set[str]:
    return {span.trace_id.hex() for span in receiver.spans}


def _check_in_jaeger(stack: BackendStack, traces: list[Trace]) -> None:
    """Both gateways passed everything on."""
    jaeger = Jaeger(stack.url(16686))
    for trace in traces:
        wanted = spans_by_id(json.loads(json_line(trace))["resourceSpans"], poor=True)

        def stored(trace_id: str = trace.trace_id) -> int:
            return len(spans_by_id(jaeger.trace(trace_id) or [], poor=True))

        assert eventually(stored, len(wanted).__eq__) == len(wanted)


def test_a_bucket_leads_to_its_traces(stack: BackendStack) -> None:
    """Exemplars name traces that were sent, in the bucket that their downtime falls into."""
    stack.collector(stack.place("gateway.yaml", _SOON), health=23133)
    traces = {trace.trace_id: trace for trace in _send(stack, 24317, "grpc")}
    found = eventually(
        lambda: [
            (sample.exemplar, float(sample.labels["le"]))
            for sample in scrape(f"{stack.url(28889)}/metrics")
            if sample.exemplar and sample.name == _BUCKET and sample.labels["span_name"] == "downtime"
        ],
        bool,
    )
    assert found
    for exemplar, border_s in found:
        lengths = [span.duration_ns for span in traces[exemplar["trace_id"]].named("downtime")]
        assert min(lengths) <= border_s * 10**9


def test_downtimes_are_counted_by_host(stack: BackendStack) -> None:
    """Each host's own, where it is known, and how many of them missed their target; where it is not, it is not said."""
    stack.collector(stack.place("gateway.yaml", _SOON), health=23133)
    sent = []
    for host in ("alpha", "beta", None):
        options = TraceOptions(hosts={} if host is None else {Role.SOURCE: host})
        for name in ("v53.0-twohosts", "v53.0-basicv", "v53.0-local")[: 2 if host == "beta" else 3]:
            for trace in read_findings(inputs(name)).traces(options):
                copy = replace(trace, trace_id=hashlib.sha256(f"{host} {name}".encode()).hexdigest()[:32])
                assert delivered([Payload.of_trace(copy)], stack.url(24317), None, protocol="grpc").complete
                sent.append((host or "", copy))
    (found,) = _counted(stack, [28889], _spans(trace for _, trace in sent))
    for host in ("alpha", "beta", ""):
        missed = [trace.root.attributes[_TARGET_MISSED] for name, trace in sent if name == host]
        for value in (True, False):
            own = [sample for sample in found if sample.labels.get("host_name", "") == host]
            labels = {"span_name": "downtime", "vm_migration_downtime_target_missed": str(value).lower()}
            assert total(own, _CALLS, **labels) == missed.count(value)


def test_counts_need_the_resource_key(stack: BackendStack) -> None:
    """Without the setting, the counts of different hypervisor versions overwrite each other."""
    key = {"    resource_metrics_key_attributes: [service.name, service.namespace]\n": ""}
    stack.collector(stack.place("gateway.yaml", _SOON | key), health=23133)
    traces = _send(stack, 24317, "grpc")
    (found,) = _counted(stack, [28889], _spans(traces), patience_s=6)  # three flushes
    assert 0 < total(found, _CALLS, span_name="migration") < len(traces)


def test_alerts_select_what_the_gateway_exposes(stack: BackendStack) -> None:
    """Every metric and label that the rules name is there, with the value that they want; each process has its own."""
    rules = (CONFIGURATIONS / "downtime_slo.rules.yaml").read_text()
    selectors = {(name, labels) for name, labels in _SELECTOR.findall(rules)}
    assert {name for name, _ in selectors} == {_COUNT, _BUCKET}
    stack.collector(stack.place("gateway.yaml", _SOON), health=23133)
    traces = _send(stack, 24317, "grpc")
    (found,) = _counted(stack, [28889], _spans(traces))
    for name, text in selectors:
        labels: Mapping[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', text))
        within = [length for length in _downtimes(traces) if length <= float(labels.get("le", "inf")) * 10**9]
        assert total(found, name, **labels) == len(within)
    assert all("collector_instance_id" in sample.labels for sample in found if sample.name in (_COUNT, _BUCKET))


def test_tiers_with_tls_on_both_sides(stack: BackendStack) -> None:
    """Edited as the README of the folder says; an agent without a certificate is not let in, and keeps what it has."""
    authority, server, client = (_CERTIFICATES / f"{name}.pem" for name in ("ca", "server", "client"))
    own = f"cert_file: {server}, key_file: {server.with_suffix('.key')}, client_ca_file: {authority}"
    endpoint = '"127.0.0.1:24317"'
    stack.collector(stack.place("gateway.yaml", _SOON | {endpoint: f"{endpoint}, tls: {{{own}}}"}), health=23133)
    tls = f"tls: {{insecure: false, ca_file: {authority}"
    pair = f", cert_file: {client}, key_file: {client.with_suffix('.key')}"
    (trace,) = traced(inputs("v53.0-tls"))
    stranger = stack.collector(stack.place("agent.yaml", {"14317": "24317", "tls: {insecure: true": tls}))
    assert delivered([Payload.of_trace(trace)], stack.url(4318), None).complete
    assert "Will retry" in eventually(lambda: stranger.log, lambda log: "Will retry" in log)
    stranger.stop()
    assert total(scrape(f"{stack.url(28889)}/metrics"), _CALLS) == 0
    stack.collector(stack.place("agent.yaml", {"14317": "24317", "tls: {insecure: true": tls + pair}))
    (found,) = _counted(stack, [28889], len(trace.spans))
    assert total(found, _CALLS) == len(trace.spans)


def test_gateway_tells_what_it_dropped(stack: BackendStack) -> None:
    """What the backend calls a permanent error is in its own metrics, on the port that the file gives them."""
    own = {"port: 28888": f"port: {stack.port(28888)}"}
    with grpc_receiver(stack.port(14317)) as backend:
        backend.reply = Reply(code=grpc.StatusCode.UNAUTHENTICATED, takes=False)
        stack.collector(stack.place("gateway.yaml", own), health=23133, silent=False)
        (trace,) = traced(inputs("v53.0-tls"))
        assert delivered([Payload.of_trace(trace)], stack.url(24317), None, protocol="grpc").complete
        dropped = eventually(
            lambda: total(scrape(f"{stack.url(28888)}/metrics"), "otelcol_exporter_send_failed_spans"),
            bool,
        )
    assert dropped == len(trace.spans)


def test_tail_sampling_keeps_what_matters(stack: BackendStack) -> None:
    """Uncommented as the file says: failures and long downtimes are kept (nothing else here), and all are counted."""
    text = (CONFIGURATIONS / "gateway.yaml").read_text()
    block = re.search(r"(?m)^  # tail_sampling:\n(?:  #   .*\n)+", text)
    assert block is not None
    edits = {
        block[0]: re.sub(r"(?m)^  # ", "  ", block[0]),
        "traces: {receivers: [otlp], processors: [memory_limiter]": "traces: {receivers: [otlp], "
        "processors: [memory_limiter, tail_sampling]",
        "decision_wait: 30s": "decision_wait: 1s",
        "sampling_percentage: 10": "sampling_percentage: 0",
    }
    stack.jaeger()
    stack.collector(stack.place("gateway.yaml", _SOON | edits), health=23133)
    traces = _send(stack, 24317, "grpc")
    kept = {
        trace.trace_id
        for trace in traces
        if any(span.error for span in trace.spans) or trace.root.attributes.get(_TARGET_MISSED)
    }
    assert 0 < len(kept) < len(traces)
    jaeger = Jaeger(stack.url(16686))
    stored = eventually(lambda: {trace.trace_id for trace in traces if jaeger.trace(trace.trace_id)}, kept.__eq__)
    assert stored == kept
    (found,) = _counted(stack, [28889], _spans(traces))
    assert total(found, _CALLS, span_name="migration") == len(traces)
