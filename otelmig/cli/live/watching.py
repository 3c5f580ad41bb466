"""A watcher from its options: the files, the state, the outlet, and what is shown while migrations happen."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import clear_status, say, show_status
from otelmig.cli.envelope import RunReport
from otelmig.cli.live.outlet import FINISH_S, live_outlet, notify, print_json, show_waterfall
from otelmig.cli.options.environment import resource_attributes
from otelmig.cli.options.live import live_options, state_directory
from otelmig.cli.options.log import log_options
from otelmig.hypervisors import hypervisors
from otelmig.inputs import Host
from otelmig.inputs.tailing import Tailer, target_of
from otelmig.live.assembly import Assembly
from otelmig.live.local.watcher import Watcher
from otelmig.live.state.database import State
from otelmig.migration.side import Result
from otelmig.printable import shown_name
from otelmig.trace import attributes as names
from otelmig.trace.options import TraceOptions
from otelmig.views.summary import summary
from otelmig.views.units import duration, plural, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from otelmig.cli.envelope import Envelope
    from otelmig.inputs.tailing import FileGone
    from otelmig.live.drawing import Finished
    from otelmig.live.local.under_way import UnderWay
    from otelmig.live.past import LateFate

__all__ = ["watch"]

_MACHINE_ID: Final = Path("/etc/machine-id")


class _Report(RunReport):
    """What became of the migrations while they were watched."""

    schema: ClassVar[str] = "otelmig.watch/1"

    def __init__(self, *, once: bool) -> None:
        super().__init__()
        self.watcher: Watcher | None = None
        self.is_safe = True
        """Whether nothing was lost."""
        self.once = once
        self.first_result: str | None = None
        """How the first migration ended."""

    @property
    def complete(self) -> bool:
        """Whether everything was exported, or is kept."""
        return self.is_safe

    @property
    def nothing_found(self) -> bool:
        """Whether a migration was waited for and none came."""
        return self.once and self.first_result is None

    @property
    def check_failed(self) -> bool:
        """Whether the one migration that was waited for did not succeed."""
        return self.once and self.first_result not in (None, Result.SUCCESS)

    def account(self) -> str:
        """Return how many migrations were traced, and what became of the traces."""
        if self.watcher is None:
            return "nothing was watched"
        tally, outlet = self.watcher.assembly.tally, self.watcher.outlet
        parts = [f"{plural(tally.traces, 'migration')} traced ({tally.paired} with both sides)"]
        if outlet.file is not None:
            parts.append(f"{outlet.counts.written} written to {outlet.file.path.name}")
        if outlet.open_delivery is not None:
            parts.append(outlet.account.words())
        waiting = sum(1 for _ in self.watcher.assembly.sides)
        if waiting:
            parts.append(f"{plural(waiting, 'side')} under way, kept in the state")
        return ", ".join(parts)

    def document(self) -> Mapping[str, object]:
        """Return nothing: each event has had its line."""
        return {}


class _Teller:
    """Says what happens while it happens: on the terminal, or as a line of JSON for each event."""

    def __init__(self, arguments: argparse.Namespace, envelope: Envelope, report: _Report) -> None:
        self._as_json: bool = arguments.json
        self._is_quiet: bool = arguments.quiet
        self._envelope = envelope
        self._report = report
        self._told: dict[tuple[str, str], tuple[object, ...]] = {}
        """What was told last of each migration that is under way, by its sides."""

    def traced(self, finished: Finished) -> None:
        """Tell of a trace that is safe."""
        self._report.first_result = self._report.first_result or str(
            finished.trace.root.attributes[names.VM_MIGRATION_RESULT]
        )
        if self._as_json:
            self._event("traced", migration=summary(finished.trace))
        elif not self._is_quiet:
            show_waterfall(self._envelope, finished)

    def gone(self, gone: FileGone) -> None:
        """Tell that nobody writes a log any more."""
        if self._as_json:
            self._event("closed", log=gone.name)

    def fate(self, fate: LateFate) -> None:
        """Tell what became of a guest."""
        if self._as_json:
            self._event("fate", trace_id=fate.trace_id, fate=fate.fate, evidence=fate.evidence)
        else:
            say(f"trace {fate.trace_id}: its guest was {fate.fate} since ({fate.evidence})")

    def under_way(self, migrations: Sequence[UnderWay]) -> None:
        """Tell what is under way: on a terminal always, to scripts where it changed."""
        if not self._as_json:
            if migrations:
                show_status(*(_fields(each) for each in migrations))
            else:
                clear_status()
            return
        before, self._told = self._told, {}
        for each in migrations:
            logs = _logs(each)
            key = (logs["source"] or "", logs["destination"] or "")
            state = (each.phase, each.memory_pass)
            self._told[key] = state
            if before.get(key) != state:
                self._event(
                    "progress",
                    logs=logs,
                    phase=each.phase,
                    age_s=round(each.age_s, 3),
                    iteration=each.memory_pass,
                    sent_bytes=each.sent_bytes,
                    downtime_estimate_s=None if each.downtime_estimate_ns is None else each.downtime_estimate_ns / 1e9,
                )

    def _event(self, event: str, **values: object) -> None:
        time_text = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        print_json(self._envelope, {"schema": _Report.schema, "event": event, "time": time_text, **values})


def _logs(migration: UnderWay) -> dict[str, str | None]:
    sides = {"source": migration.source, "destination": migration.destination}
    return {role: None if side is None else side.name for role, side in sides.items()}


def _fields(migration: UnderWay) -> list[str]:
    """Return what the terminal shows of a migration, the most important first."""
    names_ = [name for name in _logs(migration).values() if name]
    fields = [" -> ".join(names_), migration.phase]
    if migration.memory_pass is not None:
        fields.append(f"iteration {migration.memory_pass}")
    if migration.sent_bytes is not None:
        fields.append(size(migration.sent_bytes))
    if migration.downtime_estimate_ns is not None:
        fields.append(f"downtime would be {duration(migration.downtime_estimate_ns)}")
    return [*fields, f"{migration.age_s:.1f} s"]


def watch(arguments: argparse.Namespace, envelope: Envelope) -> None:
    """Watch until a signal says that it is enough, the one migration has ended, or the time is over."""
    envelope.as_json = False  # each event is a line; there is no document at the end
    report = _Report(once=arguments.once)
    envelope.report = report
    stopped: list[int] = []

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        if report.watcher is not None:
            report.watcher.stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    targets = [target_of(text) for text in arguments.targets]
    directory = state_directory(arguments, os.environ, "watch")
    trace = TraceOptions(resource=resource_attributes(os.environ), addresses=not arguments.no_addresses)
    options = live_options(arguments, log_options(arguments), trace)
    teller = _Teller(arguments, envelope, report)
    with ExitStack() as stack:
        state = stack.enter_context(State(directory, most_bytes=options.state_bytes))
        outlet = live_outlet(arguments, directory, stack, teller.traced)
        tailer = Tailer(targets=targets, host=this_host(), say=say)
        stack.callback(tailer.close)
        assembly = Assembly(hypervisors={each.system: each for each in hypervisors()}, options=options, state=state)
        watcher = report.watcher = Watcher(
            state=state,
            assembly=assembly,
            outlet=outlet,
            sources=[tailer],
            say=say,
            on_fate=teller.fate,
            on_gone=teller.gone,
            on_under_way=teller.under_way if arguments.json or envelope.progress.is_shown else None,
            enough=lambda: arguments.once and report.first_result is not None,
        )
        outlet.wake = watcher.wake
        if stopped:
            watcher.stop()
        say(f"following {', '.join(map(shown_name, arguments.targets))}")
        until_s = None if arguments.end_after is None else time.monotonic() + arguments.end_after
        outlet.start()
        watcher.restore()
        notify("READY=1")
        watcher.run(until_s)
        notify("STOPPING=1")
        clear_status()
        report.is_safe = watcher.finish(FINISH_S)


def this_host() -> Host:
    """Return this machine; its addresses are left out, since a hypervisor may have others in a namespace of its own."""
    machine = ""
    with suppress(OSError):
        machine = _MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    return Host(name=socket.gethostname() or None, id=machine or None)
