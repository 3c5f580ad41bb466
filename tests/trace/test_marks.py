"""What a person looks for in a list of traces: who died, which attempt came before, which hosts took part."""

from __future__ import annotations

from uuid import UUID

import pytest
from trace_invariants import RECORDINGS, inputs, recorded

from otelmig.migration.side import Role
from otelmig.pipeline import trace_migrations
from otelmig.trace.options import TraceOptions

_KILLED_DESTINATIONS = ("v48.0-killdst", "v51.1-killdst", "v52.0-killdst", "v53.0-killdst", "v53.0-twohosts-killed")


@pytest.mark.parametrize("name", _KILLED_DESTINATIONS)
def test_the_side_that_died_is_marked(name: str) -> None:
    """Its own log stops, and the other side saw the connection break."""
    receives = [trace.first("receive") for trace in recorded(name)]
    marked = [span for span in receives if span is not None and span.error is not None]
    assert [span.attributes["error.type"] for span in marked] == ["peer_aborted"]
    assert marked[0].error is not None
    assert "log stops" in marked[0].error


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_destination_that_did_its_part_is_not_marked(name: str) -> None:
    """A success has no span in ERROR on either side, but for the fetching of pages that was given up."""
    for trace in recorded(name):
        if trace.root.attributes["vm.migration.result"] == "success":
            assert {span.name for span in trace.spans if span.error is not None} <= {"prefault"}


@pytest.mark.parametrize("name", RECORDINGS)
def test_each_attempt_links_to_the_one_before(name: str) -> None:
    """Of one process, in order; the first one links to nothing."""
    traces = [trace for trace in recorded(name) if trace.root.role is Role.SOURCE]
    by_attempt = {trace.root.attributes["vm.migration.attempt"]: trace for trace in traces}
    for number, trace in by_attempt.items():
        assert isinstance(number, int)
        before = by_attempt.get(number - 1)
        wanted = [] if before is None else [(before.trace_id, before.root.span_id, "previous attempt")]
        links = [(link.trace_id, link.span_id, link.attributes["otelmig.link.kind"]) for link in trace.root.links]
        assert links == wanted


def test_there_are_attempts_to_link() -> None:
    """A recording of a retry has one link."""
    assert sum(len(trace.root.links) for trace in recorded("v53.0-retry")) == 1


def test_hosts_are_on_the_root_and_tell_instances_apart() -> None:
    """Where they are known: a search over roots finds both hosts, and metrics keep one series for each."""
    files = inputs("v53.0-basicv")
    (one,) = trace_migrations(files, options=TraceOptions(hosts={Role.SOURCE: "alpha", Role.DESTINATION: "beta"}))
    assert one.root.attributes["vm.migration.source.host.name"] == "alpha"
    assert one.root.attributes["vm.migration.destination.host.name"] == "beta"
    ids = [one.resources[role]["service.instance.id"] for role in Role]
    assert [UUID(str(each)).version for each in ids] == [5, 5]
    assert len(set(ids)) == len(ids)
    (again,) = trace_migrations(files, options=TraceOptions(hosts={Role.SOURCE: "alpha"}))
    assert again.resources[Role.SOURCE]["service.instance.id"] == ids[0]
    assert "service.instance.id" not in again.resources[Role.DESTINATION]
    assert "vm.migration.destination.host.name" not in again.root.attributes
