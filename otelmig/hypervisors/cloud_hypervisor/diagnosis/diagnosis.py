"""What a log of Cloud Hypervisor tells, and which of its flags would tell more.

Verbosity: no ``-v`` gives warnings, ``-v`` INFO, ``-vv`` DEBUG, ``-vvv`` TRACE, in every release. Until v51 the dirty
tables are INFO, from v52.0 DEBUG; the ``Command`` lines of the destination are INFO until v49, TRACE until v52 and
DEBUG from v53.0. ``--event-monitor`` is in every release, ``--log-format`` from v52.0.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.beside.crash import is_crash
from otelmig.hypervisors.cloud_hypervisor.beside.event_stream import is_event_stream
from otelmig.hypervisors.cloud_hypervisor.beside.progress import is_progress
from otelmig.hypervisors.cloud_hypervisor.diagnosis.line_account import (
    read_every_answer,
    read_every_event,
    read_every_line,
)
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.log_format import DEFAULT_FORMAT, KNOWN_FORMS
from otelmig.hypervisors.cloud_hypervisor.reader import is_beside_logs
from otelmig.hypervisors.cloud_hypervisor.reading.records import reader_for
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES, last_release
from otelmig.hypervisors.diagnosis import Diagnosis, Gap
from otelmig.migration.side import Result, Role
from otelmig.migration.stamp import ClockDomain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otelmig.hypervisors.cloud_hypervisor.diagnosis.line_account import Reading
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import InputLog
    from otelmig.migration.side import Side

__all__ = ["diagnose"]

_FLEET_FORMAT: Final = f"{{wallclock}} {DEFAULT_FORMAT}"
"""What we recommend: the default line with a wall clock before it; every reader of the default line still works."""
_MS: Final = 10**6
_V51: Final = RELEASES.index("v51.0")
_V52: Final = RELEASES.index("v52.0")
_V49: Final = RELEASES.index("v49.0")
_V50: Final = RELEASES.index("v50.0")
_MONITOR: Final = "--event-monitor path=FILE"
_FLEET: Final = (
    f"for a fleet, on both sides: -v {_MONITOR} --log-format '{_FLEET_FORMAT}'; "
    "-vv only for the one VM under study: it writes dirty tables inside the downtime"
)
_FLEET_OLD: Final = (
    f"for a fleet, on both sides: {_MONITOR}, and -v only where its cost is known: until v51 it writes dirty tables "
    "inside the downtime; v52.0 prints the downtime itself"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What the rules below decide by."""

    log: InputLog
    reading: Reading
    sides: Sequence[Side]
    last_release: int
    event_stream: bool
    """Whether it is no log (an event stream, statistics, a crash report)."""
    with_stream: bool
    """Whether an event stream was given that belongs to this log."""

    @property
    def old(self) -> bool:
        """Whether the release prints no downtime of its own (until v51)."""
        return self.last_release <= _V51

    @property
    def level(self) -> int:
        """How many ``-v`` give what is there."""
        levels = self.reading.levels
        return 3 if levels["TRACE"] else 2 if levels["DEBUG"] else 1 if levels["INFO"] else 0

    @property
    def wall(self) -> bool:
        return self.reading.last is not None and self.reading.last.domain is ClockDomain.REALTIME

    @property
    def dated(self) -> bool:
        """Whether something besides the lines says when they were written."""
        return any(side.vmm.latest_zero_ns is not None for side in self.sides)

    def has(self, *kinds: Kind) -> bool:
        return any(self.reading.kinds[kind] for kind in kinds)

    def is_(self, role: Role) -> bool:
        return any(side.role is role for side in self.sides)


def diagnose(log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
    """Examine one input, given the attempts that were found in it."""
    stream = is_event_stream(log.head)
    reader = None if is_beside_logs(log.head) else reader_for(log.stream.head, options, log.mtime_ns)
    if reader is not None:
        reading = read_every_line(log, reader)
    else:
        reading = read_every_event(log) if stream else read_every_answer(log)
    facts = _Facts(
        log=log,
        reading=reading,
        sides=sides,
        last_release=last_release(side.vmm.releases_text for side in sides),
        event_stream=reader is None,
        with_stream=not stream and any(side.vmm.event_stream is not None for side in sides),
    )
    versions = sorted({side.vmm.version or side.vmm.releases_text for side in sides})
    boot = reading.last is not None and reading.last.domain is ClockDomain.BOOTTIME
    return Diagnosis(
        name=log.name,
        kind=_kind(log),
        release=", ".join(versions) or "not told",
        line_format=None if reader is None else ", ".join(_format_names(reader.seen)),
        transport=log.framing,
        verbosity=None if reader is None else ("-" + "v" * facts.level if facts.level else "default (warnings)"),
        clock=_clock_name(facts, stream=stream),
        resolution_ns=reading.coarsest_ns or None,
        uptime_ns=reading.last.ns if boot and reading.last is not None else None,
        attempts=Counter(str(side.role) for side in sides),
        events=tuple(sorted(reading.events)),
        account=reading.account,
        tells=tuple(text for holds, text in _TELLS if holds(facts)),
        gaps=tuple(gap for rule in _GAPS for gap in rule(facts)),
        recommendation=_FLEET if facts.last_release >= _V52 else _FLEET_OLD,
    )


def _clock_name(facts: _Facts, *, stream: bool) -> str:
    if facts.reading.last is None:
        return "none"
    if facts.wall:
        return "wall clock"
    return "time since the event monitor's start" if stream else "time since start"


def _kind(log: InputLog) -> str:
    if is_event_stream(log.head):
        return "event stream"
    if is_progress(log.head):
        return "migration statistics"
    return "crash report" if is_crash(log.head) else "log"


def _format_names(texts: set[str]) -> list[str]:
    names = {KNOWN_FORMS[0].text: "default (v49.0 on)", KNOWN_FORMS[1].text: "default (until v48.0)"}
    return sorted(names.get(text, text) for text in texts)


_TELLS: Final[tuple[tuple[Callable[[_Facts], bool], str], ...]] = (
    (lambda facts: bool(facts.sides), "that there was a migration, and how it ended as far as this side knows"),
    (lambda facts: facts.has(Kind.ITERATION_SENT), "every memory iteration with its size and bandwidth"),
    (
        lambda facts: not facts.has(Kind.ITERATION_SENT) and facts.has(Kind.ITERATION_ANNOUNCED, Kind.DIRTY_ROUND),
        "when every memory iteration ended",
    ),
    (
        lambda facts: facts.has(Kind.COMPLETED) and not facts.old and not facts.event_stream,
        "the downtime, by the hypervisor's word",
    ),
    (lambda facts: facts.has(Kind.DOWNTIME_BREAKDOWN), "what the downtime was spent on, by the hypervisor's word"),
    (lambda facts: facts.has(Kind.VM_PAUSING) and facts.is_(Role.SOURCE), "when the vCPUs stopped"),
    (lambda facts: facts.has(Kind.VM_RESUMED) and facts.is_(Role.DESTINATION), "when the guest ran again"),
    (
        lambda facts: facts.has(Kind.COMMAND_RECEIVED),
        "when each request arrived: the tightest bounds on the other host's clock",
    ),
    (lambda facts: facts.has(Kind.STATE_RECEIVED), "how long restoring took, by the hypervisor's word"),
    (lambda facts: facts.wall, "absolute time"),
)


def _nothing(facts: _Facts) -> Iterator[Gap]:
    if facts.event_stream or facts.level:
        return
    yield Gap(
        missing="anything of a migration but its failure: only warnings are logged",
        remedy="-v",
        cost="some 50 lines per migration; until v51 the dirty tables too, written while the guest stands still",
    )


def _breakdown(facts: _Facts) -> Iterator[Gap]:
    if not facts.is_(Role.SOURCE) or facts.event_stream:
        return
    if facts.old:
        yield Gap(
            missing="the downtime and its parts by the hypervisor's word: until v51 it prints neither; they are "
            "inferred from timestamps",
            remedy="Cloud Hypervisor v52.0 or later",
        )
    elif facts.level == 1 and facts.has(Kind.COMPLETED, Kind.FINAL_DELTA_SENT):
        yield Gap(
            missing="size and bandwidth of each memory iteration, and the printed parts of the downtime",
            remedy="-vv",
            cost="it writes the dirty tables inside the downtime (57 of 533 ms in one recording): "
            "for the one VM under study, not for a fleet",
        )


def _logging(facts: _Facts) -> Iterator[Gap]:
    """Yield what logging itself cost, measured on this log."""
    spent = max((side.sent.logging_ns for side in facts.sides if side.role is Role.SOURCE), default=0)
    if spent < _MS or facts.event_stream:
        return
    remedy = f"-v with {_MONITOR}" if not facts.old else f"no -v, with {_MONITOR}"
    less = "only failures in the log" if facts.old else "less detail: no figures per memory iteration, no printed parts"
    yield Gap(
        missing=f"a downtime without the cost of logging: writing dirty tables took {spent // _MS} ms of it here",
        remedy=remedy,
        cost=less,
    )


def _resolution(facts: _Facts) -> Iterator[Gap]:
    width = facts.reading.coarsest_ns
    if facts.event_stream or facts.with_stream or width <= _MS:
        return
    yield Gap(
        missing=f"anything shorter than {width / _MS:.3g} ms: at this uptime the default timestamp is no finer",
        remedy=_MONITOR,
        cost="a file of some 2 kB per migration; its timestamps are exact to the nanosecond",
    )
    if facts.last_release >= _V52:
        yield Gap(missing="the same", remedy=f"--log-format '{_FLEET_FORMAT}'", cost="28 bytes a line")


def _wall_clock(facts: _Facts) -> Iterator[Gap]:
    if facts.wall or facts.event_stream or not facts.level or facts.dated:
        return
    if facts.last_release >= _V52:
        yield Gap(
            missing="absolute time: it comes from when the file was last written",
            remedy=f"--log-format '{_FLEET_FORMAT}'",
            cost="28 bytes a line",
        )
    else:
        yield Gap(
            missing="absolute time: it comes from when the file was last written",
            remedy="log to stderr under systemd (journalctl -o json), or say when the process started (`anchors`)",
            cost="nothing",
        )


def _events(facts: _Facts) -> Iterator[Gap]:
    if facts.event_stream or facts.with_stream or not facts.sides or facts.has(Kind.VM_PAUSING, Kind.VM_RESUMED):
        return
    if facts.last_release <= _V49:
        what = "stopped" if facts.is_(Role.SOURCE) else "ran again"
        yield Gap(
            missing=f"when the vCPUs {what}: until v49 the log carries no events, so there is no blackout",
            remedy=_MONITOR,
            cost="a file of some 2 kB per migration",
        )


def _commands(facts: _Facts) -> Iterator[Gap]:
    if not facts.is_(Role.DESTINATION) or facts.event_stream or facts.has(Kind.COMMAND_RECEIVED):
        return
    flag = "-vvv" if _V50 <= facts.last_release <= _V52 else "-vv"
    yield Gap(
        missing="when each request arrived: the bounds on the clocks are wider",
        remedy=flag if facts.last_release > _V49 else "-v",
        cost="nothing that the guest notices: on the destination few of these lines are written in the downtime",
    )


def _beginning(facts: _Facts) -> Iterator[Gap]:
    if facts.event_stream or not facts.sides:
        return
    if any(side.vm is None for side in facts.sides) and facts.level:
        yield Gap(
            missing="which VM it is: the log does not reach back to where its configuration was printed",
            remedy="give its older rotations too",
        )
    elif any(side.vm is not None and side.vm.id is None for side in facts.sides):
        yield Gap(
            missing="vm.id: the VM has no UUID, so two VMs of one shape migrated at once are hard to tell apart",
            remedy="--platform uuid=UUID",
            cost="nothing; the guest sees it",
        )


def _stream_alone(facts: _Facts) -> Iterator[Gap]:
    if not is_event_stream(facts.log.head):
        return
    if not facts.sides:
        yield Gap(
            missing="whether these events were a migration: until v51 no event says so, and a snapshot looks the same",
            remedy="give the log too, at -v",
        )
    elif all(side.vmm.inputs[0] == facts.log.key for side in facts.sides):
        yield Gap(
            missing="the other host, sizes, the downtime by the hypervisor's word, and errors: no event carries them",
            remedy="give the log too, at -v",
        )


def _endings(facts: _Facts) -> Iterator[Gap]:
    if any(side.result is Result.UNKNOWN for side in facts.sides):
        yield Gap(
            missing="how a migration ended: the log stops before it says so",
            remedy="give the rest of the log, or the other side's",
        )


_GAPS: Final = (
    _nothing,
    _endings,
    _breakdown,
    _logging,
    _resolution,
    _events,
    _commands,
    _wall_clock,
    _beginning,
    _stream_alone,
)
