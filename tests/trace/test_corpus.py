"""Recordings of real migrations, held against what was measured from outside while they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from golden_text import GOLDEN, golden_text
from trace_invariants import CORPUS, RECORDINGS, check_traces, inputs, recorded, traced, truth

if TYPE_CHECKING:
    from otelmig.trace.span import Trace

_MS = 10**6
_WITH_WALL_CLOCKS = ("v52.0-twohosts-connections", "v52.0-twohosts-drift", "v53.0-twohosts")


def _attempts(name: str) -> list[tuple[Trace, dict[str, Any]]]:
    wanted = truth(name)["attempts"]
    assert len(recorded(name)) == len(wanted)
    return list(zip(recorded(name), wanted, strict=True))


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_forest_is_valid(name: str) -> None:
    """Spans nest, tile, and lie on whole microseconds; ids are unique; attributes are in the table."""
    check_traces(recorded(name))


@pytest.mark.parametrize("name", RECORDINGS)
def test_golden_trace(name: str) -> None:
    """The whole tree with its attributes is as reviewed (`make golden` rewrites it)."""
    assert golden_text(recorded(name)) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", RECORDINGS)
def test_attempts_end_as_they_did(name: str) -> None:
    """Each attempt has the result and the number of memory iterations that were read from outside."""
    for trace, wanted in _attempts(name):
        root = trace.root.attributes
        assert root["vm.migration.result"] == wanted["result"]
        assert root["vm.migration.memory.iteration.count"] == wanted["iterations"]
        assert (trace.root.error is not None) == (wanted["result"] in ("failure", "timeout") or "error.type" in root)


@pytest.mark.parametrize("name", RECORDINGS)
def test_downtime_is_the_printed_one(name: str) -> None:
    """The span lasts the printed whole milliseconds, and its attributes carry the printed parts."""
    for trace, wanted in _attempts(name):
        if "downtime_ms" not in wanted:
            continue
        span = trace.first("downtime")
        assert span is not None
        assert span.duration_ns // _MS == wanted["downtime_ms"]
        assert span.attributes["vm.migration.downtime.duration"] == wanted["downtime_ms"] / 1000
        names = {"final_iter": "final_delta", "state": "snapshot", "send_state": "send", "complete": "complete"}
        for key, ms in wanted.get("breakdown_ms", {}).items():
            assert span.attributes[f"vm.migration.downtime.{names[key]}.duration"] == ms / 1000


@pytest.mark.parametrize("name", _WITH_WALL_CLOCKS)
def test_measured_clock_offset_lies_in_the_proved_interval(name: str) -> None:
    """The offset that the hosts measured by exchanging stamps is inside what causality proves."""
    (trace,) = recorded(name)
    receive = trace.first("receive")
    assert receive is not None
    lo, hi = (float(receive.attributes[f"otelmig.clock.offset.{end}"]) * 1e9 for end in ("min", "max"))  # type: ignore[arg-type] # doubles
    after = truth(name)["clock_offset_ns"]["after"]
    assert lo <= after[1]
    assert hi >= after[0]


@pytest.mark.parametrize("name", RECORDINGS)
def test_blackout_is_no_longer_than_what_was_seen(name: str) -> None:
    """The guest was silent at least as long as the proved minimum; the maximum is at most the downtime and 1 ms."""
    for trace, wanted in _attempts(name):
        root = trace.root.attributes
        if "vm.migration.blackout.min" not in root:
            continue
        least, best, most = (float(root[f"vm.migration.blackout.{end}"]) for end in ("min", "duration", "max"))  # type: ignore[arg-type] # doubles
        assert 0 <= least <= best <= most
        if "downtime_ms" in wanted:
            assert most * 1000 <= wanted["downtime_ms"] + 1
        silence = truth(name).get("guest_silence")
        if silence and trace is recorded(name)[-1]:
            assert least * 1e9 <= silence["silence_ns"]


@pytest.mark.parametrize("name", ["v52.0-paused", "v53.0-paused"])
def test_a_paused_guest_has_no_blackout(name: str) -> None:
    """Pause and resume were the operator's: no pause in the downtime, no resume, no blackout is claimed."""
    (trace,) = recorded(name)
    assert trace.root.attributes["vm.migration.vm_was_paused"] is True
    assert trace.root.attributes["vm.migration.guest.running"] is False
    assert not {"pause", "resume", "blackout"} & {span.name for span in trace.spans}


def test_rollback_after_a_failed_postcopy() -> None:
    """A failure in the downtime: ERROR on the phase that failed, a rollback, and an exact blackout on one clock."""
    (trace,) = recorded("v53.0-postcopy")
    send, downtime, rollback = trace.first("send"), trace.first("downtime"), trace.first("rollback")
    assert send is not None
    assert downtime is not None
    assert rollback is not None
    assert send.error is not None
    assert downtime.error is not None
    assert trace.root.attributes["error.type"] == "restore_failed"
    assert trace.root.attributes["vm.migration.guest.location"] == "source"
    assert trace.root.attributes["vm.migration.guest.running"] is True


def test_a_guest_dies_with_the_destination_that_has_it() -> None:
    """The log ends at the resume; the crash report beside it says that the process was killed, guest and all."""
    folder = CORPUS / "v48.0-seccomp"
    (trace,) = traced([*inputs(folder.name), *folder.glob("*.stderr")])
    assert trace.root.attributes["vm.migration.result"] == "success"
    assert trace.root.attributes["vm.migration.guest.location"] == "none"
    assert trace.root.attributes["vm.migration.guest.running"] is False
    assert trace.root.attributes["otelmig.evidence.guest"] == "destination.stderr:2"


def test_a_killed_source_is_unknown_and_its_peer_says_so() -> None:
    """What stops without a word is unknown; the destination's end of file is ERROR there and named on the root."""
    (trace,) = recorded("v52.0-oomkilled")
    receive = trace.first("receive")
    assert receive is not None
    assert receive.attributes["error.type"] == "peer_aborted"
    assert "destination saw the connection end" in (trace.root.error or "")


def test_writing_dirty_tables_is_accounted() -> None:
    """The observer's own cost: the tables written inside the downtime of this recording took 57 ms."""
    (trace,) = recorded("v53.0-linux")
    spent = trace.root.attributes["vm.migration.logging.duration"]
    assert isinstance(spent, float)
    assert int(spent * 1000) == 57


@pytest.mark.parametrize(
    ("name", "expected"), [("head-conn4", 4), ("v53.0-conn4", 4), ("v52.0-oomkilled", 4), ("v53.0-dirty", 1)]
)
def test_connections_are_counted(name: str, expected: int) -> None:
    """Several connections carry memory: their number is the requested one."""
    assert recorded(name)[-1].root.attributes["vm.migration.connection.count"] == expected


def test_a_guest_whose_destination_was_killed_is_gone() -> None:
    """Both processes were killed right after the migration completed: it succeeded, and nobody has the guest."""
    folder = CORPUS / "v48.0-seccomp"
    (trace,) = traced([*inputs(folder.name), *sorted(folder.glob("*.stderr"))])
    check_traces([trace])
    root = trace.root.attributes
    assert root["vm.migration.result"] == "success"
    assert root["vm.migration.guest.location"] == "none"
    assert root["vm.migration.guest.running"] is False
    assert root["otelmig.evidence.guest"] == "destination.stderr:2"
