"""A watcher from its options: the files, the state, the outlet, and what is shown while migrations happen."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from otelmig.cli.console import clear_status, say, show_status
from otelmig.cli.live.report import LiveReport
from otelmig.cli.live.servers import bound_servers, start_servers, stop_servers
from otelmig.cli.live.work import finish, live_work, notify, on_signals, print_json, show_waterfall
from otelmig.cli.options.intake import check_intake_arguments
from otelmig.inputs import Host
from otelmig.inputs.tailing import Journal, Tailer, Target, Unit, check_journal, target_of, unit_of
from otelmig.live.local.listening import Listening
from otelmig.live.local.watcher import Watcher
from otelmig.live.sides import OVER
from otelmig.migration.side import Result, Role
from otelmig.printable import shown_name
from otelmig.trace import attributes as names
from otelmig.units import SECOND_NS
from otelmig.views.headline import FATE_WORDS
from otelmig.views.summary import summary
from otelmig.views.units import duration, plural, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from otelmig.cli.envelope import Envelope
    from otelmig.inputs.tailing import FileGone
    from otelmig.live.drawing import Finished
    from otelmig.live.local.listening import AnnouncedCounts
    from otelmig.live.local.under_way import UnderWay
    from otelmig.live.local.watcher import Source
    from otelmig.live.past import LateFate

__all__ = ["watch"]

_FLUSH_S: Final = 60.0
"""At most so many seconds of lines are read again after the process was killed."""
_MACHINE_ID: Final = Path("/etc/machine-id")


class _Report(LiveReport):
    """What became of the migrations while they were watched."""

    schema: ClassVar[str] = "otelmig.watch/1"

    def __init__(self, *, once: bool) -> None:
        super().__init__()
        self.watcher: Watcher | None = None
        self.once = once
        self.first_result: str | None = None
        """How the first migration ended."""

    @property
    def nothing_found(self) -> bool:
        """Whether a migration was waited for and none came."""
        return self.once and self.first_result is None

    @property
    def check_failed(self) -> bool:
        """Whether the one migration that was waited for did not succeed."""
        return self.once and self.first_result not in (None, Result.SUCCESS)


class _Teller:
    """Says what happens while it happens: on the terminal, or as a line of JSON for each event."""

    def __init__(self, arguments: argparse.Namespace, envelope: Envelope, report: _Report) -> None:
        self._as_json: bool = arguments.json
        self._is_quiet: bool = arguments.quiet
        self._envelope = envelope
        self._report = report
        self._told: dict[tuple[str, str], tuple[object, ...]] = {}
        """What was told last of each migration that is under way, by its sides."""
        self._is_shown = envelope.progress.is_shown and not arguments.json
        self._rows: list[list[str]] = []
        self._waiting = 0
        """Migrations that were announced, without a trace."""

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
            say(f"trace {fate.trace_id}: afterwards its guest {FATE_WORDS[fate.fate]} ({fate.evidence})")

    def announced(self, counts: AnnouncedCounts) -> None:
        """Tell how many migrations were announced, and what came of it."""
        self._waiting = counts.waiting
        if self._as_json:
            self._event("announcements", **counts._asdict())
        elif self._is_shown:
            self._show()

    def under_way(self, migrations: Sequence[UnderWay]) -> None:
        """Tell what is under way: on a terminal always, to scripts where it changed."""
        if not self._as_json:
            self._rows = [_fields(migration) for migration in migrations]
            self._show()
            return
        before, self._told = self._told, {}
        for migration in migrations:
            logs = _logs(migration)
            key = (logs["source"] or "", logs["destination"] or "")
            state = (migration.phase, migration.iteration)
            self._told[key] = state
            if before.get(key) != state:
                self._event(
                    "progress",
                    logs=logs,
                    phase=migration.phase,
                    age_s=round(migration.age_s, 3),
                    iteration=migration.iteration,
                    sent_bytes=migration.sent_bytes,
                    downtime_estimate_s=None
                    if migration.downtime_estimate_ns is None
                    else migration.downtime_estimate_ns / SECOND_NS,
                )

    def _show(self) -> None:
        """Show what is under way, and what was announced, on the terminal."""
        announced = [[f"{plural(self._waiting, 'migration')} announced, without a trace"]] if self._waiting else []
        rows = [*self._rows, *announced]
        if rows:
            show_status(*rows)
        else:
            clear_status()

    def _event(self, event: str, **values: object) -> None:
        time_text = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        print_json(self._envelope, {"schema": _Report.schema, "event": event, "time": time_text, **values})


def _logs(migration: UnderWay) -> dict[str, str | None]:
    sides = {Role.SOURCE: migration.source, Role.DESTINATION: migration.destination}
    return {role: None if side is None else side.name for role, side in sides.items()}


def _fields(migration: UnderWay) -> list[str]:
    """Return what the terminal shows of a migration, the most important first."""
    logs = _logs(migration)
    missing = [role for role, name in logs.items() if name is None]
    waits = f", waits for a {missing[0]}" if missing and migration.phase == OVER else ""
    fields = [" -> ".join(name for name in logs.values() if name), f"{migration.phase}{waits}"]
    if migration.iteration is not None:
        fields.append(f"iteration {migration.iteration}")
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
    is_stopped = on_signals(lambda: None if report.watcher is None else report.watcher.stop())
    check_intake_arguments(arguments)
    named = [unit_of(text) or target_of(text) for text in arguments.targets]
    units = {unit.key: unit for unit in named if isinstance(unit, Unit)}
    targets = [target for target in named if isinstance(target, Target)]
    if units and (remark := check_journal()):
        say(f"the journal: {remark}")
    teller = _Teller(arguments, envelope, report)
    with ExitStack() as stack:
        work = report.work = live_work(
            arguments,
            stack,
            command="watch",
            flush_s=_FLUSH_S,
            flushes_first=True,  # a trace that is made again after a restart is made of the same lines and times
            on_trace=teller.traced,
            on_fate=teller.fate,
        )
        listening = None if arguments.listen is None else Listening(work=work, on_change=teller.announced)
        servers = [] if listening is None else bound_servers(arguments, listening.status)
        watcher = report.watcher = Watcher(
            work=work,
            listening=listening,
            sources=_sources(targets, units.values(), stack),
            on_gone=teller.gone,
            on_under_way=teller.under_way if arguments.json or envelope.progress.is_shown else None,
            enough=lambda: arguments.once and report.first_result is not None,
        )
        work.outlet.wake = watcher.wake
        if is_stopped():
            watcher.stop()
        say(f"following {', '.join(map(shown_name, arguments.targets))}")
        until_s = None if arguments.end_after is None else time.monotonic() + arguments.end_after
        start_servers(servers)
        work.outlet.start()
        watcher.restore()
        notify("READY=1")
        watcher.run(until_s)
        notify("STOPPING=1")
        stop_servers(servers)
        clear_status()
        report.is_safe = finish(work)


def _sources(targets: Sequence[Target], units: Iterable[Unit], stack: ExitStack) -> list[Source]:
    """Return what is read: the files, and each unit of the journal; all are closed with ``stack``."""
    sources: list[Source] = []
    if targets:
        tailer = Tailer(targets=targets, host=this_host(), say=say)
        stack.callback(tailer.close)
        sources.append(tailer)
    for unit in units:
        journal = Journal(unit=unit, say=say)
        stack.callback(journal.close)
        sources.append(journal)
    return sources


def this_host() -> Host:
    """Return this machine; its addresses are left out, since a hypervisor may have others in a namespace of its own."""
    machine = ""
    with suppress(OSError):
        machine = _MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    return Host(name=socket.gethostname() or None, id=machine or None)
