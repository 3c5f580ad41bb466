"""Every trace through the shipped agent.yaml into Jaeger: read back as it was written, without a warning."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from command_run import run_command
from delivery_cases import delivered
from document_parts import REPOSITORY
from msgspec.structs import replace
from queries import JAEGER_LINKS
from scenarios import SCENARIOS
from trace_invariants import RECORDINGS, inputs, traced

from backends.backend_stack import CONFIGURATIONS
from backends.jaeger_api import IN_MEMORY, WARNINGS, Jaeger
from backends.otlp_spans import spans_by_id
from backends.retry import eventually
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.otlp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queries import Query

    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_PROTOCOLS: Final = {"http/protobuf": 4318, "grpc": 4317}
_UNSHIFTED: Final = (
    "--clock",
    "annotate",
    "--migration-id",
    "unshifted",
    "--host",
    "source=a",
    "--host",
    "destination=b",
)
"""The stamps of both hosts as they are, seconds apart, and told to be of two hosts."""
_TARGET_NS: Final = 300 * 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent to a Jaeger."""

    jaeger: Jaeger
    poor: bool
    """Whether that Jaeger keeps less than it was given (and searches less exactly): on disk."""
    documents: dict[str, dict[str, Any]]
    """The OTLP/JSON of each trace, by its id."""

    def spans(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All spans, with the ids of their traces."""
        for trace_id, document in self.documents.items():
            for span in spans_by_id(document["resourceSpans"], poor=self.poor).values():
                yield trace_id, span


@pytest.fixture(scope="module", params=["on disk", "in memory"])
def sent(request: pytest.FixtureRequest, shared_site: BackendStack, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """All recordings by the command and all scenarios by the library, over HTTP and gRPC in turns."""
    in_memory = request.param == "in memory"
    shared_site.close()
    shared_site.jaeger(IN_MEMORY if in_memory else {})
    shared_site.collector(shared_site.place("agent.yaml"))
    folder = tmp_path_factory.mktemp("sent")
    lines = []
    runs: list[tuple[str, list[Path], tuple[str, ...]]] = [(name, inputs(name), ()) for name in RECORDINGS]
    runs.append(("unshifted", inputs("v53.0-twohosts"), _UNSHIFTED))
    for number, (name, paths, options) in enumerate(runs):
        protocol, port = list(_PROTOCOLS.items())[number % 2]
        target = ["--no-spool", "--otlp", shared_site.url(port), "--protocol", protocol]
        run = run_command(["trace", "-q", "-o", str(folder / name), *target, *options, *map(str, paths)])
        assert run.code == 0, run.stderr
        lines += (folder / name).read_bytes().splitlines()
    for number, name in enumerate(SCENARIOS):
        protocol, port = list(_PROTOCOLS.items())[number % 2]
        traces = [
            # scenarios begin with the same words, so many have the same ids
            replace(trace, trace_id=hashlib.sha256(f"{name} {index}".encode()).hexdigest()[:32])
            for index, trace in enumerate(traced(_written(name, folder / f"{name}.logs")))
        ]
        assert delivered(list(map(Payload.of_trace, traces)), shared_site.url(port), None, protocol=protocol).complete
        lines += [json_line(trace) for trace in traces]
    documents = {}
    for document in map(json.loads, lines):
        documents[document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]] = document
    assert len(documents) == len(lines) > len(RECORDINGS) + len(SCENARIOS) / 2
    return Sent(jaeger=Jaeger(shared_site.url(16686)), poor=not in_memory, documents=documents)


def _written(name: str, folder: Path) -> list[Path]:
    folder.mkdir()
    for file, content in SCENARIOS[name].files.items():
        (folder / file).write_bytes(content)
    return sorted(folder.iterdir())


def test_traces_come_back_as_they_were_sent(sent: Sent) -> None:
    """Spans, times, attributes, events, links, status and resources are those of the written file, and no warning."""
    for trace_id, document in sent.documents.items():
        wanted = spans_by_id(document["resourceSpans"], poor=sent.poor)

        found = _stored(sent, trace_id, len(wanted))
        assert not [span["name"] for span in found.values() if WARNINGS in span["attributes"]]
        assert found == wanted


def _stored(sent: Sent, trace_id: str, count: int) -> dict[str, dict[str, Any]]:
    """What Jaeger has of a trace, once it has so many spans of it."""
    return eventually(
        lambda: spans_by_id(sent.jaeger.trace(trace_id) or [], poor=sent.poor), lambda spans: len(spans) >= count
    )


def test_graph_has_the_edge_between_the_hosts(sent: Sent) -> None:
    """The source calls the destination, and nobody calls the source."""
    end_ms = max(int(span["endTimeUnixNano"]) for _, span in sent.spans()) // 10**6 + 60_000
    edges = sent.jaeger.dependencies(end_ms, 1000 * 86_400_000)
    across = {(parent, child) for parent, child in edges if parent != child}
    assert across == {("migration-source", "migration-destination")}


def test_search_by_length_is_rough_on_disk(sent: Sent) -> None:
    """Operation and duration: every downtime of at least 300 ms, each span once.

    The store on disk looks each condition up by itself, and so also finds a trace with any span that is as long.
    """
    downtimes = [(trace_id, span) for trace_id, span in sent.spans() if span["name"] == "downtime"]
    over = {(trace_id, span["spanId"]) for trace_id, span in downtimes if _length_ns(span) >= _TARGET_NS}
    exact = {trace_id for trace_id, _ in over}
    long = {trace_id for trace_id, span in sent.spans() if _length_ns(span) >= _TARGET_NS}
    rough = {trace_id for trace_id, _ in downtimes} & long
    assert exact
    assert exact < rough
    begins = [int(span["startTimeUnixNano"]) for _, span in sent.spans()]
    groups = sent.jaeger.longer_than("downtime", "300ms", _rfc3339(min(begins) - 1), _rfc3339(max(begins) + 10**9))
    found = [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]
    assert {span["traceId"] for span in found} == (rough if sent.poor else exact)
    assert len([span for span in found if (span["traceId"], span["spanId"]) in over]) == len(over)


_SELECTED: Final = {
    "missed": ("downtime", "vm.migration.downtime.target_missed", ("boolValue", True)),
    "failed": ("migration", "vm.migration.result", ("stringValue", "failure")),
    "cause": ("migration", "error.type", ("stringValue", "restore_failed")),
}
"""What each link of the documents selects: a span of the source, an attribute of it, and its value."""


@pytest.mark.parametrize("link", JAEGER_LINKS, ids=lambda link: str(link.name))
def test_links_of_the_documents_are_exact(link: Query, sent: Sent) -> None:
    """As they stand there: all that is selected, and nothing else, on both stores."""
    assert f"\n{link.text}\n" in (REPOSITORY / "docs" / "viewers.md").read_text()
    name, attribute, value = _SELECTED[link.name]
    wanted = {
        trace_id
        for trace_id, span in sent.spans()
        if span["name"] == name
        and span["resource"]["service.name"] == ("stringValue", "migration-source")
        and span["attributes"].get(attribute) == value
    }
    assert 0 < len(wanted) < len(sent.documents) / 2
    assert sent.jaeger.follow(link.text) == wanted


def test_the_page_has_its_settings(sent: Sent) -> None:
    """Jaeger hands the shipped file to the page; what the page makes of it is not in the build."""
    (line,) = re.findall(r"(?m)^JAEGER_CONFIG = (.*);$", sent.jaeger.page())
    assert json.loads(line) == json.loads((CONFIGURATIONS / "jaeger_ui.json").read_text())


def _length_ns(span: dict[str, Any]) -> int:
    return int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])


def _rfc3339(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
