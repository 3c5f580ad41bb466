"""A Collector's file-exporter copy of many files: each file in it is an input, as if it had been given by itself."""

from __future__ import annotations

import gzip
import json
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from framings import cri
from golden_text import golden_text
from msgspec.structs import replace
from sample import every
from sent_files import SentFile, json_lines, recording_requests, requests_in_turn, scattered
from trace_invariants import CORPUS, traced

from otelmig.inputs.framing.otlp_logs import otlp_records
from otelmig.inputs.opening import open_inputs
from otelmig.otlp.intake.request import decode_logs
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sent_files import Request

    from otelmig.trace.span import AttributeValue, Trace

_HOSTS = {"source": "host-a", "destination": "host-b"}
_LATER_NS = 1_790_000_000 * 10**9


def _random(seed: str) -> Random:
    return Random(seed)


def _copy(folder: Path, requests: Iterable[Request], name: str = "otlp.json") -> Path:
    path = folder / name
    path.write_bytes(json_lines(requests))
    return path


def _without_hosts(attributes: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """What a trace says without what only those know who sent its logs: which machines it was."""
    return {
        name: value
        for name, value in attributes.items()
        if "host." not in name and not name.startswith("otelmig.pairing.") and name != "service.instance.id"
    }


def _text(traces: Iterable[Trace]) -> str:
    return golden_text(
        replace(
            trace,
            resources={role: _without_hosts(resource) for role, resource in trace.resources.items()},
            spans=tuple(replace(span, attributes=_without_hosts(span.attributes)) for span in trace.spans),
        )
        for trace in traces
    )


@pytest.mark.parametrize("name", every(2, RECORDINGS))
def test_traces_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    """Lines of two hosts, in any order and with copies, give the traces of the files on them, line numbers included.

    A sample: every other recording, copies of the others are read in `tests/live/test_same_trace.py`; `make fuzz` takes
    all of them.
    """
    requests = scattered(recording_requests(CORPUS / name, _HOSTS, 1, 7, 20), _random(name))
    files = [path for path in (CORPUS / name).iterdir() if path.name.split(".")[0] in _HOSTS]
    assert _text(traced([_copy(tmp_path, requests)])) == _text(traced(files))


def test_each_file_has_its_host_and_the_times_at_which_it_was_read(tmp_path: Path) -> None:
    """Logs without a wall clock are placed by when their lines were read on their hosts."""
    copy = _copy(tmp_path, recording_requests(CORPUS / "v53.0-linux", _HOSTS, 10))
    (migration,) = read_findings([copy]).migrations
    hosts = {side.role: side.vmm.host and side.vmm.host.name for side in migration.sides}
    assert hosts == {"source": "host-a", "destination": "host-b"}
    assert all(side.vmm.latest_zero_ns is not None for side in migration.sides)


def test_attempts_of_one_process_stay_in_their_order(tmp_path: Path) -> None:
    """Each attempt is placed by its own receipts, which may be slow: it is the first attempt all the same."""
    copy = _copy(tmp_path, recording_requests(CORPUS / "v53.0-retry", _HOSTS, 10))
    traces = list(read_findings([copy]).traces(TraceOptions()))
    assert [trace.root.attributes["vm.migration.attempt"] for trace in traces] == [1, 2]
    assert traces[0].trace_id in {link.trace_id for link in traces[1].root.links}


def _inputs(*paths: Path) -> tuple[dict[str, list[tuple[int, str]]], list[str]]:
    """The numbered lines of each input, by its name, and the notes."""
    logs, errors, notes = open_inputs(paths)
    assert not errors
    return {log.name: [(line.where.line, line.text) for line in log.lines(None)] for log in logs}, notes


def test_files_of_one_name_are_told_apart_by_their_hosts(tmp_path: Path) -> None:
    """Where two hosts have a file of one name, the host stands before it; a name that is the only one stands alone."""
    files = [
        SentFile(data=b"one\n\nthree\n", host="alpha"),
        SentFile(data=b"four\n", host="beta"),
        SentFile(data=b"five\n", host="beta", path="/var/log/other.log"),
    ]
    copy = _copy(tmp_path, requests_in_turn([file.batches(9) for file in files]))
    assert _inputs(copy) == (
        {"alpha/ch.log": [(1, "one"), (3, "three")], "beta/ch.log": [(1, "four")], "other.log": [(1, "five")]},
        [],
    )


def test_several_copies_hold_one_stream_of_requests(tmp_path: Path) -> None:
    """The file exporter rotates its copies and may pack them: a file goes on from one to the other."""
    batches = SentFile(data=b"one\ntwo\nthree\nfour\n").batches(1)
    packed = tmp_path / "first.json.gz"
    packed.write_bytes(gzip.compress(json_lines(batches[2:] + batches[:1])))
    other = _copy(tmp_path, [*batches[:2], *batches[2:3]])
    assert _inputs(packed, other) == ({"ch.log": [(1, "one"), (2, "two"), (3, "three"), (4, "four")]}, [])


def test_generations_of_a_file_are_one_log(tmp_path: Path) -> None:
    """A file that was emptied and begun again is read one generation after the other, each with its own numbers."""
    files = [SentFile(data=b"one\ntwo\n"), SentFile(data=b"three\n", began_ns=_LATER_NS)]
    copy = _copy(tmp_path, [batch for file in files for batch in file.batches(9)])
    assert _inputs(copy) == ({"ch.log": [(1, "one"), (2, "two"), (1, "three")]}, [])


def test_lines_that_did_not_come_are_counted(tmp_path: Path) -> None:
    """What is missing in a copy is said, and the reader is told before which line; what came late is not missing."""
    batches = SentFile(data=b"one\ntwo\nthree\nfour\nfive\n").batches(1)
    copy = _copy(tmp_path, [batches[0], batches[4], batches[1]])
    logs, _, notes = open_inputs([copy])
    assert notes == ["ch.log: 2 of its lines are missing in otlp.json"]
    assert [(line.where.line, line.lost_before) for line in logs[0].lines(None)] == [(1, 0), (2, 0), (5, 2)]
    assert [(line.where.line, line.lost_before) for line in logs[0].whole_lines()] == [(1, 0), (2, 0), (5, 2)]


def test_records_that_name_no_file_are_read_beside(tmp_path: Path) -> None:
    """Records of other receivers stay an input of their own, without the lines of the files."""
    copy = tmp_path / "otlp.json"
    other = {"body": {"stringValue": "of nobody's file"}, "observedTimeUnixNano": "5"}
    request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [other]}]}]}
    copy.write_bytes(json.dumps(request).encode() + b"\n" + json_lines(SentFile(data=b"one\n").batches(1)))
    assert _inputs(copy) == ({"ch.log": [(1, "one")], "otlp.json": [(1, "of nobody's file")]}, [])


def test_a_containers_framing_comes_off_the_lines(tmp_path: Path) -> None:
    """Lines of a container's log are framed within their records: what is framed is read, under its own numbers."""
    files = [
        SentFile(
            data=cri((CORPUS / "v53.0-linux" / f"{role}.log").read_bytes(), began_ns=_LATER_NS),
            host=host,
            path=f"/var/log/pods/{role}.log",
        )
        for role, host in _HOSTS.items()
    ]
    bare = [tmp_path / f"{role}.log" for role in _HOSTS]
    for path, file in zip(bare, files, strict=True):
        path.write_bytes(file.data)
    copy = _copy(tmp_path, requests_in_turn([file.batches(30) for file in files]))
    assert _text(traced([copy])) == _text(traced(bare))


def test_records_are_those_that_the_intake_makes_of_the_same_requests() -> None:
    """A copy that is read afterwards tells of the same records as the requests did when they came in."""
    requests = recording_requests(CORPUS / "v53.0-postcopy", _HOSTS, 3, 50)
    copy = json_lines(requests)
    live = [record for body in copy.splitlines() for record in decode_logs(body, is_json=True).records]
    assert list(otlp_records([copy])) == live
    assert live == [record for request in requests for record in request]
