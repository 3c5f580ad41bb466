"""Jaeger's skew adjustment finds nothing to move and nothing to warn of, whatever it knows of the hosts."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from clock_states import STATES
from scenarios import SCENARIOS
from skew_rule import Jaeger, Judged, Timed, judge, timed
from trace_invariants import RECORDINGS, inputs

from otelmig.migration.side import Role
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from otelmig.pipeline import Findings

_S = 10**9
_HERE, _THERE = "here", "there"
_SETTINGS = tuple(product(Jaeger, (0, _S)))
_OPTIONS = (
    TraceOptions(),
    TraceOptions(addresses=False),
    TraceOptions(hosts={Role.SOURCE: "alpha", Role.DESTINATION: "beta"}),
    TraceOptions(hosts={Role.SOURCE: "alpha", Role.DESTINATION: "alpha"}),
    TraceOptions(hosts={Role.SOURCE: "alpha"}),
    TraceOptions(hosts={Role.DESTINATION: "beta"}),
)


def _span(span_id: str, parent_id: str | None, host: str, start_ns: int, end_ns: int) -> Timed:
    return Timed(span_id=span_id, parent_id=parent_id, host=host, start_ns=start_ns, end_ns=end_ns)


def _deltas(*spans: Timed, max_ns: int = _S) -> dict[str, int]:
    return {span_id: judged.delta_ns for span_id, judged in judge(spans, max_ns).items()}


@pytest.mark.parametrize(
    ("start_ns", "end_ns", "delta_ns"),
    [
        (10, 90, 0),  # inside
        (0, 100, 0),  # inside, end to end
        (110, 130, -70),  # after its parent: put in the middle
        (-50, -30, 90),  # before it
        (1, 101, -1),  # as long, a nanosecond late
        (30, 101, -16),  # sticks out a nanosecond: in the middle all the same
        (-40, 80, 40),  # longer and earlier: begins with its parent
        (40, 160, 0),  # longer and later: nothing is said of it
        (500, 700, 0),
    ],
)
def test_a_span_of_another_host_is_held_against_its_parent(start_ns: int, end_ns: int, delta_ns: int) -> None:
    """Each way in which a child can lie to its parent, from 0 to 100 ns."""
    child = _span("b", "a", _THERE, start_ns, end_ns)
    assert _deltas(_span("a", None, _HERE, 0, 100), child) == {"a": 0, "b": delta_ns}


def test_what_is_too_far_or_disabled_stays_with_a_warning() -> None:
    """A warning on every span of the host, whether the spans are moved or not."""
    spans = (
        _span("a", None, _HERE, 0, 100),
        _span("b", "a", _THERE, 3 * _S, 3 * _S + 40),
        _span("c", "b", _THERE, 3 * _S + 10, 3 * _S + 20),
    )
    delta_ns = 30 - 3 * _S
    for max_ns, words in ((0, "disabled"), (_S, "exceeded"), (5 * _S, "moved by")):
        found = judge(spans, max_ns)
        assert found["a"] == Judged(delta_ns=0, warnings=())
        for span_id in ("b", "c"):
            assert found[span_id].delta_ns == delta_ns
            assert words in "".join(found[span_id].warnings)


def test_spans_of_one_host_are_not_compared() -> None:
    """The same host all the way: a child may lie anywhere."""
    assert _deltas(_span("a", None, _HERE, 0, 100), _span("b", "a", _HERE, 500, 510)) == {"a": 0, "b": 0}


def test_an_unknown_host_differs_from_itself() -> None:
    """Where hosts are not known, every edge is judged, inside one process too."""
    spans = (_span("a", None, "", 0, 100), _span("b", "a", "", 20, 80), _span("c", "b", "", 70, 90))
    assert _deltas(*spans) == {"a": 0, "b": 0, "c": -30}


def test_the_way_back_is_judged_from_where_the_parent_was_moved_to() -> None:
    """A child on the first host below a moved span of the second; with moving disabled, below the span as it was."""
    spans = (
        _span("a", None, _HERE, 0, 100),
        _span("b", "a", _THERE, 1000, 1050),
        _span("c", "b", _HERE, 30, 40),
        _span("d", "b", _THERE, 1010, 1020),
    )
    assert _deltas(*spans) == {"a": 0, "b": -975, "c": 0, "d": -975}
    assert _deltas(*spans, max_ns=0) == {"a": 0, "b": -975, "c": 990, "d": -975}


def test_lost_parents_and_repeated_ids_are_warned_of() -> None:
    """A span whose parent is not there becomes a root: never moved, but marked."""
    lost, *twice = _span("a", "z", _HERE, 0, 100), _span("b", None, _HERE, 0, 1), _span("b", None, _HERE, 0, 1)
    found = judge([lost, *twice], _S)
    assert [judged.delta_ns for judged in found.values()] == [0, 0]
    assert "z is not in the trace" in "".join(found["a"].warnings)
    assert "same id" in "".join(found["b"].warnings)


@pytest.mark.parametrize(
    ("resource", "v1", "v2"),
    [
        ({}, "", ""),
        ({"host.name": "n"}, "", "n"),
        ({"host.name": "n", "host.ip": ["i", "j"]}, "", "i"),
        ({"host.name": "n", "host.ip": "i", "host.id": "d"}, "", "d"),
        ({"host.name": "n", "host.ip": [], "ip": "p"}, "p", "n"),
    ],
)
def test_what_names_a_host(resource: Mapping[str, str | list[str]], v1: str, v2: str) -> None:
    """Version 1 knows one tag; version 2 prefers the id to the first address, and that to the name."""
    attributes = [
        {
            "key": key,
            "value": {"stringValue": value}
            if isinstance(value, str)
            else {"arrayValue": {"values": [{"stringValue": each} for each in value]}},
        }
        for key, value in resource.items()
    ]
    span = {"spanId": "a", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    document = {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": [span]}]}]}
    assert [each.host for jaeger in Jaeger for each in timed(document, jaeger)] == [v1, v2]


def _without_hosts(document: dict[str, Any]) -> dict[str, Any]:
    """What is left when a collector drops everything that names a host."""
    for group in document["resourceSpans"]:
        kept = [each for each in group["resource"]["attributes"] if not each["key"].startswith("host.")]
        group["resource"]["attributes"] = kept
    return document


def _documents(findings: Findings) -> Iterator[dict[str, Any]]:
    """Every trace, with all that can be known of its hosts, and with nothing."""
    for options in _OPTIONS:
        yield from (json.loads(json_line(trace)) for trace in findings.traces(options))
    yield from (_without_hosts(json.loads(json_line(trace))) for trace in findings.traces(_OPTIONS[2]))


def _check_unmoved(findings: Findings) -> None:
    for document in _documents(findings):
        for jaeger, max_ns in _SETTINGS:
            spans = timed(document, jaeger)
            found = judge(spans, max_ns)
            assert set(found) == {span.span_id for span in spans}
            marked = {span_id: judged for span_id, judged in found.items() if judged.delta_ns or judged.warnings}
            assert not marked, (jaeger, max_ns)


@pytest.mark.parametrize(("jaeger", "max_ns"), _SETTINGS)
def test_a_microsecond_too_long_is_found(jaeger: Jaeger, max_ns: int) -> None:
    """The rule is not blind to traces as they are written: what the destination did, outlasting the migration."""
    document = next(_documents(read_findings(inputs("v53.0-twohosts"))))
    spans = [span for group in document["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]]
    (root,), (receive,) = ([span for span in spans if span["name"] == name] for name in ("migration", "receive"))
    receive["endTimeUnixNano"] = str(int(root["endTimeUnixNano"]) + 1_000)
    judged = judge(timed(document, jaeger), max_ns)[receive["spanId"]]
    assert judged.delta_ns
    assert judged.warnings


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_shown_as_they_are(name: str) -> None:
    """No span of a recording is moved or marked."""
    _check_unmoved(read_findings(inputs(name)))


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_are_shown_as_they_are(name: str, tmp_path: Path) -> None:
    """No span of a scenario is moved or marked."""
    for file, content in SCENARIOS[name].files.items():
        (tmp_path / file).write_bytes(content)
    _check_unmoved(read_findings(sorted(tmp_path.iterdir())))


@pytest.mark.parametrize("name", STATES)
def test_every_state_of_the_clocks_is_shown_as_it_is(name: str, tmp_path: Path) -> None:
    """Contradicted, known on one side, left as they were, or corrected: no span is moved or marked."""
    _check_unmoved(STATES[name].findings(tmp_path))
