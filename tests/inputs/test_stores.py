"""What log stores give back: the line, its host, its writer, and when it was received, by fields of many names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import framings
import pytest
from carried_logs import BEGAN_NS, logs_of, plain, shape_of

from otelmig.inputs.framing.otlp_logs import otlp_lines
from otelmig.inputs.framing.stores import entry_line, is_json_lines
from otelmig.inputs.line import NO_STREAM, Line, Where
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path

_WHERE = Where("x", 1)
_SECOND = 1_779_343_335


def _line(entry: object) -> Line:
    line = entry_line(json.dumps(entry), _WHERE)
    assert line is not None
    return line


@pytest.mark.parametrize(
    ("time", "end_ns"),
    [
        ("2026-05-21T06:02:15Z", _SECOND * 10**9 + 999_999_999),
        ("2026-05-21T06:02:15.5Z", _SECOND * 10**9 + 599_999_999),
        ("2026-05-21 08:02:15.542701+02:00", _SECOND * 10**9 + 542_701_999),
        (_SECOND, _SECOND * 10**9 + 999_999_999),
        (_SECOND + 0.25, _SECOND * 10**9 + 259_999_999),
        (_SECOND * 1000 + 542, _SECOND * 10**9 + 542_999_999),
        (str(_SECOND * 10**6 + 542_701), _SECOND * 10**9 + 542_701_999),
        (str(_SECOND * 10**9 + 542_701_123), _SECOND * 10**9 + 542_701_123),
        (f"{_SECOND}.542701", _SECOND * 10**9 + 542_701_999),
        ("yesterday", None),
        ("9" * 5_000, None),
        ("9" * 40, None),
        (1e300, None),
        (12.5, None),
        (-1, None),
        (True, None),
        ("٣", None),
        (None, None),
        ({"secs": 1}, None),
    ],
)
def test_a_time_ends_where_its_last_digit_does(time: object, end_ns: int | None) -> None:
    """Seconds and their parts are told by their size; a line is received at the end of what a time stands for."""
    assert _line({"message": "x", "timestamp": time}).received_ns == end_ns


def test_a_field_further_out_wins() -> None:
    """Of fields of one name the outer one is meant; one that lies deeper is found where there is no other."""
    line = _line({"message": "outer", "a": {"message": "inner", "b": {"hostname": "deep"}}})
    assert (line.text, line.host and line.host.name) == ("outer", "deep")
    assert _line({"result": {"_raw": "raw"}}).text == "raw"


def test_who_wrote_a_line() -> None:
    """Two processes on one host differ in their unit, their container or their id."""
    lines = [_line({"MESSAGE": "x", "_HOSTNAME": "a", "_PID": pid}) for pid in ("1", "2", "1")]
    assert lines[0].writer == lines[2].writer != lines[1].writer
    assert _line({"message": "x", "host": "a"}).writer != _line({"message": "x", "host": "b"}).writer


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b'{"message": "x"}\n', True),
        (b'\n{"a": 1}\n{"message": "x"}\n', True),
        (b'{"a": 1}\n', False),
        (b'{"message": 1}\n', False),
        (b'message\n{"message": "x"}\n', False),
        (b'{"message": \n', False),
        (b"[" * 100_000, False),
        (b'{"a":' * 100_000, False),
        (b"", False),
    ],
)
def test_which_files_are_entries_of_a_store(head: bytes, *, is_one: bool) -> None:
    """Objects, one a line, of which one has the line of a log."""
    assert is_json_lines(head) == is_one


def _journal(log: bytes, role: str) -> list[dict[str, str]]:
    carried = framings.journal_json(
        log, began_ns=BEGAN_NS[role], host=role, pid=7, machine_id="m" * 32, boot_id="b" * 32
    )
    return [json.loads(line) for line in carried.splitlines()]


def _attributes(fields: dict[str, str]) -> list[object]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in fields.items()]


def _as_otlp(entry: dict[str, str]) -> dict[str, object]:
    time_ns = f"{entry['__REALTIME_TIMESTAMP']}000"
    body = {"kvlistValue": {"values": _attributes(entry)}}
    record = {"timeUnixNano": time_ns, "observedTimeUnixNano": "1900000000000000000", "body": body}
    return {"resource": {}, "scopeLogs": [{"logRecords": [record]}]}


def test_both_hosts_in_one_export(tmp_path: Path) -> None:
    """A Collector that reads the journals of two hosts: records of both in each request, told apart by their fields."""
    logs = logs_of("v53.0-basicv")
    entries = [each for role in ("source", "destination") for each in _journal(logs[role], role)]
    entries.sort(key=lambda each: int(each["__REALTIME_TIMESTAMP"]))
    batches = [entries[at : at + 7] for at in range(0, len(entries), 7)]
    requests = [{"resourceLogs": [_as_otlp(each) for each in batch]} for batch in batches]
    (tmp_path / "logs.jsonl").write_text("".join(f"{json.dumps(request)}\n" for request in requests))
    findings = read_findings([tmp_path / "logs.jsonl"])
    assert not findings.errors
    assert not findings.not_understood
    (trace,) = findings.traces(TraceOptions())
    assert shape_of([trace]) == plain("v53.0-basicv")[0]
    assert {role: resource["host.name"] for role, resource in trace.resources.items()} == {
        "source": "source",
        "destination": "destination",
    }
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    assert abs(trace.root.start_ns - BEGAN_NS["source"]) < 120 * 10**9


def test_a_request_that_is_damaged_costs_its_own_records() -> None:
    """A request that was cut, and values of other types than they should have, leave the others alone."""
    good = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"good"}}]}]}]}'
    bad = [
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stri',
        '{"resourceLogs":{"a":1}}',
        '{"resourceLogs":[1,{"resource":[],"scopeLogs":[{"logRecords":[{"body":"x","attributes":{"a":1}}]}]}]}',
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"key":1},{"key":"a"}]}}}]}]}]}',
        "[]",
        "",
    ]
    data = "\n".join([good, *bad, good]).encode()
    for size in (1, 7, 1 << 20):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        lines = list(otlp_lines(chunks, "x", None, NO_STREAM))
        assert [(line.text, line.where.line) for line in lines] == [("good", 1), ("good", 8)]
