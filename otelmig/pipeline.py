"""The data flow from end to end: files -> processes -> sides -> migrations -> traces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.clock.epoch import Tie, epochs
from otelmig.errors import InputError, UsageError
from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.log_options import LogOptions
from otelmig.inputs import STDIN, InputLog, open_input, rotations
from otelmig.migration.stamp import ClockDomain
from otelmig.migration.vmm import Note, UnparsedLine, Vmm, fingerprint
from otelmig.pairing.pairing import pair_sides, unpaired
from otelmig.trace.build import build_trace
from otelmig.trace.identity import identity_of
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otelmig.clock.epoch import Anchor, Epoch
    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.migration.side import Side
    from otelmig.pairing.pairing import Migration
    from otelmig.trace.span import Trace

__all__ = ["Findings", "diagnoses", "read_findings", "trace_migrations"]


_HELD: Final = 200
"""So many processes are kept in memory before it is asked whether any of them can have a partner at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the inputs hold: the migrations, and everything that a person should know about the reading.

    Where the inputs hold one side only, and very many of it, most of them are read while their traces are built:
    ``migrations`` are then the first ones, and the notes and counts are complete once all traces were taken.
    """

    migrations: tuple[Migration, ...]
    epochs: Mapping[int, Epoch]
    """By ``id`` of the process."""
    errors: tuple[InputError, ...]
    """One per input that could not be used."""
    notes: list[str]
    not_understood: Counter[str]
    """How many lines looked like a migration's and were not understood, by reason."""
    inputs: Mapping[str, Sequence[InputLog]]
    """What was read, by hypervisor."""
    later: Callable[[], Iterator[tuple[Migration, Epoch]]]
    """Reads the rest, one migration after the other."""

    def traces(self, options: TraceOptions) -> Iterator[Trace]:
        """Build the traces one after the other, in order of time (what is read later: in the order of the log)."""
        for _, trace in self.traced(options):
            yield trace

    def traced(self, options: TraceOptions) -> Iterator[tuple[Migration, Trace]]:
        """The same, each with the migration that it shows."""
        for found in self.migrations:
            yield found, build_trace(found, self.epochs[id(found.reference.vmm)], options)
        for found, epoch in self.later():
            yield found, build_trace(found, epoch, options)


def trace_migrations(
    paths: str | Path | Iterable[str | Path],
    *,
    options: TraceOptions | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    anchors: Mapping[str, Anchor] | None = None,
    reading: LogOptions | None = None,
    clock: ClockOptions | None = None,
) -> Iterator[Trace]:
    """Yield one trace per migration attempt found in ``paths``, any mix of logs of both sides and event streams.

    The traces come in order of time. Content decides what each file is and which source belongs to which destination;
    names and order do not matter, and files may be compressed. A single path (a ``str`` or a ``Path``) is one file.

    >>> from importlib.resources import files
    >>> recording = files("otelmig") / "recordings"
    >>> for trace in trace_migrations([recording / "source.log", recording / "destination.log"]):
    ...     downtime = trace.first("downtime")
    ...     print(trace.root.attributes["vm.migration.result"], downtime.duration_ns // 10**6, "ms")
    success 461 ms

    Args:
        paths: the files to read; ``"-"`` is standard input.
        options: what the caller knows about the migration, and what may leave the machine.
        pairs: source and destination that belong together where that cannot be decided, by the names of their logs.
        anchors: when a log's clock read zero, for ``"source"``, ``"destination"`` or the name of a log.
        reading: how the logs were written, where they do not say so themselves.
        clock: what may be assumed about the two hosts' clocks, and what to do about their offset.

    Raises:
        InputError: a file cannot be used.
        UsageError: ``pairs``, ``anchors`` or ``clock`` contradict what the files say.
    """
    files = [paths] if isinstance(paths, (str, Path)) else paths
    findings = read_findings(files, pairs=pairs, anchors=anchors, reading=reading, clock=clock, whole=False)
    if findings.errors:
        raise findings.errors[0]
    yield from findings.traces(options or TraceOptions())


def read_findings(
    paths: Iterable[str | Path],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    anchors: Mapping[str, Anchor] | None = None,
    reading: LogOptions | None = None,
    clock: ClockOptions | None = None,
    whole: bool = True,
) -> Findings:
    """Read every input once; one that cannot be used is reported and the others are read all the same.

    Unless the ``whole`` must be known before the first trace, migrations that cannot have a partner are read later.
    """
    inputs, errors, notes = _open_inputs(paths)
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    options = reading or LogOptions()
    by_hypervisor = _by_hypervisor(inputs, options, errors)
    source = _Reading(
        items=chain.from_iterable(by_system[system].processes(own, options) for system, own in by_hypervisor.items()),
        notes=notes,
    )
    processes = list(islice(source.processes(), _HELD))
    waiting = len(processes) == _HELD and not pairs and not whole
    waiting = waiting and all(by_system[system].one_sided(own, options) for system, own in by_hypervisor.items())
    if not waiting:
        processes += source.processes()
        processes = _written_in_turn(processes)
    notes += [damage for log in inputs for part in log.parts for damage in part.damage]
    processes.sort(key=_order)
    sides = _each_once((side for process in processes for side in by_system[process.system].attempts(process)), notes)
    pairing = pair_sides(sides, by_system, pairs, clock)
    zeros = anchors or {}
    anchored = _anchored(sides, zeros)
    known = epochs(processes, _ties(pairing.migrations), anchored)
    notes += pairing.notes
    notes += _unused(pairing.migrations, anchored, clock)

    def later() -> Iterator[tuple[Migration, Epoch]]:
        for process in source.processes():
            alone = list(by_system[process.system].attempts(process))
            epoch = epochs([process], (), _anchored(alone, zeros))[id(process)]
            for side in alone:
                yield unpaired(side), epoch

    return Findings(
        migrations=tuple(sorted(pairing.migrations, key=lambda found: _reference_start(found, known))),
        epochs=known,
        errors=tuple(errors),
        notes=notes,
        not_understood=source.not_understood,
        inputs=by_hypervisor,
        later=later,
    )


def _each_once(sides: Iterable[Side], notes: list[str]) -> list[Side]:
    """Each attempt once, by its fullest story: pieces of one log that overlap tell of it several times."""
    found: dict[bytes, Side] = {}
    for side in sides:
        digest = identity_of(side, parent=None, name=None).digest
        other = found.get(digest)
        if other is not None:
            notes.append(f"{side.name}: an attempt that {other.name} tells of, too, read once")
        if other is None or len(side.observations) > len(other.observations):
            found[digest] = side
    return list(found.values())


def _written_in_turn(processes: Sequence[Vmm]) -> list[Vmm]:
    """Processes that wrote to one log one after the other: each wrote its last line before the next one began."""
    latest: dict[str, int] = {}
    found = []
    for process in reversed(processes):
        written_ns = process.last_written_ns
        if process.shared_log is not None and process.domain is ClockDomain.BOOTTIME:
            written_ns = latest.get(process.shared_log, written_ns)
            latest[process.shared_log] = written_ns - process.last_ns
        found.append(process if written_ns == process.last_written_ns else replace(process, last_written_ns=written_ns))
    return found[::-1]


def diagnoses(findings: Findings, reading: LogOptions) -> Iterator[Diagnosis]:
    """Examine every input that was read, line by line."""
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    sides = [side for found in findings.migrations for side in found.sides]
    for system, inputs in findings.inputs.items():
        for log in inputs:
            own = [side for side in sides if log.key in side.vmm.inputs]
            yield by_system[system].diagnose(log, own, reading)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What the hypervisors read, sorted into processes and counts."""

    items: Iterator[Vmm | UnparsedLine | Note]
    notes: list[str]
    not_understood: Counter[str] = field(default_factory=Counter)
    stories: dict[int, str] = field(default_factory=dict)
    """The name of the first process with each story."""

    def processes(self) -> Iterator[Vmm]:
        """Each story once: a log that was given twice, as a copy, tells of no second migration."""
        for item in self.items:
            if isinstance(item, UnparsedLine):
                self.not_understood[item.reason] += 1
                continue
            if isinstance(item, Note):
                self.notes.append(item.text)
                continue
            story = fingerprint(item.observations)
            if story in self.stories:
                self.notes.append(f"{item.name}: the same as {self.stories[story]}, read once")
                continue
            self.stories[story] = item.name
            self.notes += item.notes
            yield item


def _open_inputs(paths: Iterable[str | Path]) -> tuple[list[InputLog], list[InputError], list[str]]:
    """The usable inputs, each once, in an order that does not depend on the caller's; what is not usable; notes."""
    files, errors, notes = [], [], []
    seen: set[Path] = set()
    for path in map(Path, paths):
        try:
            file = open_input(path)
        except InputError as error:
            errors.append(error)
            continue
        real = path if path == STDIN else path.resolve()
        if real in seen:
            continue
        seen.add(real)
        if file.size == 0:
            notes.append(f"{file.name}: empty")
        else:
            files.append(file)
    logs = []
    for name, parts, copies in rotations(files):
        logs.append(InputLog(name=name, parts=tuple(parts)))
        notes += copies
    return sorted(logs, key=lambda log: (log.name, log.parts[0].size, log.head)), errors, sorted(notes)


def _by_hypervisor(
    inputs: Iterable[InputLog], options: LogOptions, errors: list[InputError]
) -> dict[str, list[InputLog]]:
    found: dict[str, list[InputLog]] = {}
    for log in inputs:
        try:
            system = next((each.system for each in hypervisors() if each.recognises(log, options)), None)
        except InputError as error:
            errors.append(error)
            continue
        if system is None:
            path = log.parts[0].path if log.name == log.parts[0].path.name else log.name
            errors.append(InputError(f"{path}: no log or event stream of a hypervisor that otelmig knows"))
        else:
            found.setdefault(system, []).append(log)
    return found


def _order(process: Vmm) -> tuple[str, str, int]:
    first = process.observations[0]
    return process.name, first.stamp.text, len(process.observations)


def _reference_start(found: Migration, known: Mapping[int, Epoch]) -> tuple[int, str, int]:
    side = found.reference
    return side.observations[0].stamp.ns + known[id(side.vmm)].ns, side.name, side.attempt


def _ties(migrations: Iterable[Migration]) -> Iterator[Tie]:
    for found in migrations:
        if found.source is not None and found.destination is not None and found.placement is not None:
            yield Tie(
                source=found.source.vmm,
                destination=found.destination.vmm,
                offset_ns=found.placement.applied_ns,
                error_ns=found.placement.error_ns(found.placement.at_ns),
            )


def _unused(
    migrations: Iterable[Migration], anchored: Mapping[int, Anchor], clock: ClockOptions | None
) -> Iterator[str]:
    """What the user knows of the clocks and these logs have no use for."""
    for found in migrations:
        for side in found.sides:
            if side.vmm.domain is ClockDomain.REALTIME and id(side.vmm) in anchored:
                yield f"--anchor: {side.vmm.name} has a wall clock, so nothing else says when it was written"
        source, destination, placement = found.source, found.destination, found.placement
        if source is None or destination is None or placement is None:
            continue
        wall = [side.vmm.domain is ClockDomain.REALTIME for side in found.sides]
        if clock is not None and clock.measured and not all(wall):
            yield f"{source.name} and {destination.name} are not both on wall clocks: measurements do not count here"
        one, other = anchored.get(id(source.vmm)), anchored.get(id(destination.vmm))
        error_ns = placement.error_ns(placement.at_ns)
        if one is not None and other is not None and error_ns is not None and not any(wall):
            apart_ns = abs(other.ns + placement.estimate_ns - one.ns)
            if apart_ns > one.error_ns + other.error_ns + error_ns:
                yield (
                    f"--anchor: those of {source.name} and {destination.name} contradict the logs by "
                    f"{apart_ns / 1e9:.3f} s; the source's is used"
                )


def _anchored(sides: Sequence[Side], anchors: Mapping[str, Anchor]) -> dict[int, Anchor]:
    """The anchors by ``id`` of the process they are for."""
    found: dict[int, Anchor] = {}
    for name, anchor in anchors.items():
        matching = [side for side in sides if name in (str(side.role), side.vmm.name)]
        if sides and not matching:
            raise UsageError(f"--anchor {name}: no such side or log (want source, destination, or a log's name)")
        found.update((id(side.vmm), anchor) for side in matching)
    return found
