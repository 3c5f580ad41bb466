"""Another hypervisor than the first: its package alone reads its logs, and everything after it needs no change.

It says what QEMU says and nothing more: STOP once the vCPUs have stopped, RESUME before they start.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import pytest

from otelmig import pipeline
from otelmig.hypervisors import EndedProcess, ReadingReport
from otelmig.hypervisors.diagnosis import Diagnosis, LineAccount
from otelmig.hypervisors.log_options import LogOptions
from otelmig.migration.constraint import Endpoint, destination_first, source_first
from otelmig.migration.facts import (
    Convergence,
    ConvergenceReason,
    DestinationFacts,
    Downtime,
    Instant,
    MemoryCopy,
    MemoryIteration,
    Pause,
    Resume,
    SourceFacts,
    Terms,
    Window,
)
from otelmig.migration.observation import Observation
from otelmig.migration.side import Mode, Result, Role, Side
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.migration.url import MigrationUrl
from otelmig.migration.vmm import Vmm, fingerprint
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pairing.explanation import explain
from otelmig.pipeline import diagnoses, read_findings
from otelmig.trace import attributes as names
from otelmig.trace.options import TraceOptions
from otelmig.trace.spans import EventName, SpanName
from otelmig.views.doctor_text import render_doctor
from otelmig.views.explain_text import render_explanation
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from otelmig.inputs import Head, InputLog, Line, Stream
    from otelmig.migration.constraint import Constraint
    from otelmig.trace.span import Trace

_SOURCE: Final = """\
qemu 11 MIGRATION setup
qemu 12 MIGRATION active
qemu 20 MIGRATION_PASS
qemu 903 STOP
qemu 950 MIGRATION completed
"""
_DESTINATION: Final = """\
qemu 3 listening
qemu 5 MIGRATION active
qemu 930 RESUME
qemu 932 MIGRATION completed
"""
_ENCLOSED: Final = (("qemu 903", "qemu 901 MIGRATION device\nqemu 903"), ("qemu 932", "qemu 931 ANNOUNCED\nqemu 932"))
"""Lines that enclose the two instants at which the vCPUs stopped and ran."""


class _QemuReader:
    """Reads whole logs, each of which is one process."""

    def __init__(self) -> None:
        self.report = ReadingReport()
        self._lines: dict[str, list[Line]] = {}

    def take(self, line: Line) -> Sequence[Side]:
        self._lines.setdefault(line.stream.key, []).append(line)
        return ()

    def end(self, stream: Stream, tail: Iterable[Line] = ()) -> Sequence[Side]:
        assert not list(tail) or stream.mtime_ns is not None
        observations = tuple(_observation(line) for line in self._lines.pop(stream.key, ()))
        if not observations:
            return ()
        vmm = Vmm(
            key=stream.key,
            system="qemu",
            name=stream.name,
            inputs=(stream.key,),
            domain=ClockDomain.BOOTTIME,
            version=None,
            releases_text="10.1 or later",
            last_ns=observations[-1].stamp.ns,
            last_written_ns=1_780_000_000 * 10**9,
        )
        self.report.processes.append(
            EndedProcess(
                vmm=vmm,
                began=observations[0].stamp,
                fingerprint=fingerprint(observations),
                evidence=len(observations),
            )
        )
        return (_side(vmm, observations),)

    def open(self) -> Sequence[Side]:
        return ()

    def again(self, side: Side) -> Side | None:
        return side

    def under_way(self, key: str) -> frozenset[str]:
        return frozenset({key} & self._lines.keys())

    def fitting(self, side: Side) -> Mapping[str, str]:
        del side
        return {}

    def forget(self, stream: Stream) -> None:
        self._lines.pop(stream.key, None)

    def finish(self) -> Sequence[Side]:
        assert not self._lines
        return ()


def _side(vmm: Vmm, observations: tuple[Observation, ...]) -> Side:
    said = {seen.kind: seen.instant for seen in observations}
    on_source = "STOP" in said
    return Side(
        role=Role.SOURCE if on_source else Role.DESTINATION,
        vmm=vmm,
        attempt=1,
        result=Result.SUCCESS,
        mode=Mode.PRECOPY,
        paused_before=False,
        identity=sha256(observations[0].text.encode()).digest(),
        observations=observations,
        sent=_source_facts(said) if on_source else SourceFacts(),
        received=DestinationFacts() if on_source else _destination_facts(said),
    )


class _Qemu:
    """Lines like ``qemu MILLISECONDS WORDS``."""

    system = "qemu"
    line_begin = re.compile(r"qemu \d+ ")

    def recognises(self, head: Head, options: LogOptions) -> bool:
        return head.data.startswith(b"qemu ") and not options.log_formats

    def line_filter(self, head: Head, options: LogOptions, role: Role | None = None) -> None:
        """Every line counts."""
        assert self.recognises(head, options)
        assert role is None

    def reader(self, options: LogOptions) -> _QemuReader:
        assert not options.log_formats
        return _QemuReader()

    def diagnose(self, log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
        return Diagnosis(
            name=log.name,
            kind="log" if not options.log_formats else "",
            release=", ".join(side.vmm.releases_text for side in sides),
            line_format=None,
            framing=None,
            verbosity=None,
            clock="time since start",
            resolution_ns=None,
            uptime_ns=None,
            attempts={},
            events=(),
            account=LineAccount(used=len(list(log.lines(None)))),
            tells=(),
            gaps=(),
            recommendation="",
        )

    def constraints(self, source: Side, destination: Side, drift_ppb: int) -> Sequence[Constraint]:  # noqa: ARG002 - the protocol names it
        assert (source.vmm.system, destination.vmm.system) == (self.system, self.system)
        begun, active = source.observations[0], destination.observations[1]
        stopped = next(seen for seen in source.observations if seen.kind == "STOP")
        resumed = next(seen for seen in destination.observations if seen.kind == "RESUME")
        return (
            source_first("start", Endpoint.of(begun), Endpoint.of(active)),
            source_first("state", Endpoint.of(stopped), Endpoint.of(resumed)),
            destination_first("end", Endpoint.of(active), Endpoint.of(source.observations[1])),
        )

    def no_offset_fits(self, source: Side, destination: Side, drift_ppb: int) -> bool:  # noqa: ARG002 - as above
        return False

    def length_ns(self, side: Side) -> None:  # noqa: ARG002 - as above
        return None

    def incompatibility(self, source: Side, destination: Side) -> None:
        assert source is not destination

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        assert source is not destination
        return ("a trace file of the destination",)


def _source_facts(said: dict[str, Instant]) -> SourceFacts:
    """STOP comes after the vCPUs stopped: it bounds that instant on one side only, unless a line precedes it."""
    stopped, completed = said["STOP"], said["MIGRATION completed"]
    return SourceFacts(
        begun=said["MIGRATION setup"],
        end=completed,
        terms=Terms(url=MigrationUrl.of("tcp:192.0.2.20:4444")),
        connecting=said["MIGRATION setup"],
        handshake=said["MIGRATION active"],
        answered=True,
        memory=MemoryCopy(
            was_sent=True,
            iterations=(MemoryIteration(number=0, at=said["MIGRATION_PASS"], acknowledged=False),),
            iteration_count=1,
            convergence=Convergence(reason=ConvergenceReason.DOWNTIME_TARGET_MET),
        ),
        pause=Pause(sign=stopped, paused=stopped, stop=Window(first=said.get("MIGRATION device"), last=stopped)),
        downtime=Downtime(end=completed, guest_ran=False),
        handed_over=completed,
    )


def _destination_facts(said: dict[str, Instant]) -> DestinationFacts:
    """RESUME comes before the vCPUs start: it bounds that instant on one side only, unless a line follows it."""
    resumed = said["RESUME"]
    return DestinationFacts(
        begun=said["MIGRATION active"],
        end=said["MIGRATION completed"],
        resume=Resume(resumed=resumed),
        run=Window(first=resumed, last=said.get("ANNOUNCED")),
        took_over=resumed,
        runs=resumed,
        finished=said["MIGRATION completed"],
    )


def _observation(line: Line) -> Observation:
    _, ms, words = line.text.split(maxsplit=2)
    stamp = Stamp(int(ms) * 10**6, 0, ms, ClockDomain.BOOTTIME)
    return Observation(words, stamp, line.where, "main", line.text)


@pytest.fixture(autouse=True)
def qemu(monkeypatch: pytest.MonkeyPatch) -> _Qemu:
    """The second package, alone in the registry."""
    package = _Qemu()
    monkeypatch.setattr(pipeline, "hypervisors", lambda: (package,))
    return package


def _logs(folder: Path, *replacements: tuple[str, str]) -> list[Path]:
    for name, text in (("source.log", _SOURCE), ("destination.log", _DESTINATION)):
        for old, new in replacements:
            text = text.replace(old, new)  # noqa: PLW2901 - each replacement works on the last one's result
        (folder / name).write_text(text)
    return sorted(folder.iterdir())


def _trace(folder: Path, *replacements: tuple[str, str]) -> Trace:
    (trace,) = read_findings(_logs(folder, *replacements)).traces(TraceOptions())
    return trace


def test_every_view_shows_another_hypervisor(tmp_path: Path, qemu: _Qemu) -> None:
    """Waterfall, summary, proof, diagnosis and OTLP of a migration that a second package in the registry has read."""
    findings = read_findings(_logs(tmp_path), pairs=[("source.log", "destination.log")])
    ((migration, trace),) = findings.traced(TraceOptions())
    shown = render_waterfall(trace, width=120, color=False)
    assert "source 10.1 or later -> destination 10.1 or later" in shown
    assert "vCPUs stood still at least 3" in shown
    assert trace.root.attributes[names.VM_MIGRATION_SYSTEM_NAME] == "qemu"
    assert summary(trace)["result"] == "success"
    assert "a trace file of the destination" in render_explanation(trace, explain(migration, qemu), width=120)
    assert b'"qemu.log.dialect"' in json_line(trace)
    examined = [render_doctor(diagnosis, width=120) for diagnosis in diagnoses(findings, LogOptions())]
    assert all("10.1 or later" in text for text in examined)
    assert len(examined) == 2


def test_stop_and_resume_bound_the_blackout_from_below(tmp_path: Path) -> None:
    """The vCPUs stood still at least from STOP to RESUME; nothing encloses that, so nothing bounds it from above."""
    trace = _trace(tmp_path)
    root = trace.root.attributes
    least = root[names.VM_MIGRATION_BLACKOUT_MIN]
    assert isinstance(least, float)
    # the destination's 5 ms lie between the source's 11 and 12 ms: RESUME at 930 ms was at 936 ms or later
    assert 0.032 <= least <= 0.936 - 0.903
    assert names.VM_MIGRATION_BLACKOUT_MAX not in root
    assert trace.first(SpanName.BLACKOUT) is not None


def test_lines_that_enclose_the_instants_bound_the_blackout_from_above(tmp_path: Path) -> None:
    """With a line before the stop and one after the run, the blackout has an upper bound, too."""
    root = _trace(tmp_path, *_ENCLOSED).root.attributes
    least, most = root[names.VM_MIGRATION_BLACKOUT_MIN], root[names.VM_MIGRATION_BLACKOUT_MAX]
    assert isinstance(least, float)
    assert isinstance(most, float)
    assert least < most
    assert root[names.VM_MIGRATION_BLACKOUT_WIDTH_SEMANTIC] == pytest.approx(0.003)


def test_a_window_never_becomes_the_length_of_a_span(tmp_path: Path) -> None:
    """STOP and RESUME are instants: they become events, and neither ``pause`` nor ``resume`` is drawn."""
    for replacements in ((), _ENCLOSED):
        trace = _trace(tmp_path, *replacements)
        assert trace.first(SpanName.PAUSE) is None
        assert trace.first(SpanName.RESUME) is None
        carried = {event.name: span.name for span in trace.spans for event in span.events}
        assert carried == {EventName.VM_PAUSED: SpanName.DOWNTIME, EventName.VM_RESUMED: SpanName.RECEIVE}
