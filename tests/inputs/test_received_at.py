"""When a line was received: what its framing says of the time bounds the time at which it was written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import framings
import pytest
from carried_logs import BEGAN_NS, CARRIERS, logs_of, plain, shape_of
from trace_invariants import traced

from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("carrier", "host"),
    [
        ("journalctl -o json", True),
        ("journalctl -o export", True),
        ("journald short-iso-precise", True),
        ("syslog iso", True),
        ("syslog", True),
        ("cri", False),
        ("docker json-file", False),
        ("docker timestamps", False),
    ],
)
def test_receipts_place_the_trace(carrier: str, tmp_path: Path, *, host: bool) -> None:
    """A transport that stamps lines in full says when a log without a wall clock was written; some name the host."""
    for role, log in logs_of("v53.0-basicv").items():
        (tmp_path / f"{role}.log").write_bytes(CARRIERS[carrier](log, role))
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    began_ns = BEGAN_NS["source"] + 5_504_863_000
    assert 0 <= trace.root.start_ns - began_ns <= 200_000, "150 us to the receipt, and rounding"
    names = {role: resource.get("host.name") for role, resource in trace.resources.items()}
    assert names == ({"source": "source-host", "destination": "destination-host"} if host else dict.fromkeys(names))


@pytest.mark.parametrize("time", ["2026-05-21T06:02:15.54G701Z", "2026-02-30T06:02:15Z", "now", "", "9999-99-99"])
def test_a_damaged_receipt_is_no_receipt(time: str, tmp_path: Path) -> None:
    """A transport's time that is none leaves the line as it is."""
    for role, log in logs_of("v53.0-basicv").items():
        wrapped = CARRIERS["docker json-file"](log, role)
        (tmp_path / f"{role}.log").write_bytes(re.sub(rb'"time":"[^"]*"', b'"time":"%b"' % time.encode(), wrapped))
    assert shape_of(traced(sorted(tmp_path.iterdir()))) == plain("v53.0-basicv")[0]


_SINCE_START = re.compile(rb"cloud-hypervisor: +(\d+)\.(\d{6})s: ")


def _received_at(log: bytes, began_ns: int, head: Callable[[int], str]) -> bytes:
    """Each line after what ``head`` makes of the time at which it was written and, at once, received."""
    ns, found = began_ns, b""
    for line in framings.lf_only(log).splitlines(keepends=True):
        if match := _SINCE_START.match(line):
            ns = began_ns + int(match[1] + match[2]) * 1_000
        found += head(ns).encode() + line
    return found


def _utc(ns: int, digits: int) -> str:
    fraction = f".{ns % 10**9:09d}"[: digits + 1] if digits else ""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _epoch_ns(log: bytes, folder: Path) -> int:
    """When the process's clock read zero, by its transport."""
    (folder / "source.log").write_bytes(log)
    (trace,) = trace_migrations([folder / "source.log"])
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    return int(str(trace.root.attributes["otelmig.clock.epoch.shift"]))


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_a_receipt_is_not_before_the_line(digits: int, tmp_path: Path) -> None:
    """A printed time is cut: the line came up to one last digit later, never earlier than it was written."""
    began_ns = BEGAN_NS["source"] + 123_457_000
    log = _received_at(logs_of("v53.0-dirty")["source"], began_ns, lambda ns: f"{_utc(ns, digits)} stderr F ")
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 10 ** (9 - digits) + 1_000


def test_a_journal_s_receipt_is_not_before_the_line(tmp_path: Path) -> None:
    """The times of journald are cut to microseconds."""
    began_ns = BEGAN_NS["source"] + 123_457_900
    lines = _received_at(logs_of("v53.0-dirty")["source"], began_ns, lambda ns: f"{ns // 1_000}\t").splitlines()
    names = ("__REALTIME_TIMESTAMP", "MESSAGE")
    entries = (dict(zip(names, line.decode().split("\t", 1), strict=True)) for line in lines)
    log = "".join(json.dumps(entry | {"_PID": "1"}) + "\n" for entry in entries).encode()
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000


def test_the_earliest_receipt_counts(tmp_path: Path) -> None:
    """A runtime that was busy took some lines over seconds late: those that it took over at once say when it was."""
    began_ns = BEGAN_NS["source"]
    log = _received_at(
        logs_of("v53.0-dirty")["source"],
        began_ns,
        lambda ns: f"{_utc(ns + (3 * 10**9 if ns // 1_000_000 % 2 else 0), 9)} stderr F ",
    )
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000


def test_the_receipt_nearest_to_the_writer_counts(tmp_path: Path) -> None:
    """A relay stamps what it forwards two seconds late, by a clock of its own: the runtime's stamp is inside."""
    began_ns = BEGAN_NS["source"]

    def relayed(ns: int) -> str:
        return f"{_utc(ns + 2 * 10**9, 6)} collector relay[7]: {_utc(ns, 9)} stderr F "

    log = _received_at(logs_of("v53.0-dirty")["source"], began_ns, relayed)
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000
