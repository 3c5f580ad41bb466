"""Another hypervisor than the first: its package alone reads its logs, and everything after it needs no change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig import pipeline
from otelmig.hypervisors import EndedProcess, ReadingReport
from otelmig.hypervisors.cloud_hypervisor.attempts import attempts_in
from otelmig.hypervisors.diagnosis import Diagnosis, LineAccount
from otelmig.hypervisors.log_options import LogOptions
from otelmig.migration.constraint import Endpoint, destination_first, source_first
from otelmig.migration.observation import Kind, Observation, Value
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.migration.vmm import Vmm, fingerprint
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pairing.explanation import explain
from otelmig.pipeline import diagnoses, read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.doctor_text import render_doctor
from otelmig.views.explain_text import render_explanation
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pytest

    from otelmig.inputs import Head, InputLog, Line, Stream
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Role, Side

_SOURCE: Final = """\
qemu 10 send_requested
qemu 11 send_started url=tcp:192.0.2.20:4444
qemu 12 iteration_sent iteration=0
qemu 900 convergence_decided reason=switchover
qemu 901 vm_pausing
qemu 903 vm_paused
qemu 950 completed
"""
_DESTINATION: Final = """\
qemu 3 receive_started
qemu 5 accepted
qemu 930 vm_resuming
qemu 931 vm_resumed
qemu 932 receive_finished
"""


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
            vcpus_resume_first=False,
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
        return [attempt.side(vmm, final=True) for attempt in attempts_in(observations)]

    def open(self) -> Sequence[Side]:
        return ()

    def finish(self) -> Sequence[Side]:
        assert not self._lines
        return ()


class _Qemu:
    """Lines like ``qemu MILLISECONDS KIND [NAME=VALUE]``."""

    system = "qemu"

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
            transport=None,
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

    def constraints(self, source: Side, destination: Side) -> Sequence[Constraint]:
        assert (source.vmm.system, destination.vmm.system) == (self.system, self.system)
        begun, accepted = source.observations[0], destination.observations[1]
        resumed, completed = destination.observations[-2], source.observations[-1]
        return (
            source_first("start", Endpoint.of(begun), Endpoint.of(accepted)),
            destination_first("end", Endpoint.of(resumed), Endpoint.of(completed)),
        )

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        assert source is not destination
        return ("a trace file of the destination",)


def _observation(line: Line) -> Observation:
    _, ms, kind, *printed = line.text.split()
    values: dict[str, Value] = {}
    for each in printed:
        name, _, value = each.partition("=")
        values[name] = int(value) if value.isdigit() else value
    stamp = Stamp(int(ms) * 10**6, 0, ms, ClockDomain.BOOTTIME)
    return Observation(Kind(kind), stamp, line.where, "main", line.text, values)


def test_every_view_shows_another_hypervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waterfall, summary, proof, diagnosis and OTLP of a migration that a second package in the registry has read."""
    qemu = _Qemu()
    monkeypatch.setattr(pipeline, "hypervisors", lambda: (qemu,))
    for name, text in (("source.log", _SOURCE), ("destination.log", _DESTINATION)):
        (tmp_path / name).write_text(text)
    findings = read_findings(sorted(tmp_path.iterdir()), pairs=[("source.log", "destination.log")])
    ((migration, trace),) = findings.traced(TraceOptions())
    shown = render_waterfall(trace, width=120, color=False)
    assert "source 10.1 or later -> destination 10.1 or later" in shown
    assert "converged: switchover" in shown
    assert trace.root.attributes["vm.migration.system.name"] == "qemu"
    assert summary(trace)["result"] == "success"
    explanation = explain(migration, qemu)
    assert "a trace file of the destination" in render_explanation(trace, explanation, width=120)
    assert b'"qemu.log.dialect"' in json_line(trace)
    examined = [render_doctor(found, width=120) for found in diagnoses(findings, LogOptions())]
    assert all("10.1 or later" in text for text in examined)
    assert len(examined) == 2
