"""Logs that stop in the middle of a downtime: what is known of it, and what the other side's own end says (nothing)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, check_traces

from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.headline import headline
from otelmig.views.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otelmig.trace.span import Span, Trace

_PAUSING = {"head-postcopy": b"event = pausing", "v53.0-dirty": b"event = pausing", "v48.0-basic": b"Pausing virtio"}
_COMPLETED = b"Migration complete"


def _log(name: str, role: str) -> bytes:
    return (CORPUS / name / f"{role}.log").read_bytes()


@cache
def _stops(name: str) -> tuple[int, ...]:
    """After how many lines the source's log may stop within the downtime."""
    lines = _log(name, "source").splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if _PAUSING[name] in line)
    last = next(number for number, line in enumerate(lines) if _COMPLETED in line)
    return tuple(range(first + 1, last + 1))


def _traced(folder: Path, source: bytes, destination: bytes | None) -> Trace:
    (folder / "source.log").write_bytes(source)
    if destination is not None:
        (folder / "destination.log").write_bytes(destination)
    (trace,) = read_findings(sorted(folder.iterdir())).traces(TraceOptions())
    check_traces([trace])
    return trace


def _cut(name: str, lines: int) -> bytes:
    return b"".join(_log(name, "source").splitlines(keepends=True)[:lines])


def _downtime(trace: Trace) -> Span:
    span = trace.first("downtime")
    assert span is not None
    return span


def _text(trace: Trace) -> str:
    return "\n".join(text for text, _ in headline(trace, width=200))


_CUTS = [(name, lines) for name in _PAUSING for lines in _stops(name)]


@pytest.mark.parametrize(("name", "lines"), _CUTS)
def test_an_open_downtime_ends_where_the_guest_ran(name: str, lines: int, tmp_path: Path) -> None:
    """Wherever the source's log stops, the destination says by when the guest ran; it is no failure of anybody."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = _traced(tmp_path / "whole", _log(name, "source"), _log(name, "destination"))
    trace = _traced(tmp_path / "cut", _cut(name, lines), _log(name, "destination"))
    assert trace.root.attributes["vm.migration.result"] == "unknown"
    assert trace.root.error is None
    assert "error.type" not in trace.root.attributes
    span = _downtime(trace)
    assert span.attributes["vm.migration.downtime.open"] is True
    assert abs(span.duration_ns - _downtime(whole).duration_ns) < 60 * 10**6
    most = span.attributes.get("vm.migration.downtime.max")
    if most is None:
        assert "downtime not known: its end is not logged" in _text(trace)
    else:
        blackout_min = float(str(whole.root.attributes.get("vm.migration.blackout.min", 0)))
        assert blackout_min <= float(str(most))
        assert "downtime at most " in _text(trace)


@pytest.mark.parametrize("name", ["head-postcopy", "v53.0-dirty"])
def test_the_blackout_of_an_open_downtime_is_no_tighter(name: str, tmp_path: Path) -> None:
    """The destination's line says when the guest ran, and the source's when it stopped: nothing more is needed."""
    (tmp_path / "whole").mkdir()
    whole = _traced(tmp_path / "whole", _log(name, "source"), _log(name, "destination")).root.attributes
    bounded = 0
    for lines in _stops(name):
        folder = tmp_path / str(lines)
        folder.mkdir()
        root = _traced(folder, _cut(name, lines), _log(name, "destination")).root.attributes
        if "vm.migration.blackout.max" not in root:
            continue
        bounded += 1
        assert float(str(root["vm.migration.blackout.min"])) <= float(str(whole["vm.migration.blackout.min"])) + 1e-6
        assert float(str(root["vm.migration.blackout.max"])) >= float(str(whole["vm.migration.blackout.max"])) - 1e-6
    assert bounded


def test_the_destination_s_own_end_says_nothing_of_the_source(tmp_path: Path) -> None:
    """It was told to end, so its pager lost the pages; without that, the same lines say that the source has gone."""
    name = "head-postcopy"
    lines = _stops(name)[-1]
    (tmp_path / "told").mkdir()
    told = _traced(tmp_path / "told", _cut(name, lines), _log(name, "destination"))
    assert told.root.error is None
    log = _log(name, "destination").splitlines(keepends=True)
    kept = b"".join(line for line in log if b"VmmShutdown" not in line)
    (tmp_path / "gone").mkdir()
    gone = _traced(tmp_path / "gone", _cut(name, lines), kept)
    assert gone.root.attributes["error.type"] == "peer_aborted"
    assert _downtime(gone).duration_ns < 10**9
    postcopy = gone.first("postcopy")
    assert postcopy is not None
    assert postcopy.error is not None


def test_a_signal_ends_a_destination_as_a_call_does(tmp_path: Path) -> None:
    """No call, but the process says that it ends."""
    log = _log("head-postcopy", "destination")
    at = log.index(b"API request event: VmmShutdown")
    by_signal = log[:at] + b"VM exit event" + log[at + len(b"API request event: VmmShutdown") :]
    trace = _traced(tmp_path, _cut("head-postcopy", _stops("head-postcopy")[-1]), by_signal)
    assert trace.root.error is None


def _without(log: bytes, *words: bytes) -> bytes:
    return b"".join(line for line in log.splitlines(keepends=True) if not any(word in line for word in words))


@pytest.mark.parametrize(
    ("both_sides", "lost"),
    [(True, (_COMPLETED,)), (True, (_COMPLETED, b"Downtime breakdown")), (False, (_COMPLETED, b"Downtime breakdown"))],
)
def test_without_the_completion_line_a_downtime_is_at_most(
    lost: tuple[bytes, ...], tmp_path: Path, *, both_sides: bool
) -> None:
    """That the migration finished is said later, so it bounds the downtime from above only."""
    name = "v53.0-dirty"
    destination = _log(name, "destination") if both_sides else None
    trace = _traced(tmp_path, _without(_log(name, "source"), *lost), destination)
    assert trace.root.attributes["vm.migration.result"] == "success"
    document = summary(trace)["downtime"]
    assert isinstance(document, dict)
    assert document["duration_s"] is None
    assert document["open"] is True
    assert 0.393 < document["max_s"] < 0.6
    assert "downtime at most " in _text(trace)


def _stopped_alone(log: bytes) -> bytes:
    return b"".join(log.splitlines(keepends=True)[: _stops("v53.0-dirty")[3]])


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (_stopped_alone, "downtime not known: its end is not logged"),
        (
            lambda log: log[: log.index(b"Precopy: iter=1")].rpartition(b"\n")[0],
            "unknown: the source's log stops before",
        ),
    ],
    ids=["in the downtime", "while copying"],
)
def test_a_log_that_stops_claims_nothing_of_what_follows(
    part: Callable[[bytes], bytes], says: str, tmp_path: Path
) -> None:
    """Whether, and for how long, the guest was stopped afterwards is not known."""
    trace = _traced(tmp_path, part(_log("v53.0-dirty", "source")) + b"\n", None)
    assert says in _text(trace)
    assert "the guest was not stopped" not in _text(trace)


def test_a_destination_that_is_told_to_end_did_not_fail(tmp_path: Path) -> None:
    """It had not fetched every page, so the span is partial; what its pager says afterwards is no error of its own."""
    trace = _traced(tmp_path, _log("head-postcopy", "source"), _log("head-postcopy", "destination"))
    prefault = trace.first("prefault")
    assert prefault is not None
    assert prefault.error is None
    assert prefault.attributes["otelmig.evidence.completeness"] == "partial"
    assert prefault.attributes["otelmig.evidence.end"] == "destination.log:44"


@pytest.mark.parametrize(
    ("name", "begin"),
    [("v53.0-dirty", b"Command 'State'"), ("head-postcopy", b"Command 'State'"), ("v52.0-basic", b"restoring")],
)
def test_both_logs_may_stop_anywhere(name: str, begin: bytes, tmp_path: Path) -> None:
    """Nothing that is claimed of two logs that stop contradicts, or is tighter than, what the whole ones say."""
    sent, received = (_log(name, role).splitlines(keepends=True) for role in ("source", "destination"))
    (tmp_path / "whole").mkdir()
    whole = _traced(tmp_path / "whole", b"".join(sent), b"".join(received)).root.attributes
    least, most = (float(str(whole[f"vm.migration.blackout.{end}"])) for end in ("min", "max"))
    first = next(number for number, line in enumerate(sent) if b"event = pausing" in line)
    arrived = next(number for number, line in enumerate(received) if begin in line)
    for one in range(first + 1, first + 16, 4):
        for other in range(arrived + 1, min(arrived + 30, len(received)), 3):
            for path, lines in (
                (tmp_path / "source.log", sent[:one]),
                (tmp_path / "destination.log", received[:other]),
            ):
                path.write_bytes(b"".join(lines))
            for trace in read_findings([tmp_path / "source.log", tmp_path / "destination.log"]).traces(TraceOptions()):
                root, downtime = trace.root.attributes, trace.first("downtime")
                assert root.get("error.type") != "peer_aborted"
                assert float(str(root.get("vm.migration.blackout.min", 0))) <= least + 1e-6
                assert float(str(root.get("vm.migration.blackout.max", 1e9))) >= most - 1e-6
                if downtime is not None:
                    assert float(str(downtime.attributes.get("vm.migration.downtime.max", 1e9))) >= least
