"""Whatever carried a log, it tells the same story: containers, syslog, the journal."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import framings
import pytest
from carried_logs import BEGAN_NS, CARRIERS, PROCESS_IDS, logs_of, plain, prefixed, shape_of
from command_run import run_command
from sample import dealt
from trace_invariants import anchored_findings, check_traces, traced

from otelmig.inputs.framing.prefixes import FRAMINGS
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from pathlib import Path


_NAMES = ("v48.0-basic", "v51.1-noisy", "v53.0-basicv", "v53.0-retry")


@pytest.mark.parametrize(("carrier", "name"), dealt(list(CARRIERS), _NAMES))
def test_same_story_by_any_transport(carrier: str, name: str, tmp_path: Path) -> None:
    """The transport comes off, and the trace is the one of the plain logs, ids included.

    A sample: each transport with one recording, in turn; `make fuzz` tries all.
    """
    for role, log in logs_of(name).items():
        (tmp_path / f"{role}.log").write_bytes(CARRIERS[carrier](log, role))
    findings = anchored_findings(sorted(tmp_path.iterdir()))
    assert not findings.errors
    assert not findings.not_understood
    traces = list(findings.traces(TraceOptions()))
    check_traces(traces)
    assert (shape_of(traces), tuple(trace.trace_id for trace in traces)) == plain(name)


@pytest.mark.parametrize("limit", [150, 220, 400])
def test_lines_that_a_container_runtime_cut(limit: int, tmp_path: Path) -> None:
    """CRI marks the pieces of a line with ``P``: they are one line again, and none is lost."""
    for role, log in logs_of("v53.0-dirty").items():
        (tmp_path / f"{role}.log").write_bytes(framings.cri(log, began_ns=BEGAN_NS[role], limit=limit))
    assert b" stderr P " in (tmp_path / "source.log").read_bytes()
    paths = sorted(tmp_path.iterdir())
    assert not read_findings(paths).not_understood
    assert shape_of(traced(paths)) == plain("v53.0-dirty")[0]


def test_lines_longer_than_docker_keeps_whole(tmp_path: Path) -> None:
    """A configuration of more than 16 KiB comes in pieces; what it says at its end is known all the same."""
    log = logs_of("v53.0-basicv")["source"]
    long = log.replace(b"memory: MemoryConfig", b'disks: Some("%b"), memory: MemoryConfig' % (b"/dev/x " * 3_000))
    assert max(map(len, long.splitlines())) > 1 << 14
    (tmp_path / "source.log").write_bytes(framings.docker_json(long, began_ns=BEGAN_NS["source"]))
    (trace,) = traced([tmp_path / "source.log"])
    assert trace.root.attributes["vm.memory.size"] == 256 << 20


def test_the_host_is_the_one_that_wrote_the_line(tmp_path: Path) -> None:
    """A syslog that was forwarded to a collector: the collector's name is not the host's."""
    for role, log in logs_of("v53.0-basicv").items():
        own = CARRIERS["syslog iso"](log, role)
        (tmp_path / f"{role}.log").write_bytes(prefixed(own, b"2026-05-21T06:02:15.542701+00:00 collector relay[7]: "))
    (trace,) = traced(sorted(tmp_path.iterdir()))
    names = {role: resource["host.name"] for role, resource in trace.resources.items()}
    assert names == {"source": "source-host", "destination": "destination-host"}


@pytest.mark.parametrize("output", [("-o", "-"), ("--json",), ()])
def test_a_host_named_by_its_address(output: tuple[str, ...], tmp_path: Path) -> None:
    """Some syslogs give an address for the host: it leaves the machine unless ``--no-addresses`` is given."""
    address = "198.51.100.77"
    for role, log in logs_of("v53.0-basicv").items():
        carried = framings.syslog_rfc3339(log, began_ns=BEGAN_NS[role], host=address, pid=PROCESS_IDS[role])
        (tmp_path / f"{role}.log").write_bytes(carried)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    if output == ("-o", "-"):
        assert address in run_command(["trace", *output, *paths]).stdout
    kept = run_command(["trace", *output, "--no-addresses", *paths])
    assert kept.code == 0
    assert address not in kept.stdout + kept.stderr


def test_no_framing_is_passed_over() -> None:
    """Whatever a line of a framing may begin with, the framing says so: it is not tried on others."""
    lines = {
        line
        for carry in CARRIERS.values()
        for line in carry(logs_of("v53.0-basicv")["source"], "source").decode("utf-8", "replace").split("\n")[:3]
    }
    tried = [
        (framing, first)
        for framing in FRAMINGS
        for line in sorted(lines)
        if framing.unwrap(line) is not None
        for first in ("", "\ufeff", *string.printable)
        if framing.unwrap(first + line[len(first) :]) is not None or framing.unwrap(first + line) is not None
    ]
    assert {framing.name for framing, _ in tried} == {framing.name for framing in FRAMINGS}
    for framing, first in tried:
        assert not framing.begins or not first or first in framing.begins, f"{framing.name}: {first!r}"
