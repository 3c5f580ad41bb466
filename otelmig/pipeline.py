"""The data flow from end to end: files -> lines -> sides -> migrations -> traces."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.clock.epoch import epochs
from otelmig.errors import FaultError, InputError, unread_inputs_noted
from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.finished_inputs import FinishedInputs
from otelmig.hypervisors.log_options import LogOptions
from otelmig.hypervisors.process_reading import ProcessReading
from otelmig.hypervisors.recognition import recognised
from otelmig.inputs.opening import open_inputs
from otelmig.migration.stamp import ClockDomain
from otelmig.pairing.absolute_time import anchored_processes, epoch_of, ties_of, unused
from otelmig.pairing.migration import unpaired
from otelmig.pairing.pairing import pair_sides
from otelmig.printable import shown_name
from otelmig.structs import Struct
from otelmig.trace.attributes import LinkKind
from otelmig.trace.build import build_trace, link_to
from otelmig.trace.identity import identity_of
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otelmig.clock.epoch import Anchor, Epoch
    from otelmig.clock.options import ClockOptions
    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.inputs import InputLog
    from otelmig.migration.side import Side
    from otelmig.migration.vmm import Vmm
    from otelmig.pairing.migration import Migration
    from otelmig.trace.span import Link, Trace

__all__ = ["Findings", "diagnoses", "read_findings", "trace_migrations"]

_MOST_NAMED: Final = 5
"""At most this many files of a directory that were left out are named."""
_HELD: Final = 200
"""At most this many processes are read before it is asked whether any of them can have a partner at all."""
_ATTEMPTED: Final = 64
"""Of at most so many processes the trace of their last attempt is kept, for the next one to link to."""


class Findings(Struct, frozen=True, kw_only=True):
    """What the inputs hold: the migrations, and everything that a person should know about the reading.

    Where the inputs hold one side only, and very many of it, most of them are read while their traces are built:
    ``migrations`` are then the first ones, and the notes and counts are complete once all traces were taken.
    """

    migrations: tuple[Migration, ...]
    epochs: Mapping[str, Epoch]
    """By the key of the process."""
    errors: list[InputError]
    """One per input that could not be used, and per migration that no trace could be made of."""
    notes: list[str]
    left_out: Sequence[str]
    """One note per directory or archive in which files lie that are no logs: nothing else rests on them."""
    not_understood: Counter[str]
    """How many lines looked like a migration's and were not understood, by reason."""
    inputs: Mapping[str, Sequence[InputLog]]
    """What was read, by hypervisor."""
    later: Callable[[], Iterator[tuple[Migration, Epoch]]]
    """Reads the rest, one migration after the other."""
    is_whole: bool = True
    """Whether there is no rest."""

    def traces(self, options: TraceOptions) -> Iterator[Trace]:
        """Build the traces one after the other, in order of time (what is read later: in the order of the log)."""
        for _, trace in self.traced(options):
            yield trace

    def traced(self, options: TraceOptions) -> Iterator[tuple[Migration, Trace]]:
        """Yield the traces like :meth:`traces`, each with the migration that it shows."""
        known = ((migration, epoch_of(migration, self.epochs)) for migration in self.migrations)
        latest: dict[str, Trace] = {}
        for migration, epoch in chain(known, self.later()):
            reference = migration.reference
            previous = latest.pop(reference.vmm.key, None)
            links = () if previous is None else (_link_to_attempt(previous),)
            try:
                trace = build_trace(migration, epoch, options, links if reference.attempt > 1 else ())
            except Exception as error:  # noqa: BLE001 - the edge of one migration: the others have their traces
                self.errors.append(FaultError.of(f"the migration of {migration.reference.name}", error))
                continue
            latest[reference.vmm.key] = trace
            while len(latest) > _ATTEMPTED:
                del latest[next(iter(latest))]
            yield migration, trace


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
    names and order do not matter, and files may be compressed. Of a directory, the files below it are read. A single
    path (a ``str`` or a ``Path``) is one path.

    >>> from importlib.resources import files
    >>> recording = files("otelmig") / "recordings"
    >>> for trace in trace_migrations([recording / "source.log", recording / "destination.log"]):
    ...     downtime = trace.first("downtime")
    ...     print(trace.root.attributes["vm.migration.result"], downtime.duration_ns // 10**6, "ms")
    success 461 ms

    Args:
        paths: the files or directories to read; ``"-"`` is standard input.
        options: what the caller knows about the migration, and what may leave the machine.
        pairs: source and destination that belong together where that cannot be decided, by the names of their logs.
        anchors: when a log's clock read zero, for ``"source"``, ``"destination"`` or the name of a log.
        reading: how the logs were written, where they do not say so themselves.
        clock: what may be assumed about the two hosts' clocks, and what to do about their offset.

    Raises:
        InputError: a file cannot be used.
        UsageError: ``pairs``, ``anchors`` or ``clock`` contradict what the files say; its notes name unread files.
    """
    files = [paths] if isinstance(paths, (str, Path)) else paths
    findings = read_findings(files, pairs=pairs, anchors=anchors, reading=reading, clock=clock, whole=False)
    if findings.errors:
        raise findings.errors[0]
    yield from findings.traces(options or TraceOptions())
    if findings.errors:  # a fault that was met on the way
        raise findings.errors[0]


def read_findings(
    paths: Iterable[str | Path],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    anchors: Mapping[str, Anchor] | None = None,
    reading: LogOptions | None = None,
    clock: ClockOptions | None = None,
    whole: bool = True,
    progress: Callable[[int], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Findings:
    """Read every input once; one that cannot be used is reported and the others are read all the same.

    Unless the ``whole`` must be known before the first trace, migrations that cannot have a partner are read later.
    ``progress`` is told of each block how many bytes were read, ``on_wait`` what is waited for.
    """
    inputs, errors, notes = open_inputs(paths, progress, on_wait)
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    options = reading or LogOptions()
    by_hypervisor, left_out = _by_hypervisor(inputs, options, errors, notes)
    feeds = [
        FinishedInputs(
            hypervisor=by_system[system],
            logs=own,
            options=options,
            errors=errors,
            reader=by_system[system].reader(options),
        )
        for system, own in by_hypervisor.items()
    ]
    source = ProcessReading(feeds=feeds, notes=notes)
    ended = source.processes()
    told = list(islice(ended, _HELD))
    waiting = len(told) == _HELD and not pairs and not whole and all(feed.is_one_sided for feed in feeds)
    if not waiting:
        told += ended
    notes += [note for log in inputs for part in log.parts for note in (*part.damage, *part.holes.notes(part.name))]
    processes = [read.process.vmm for read in told]
    if not waiting:
        processes = _written_in_turn(processes)
    told.sort(key=lambda read: read.order)
    sides = _each_once((side for read in told for side in read.sides), notes)
    zeros = anchors or {}
    with unread_inputs_noted(errors):
        pairing = pair_sides(sides, by_system, pairs, clock)
        anchored = anchored_processes(sides, zeros)
        known = epochs(processes, ties_of(pairing.migrations), anchored)
        notes += pairing.notes
        notes += unused(pairing.migrations, anchored, clock)

    def later() -> Iterator[tuple[Migration, Epoch]]:
        for read in ended:
            vmm = read.process.vmm
            by_key = epochs([vmm], (), anchored_processes(read.sides, zeros))
            for side in read.sides:
                migration = unpaired(side)
                yield migration, epoch_of(migration, by_key)

    return Findings(
        migrations=tuple(sorted(pairing.migrations, key=lambda migration: _reference_start(migration, known))),
        epochs=known,
        errors=errors,
        notes=notes,
        left_out=left_out,
        not_understood=source.not_understood,
        inputs=by_hypervisor,
        later=later,
        is_whole=not waiting,
    )


def _each_once(sides: Iterable[Side], notes: list[str]) -> list[Side]:
    """Return each attempt once, by its fullest side: pieces of one log that overlap tell of it several times."""
    fullest: dict[bytes, Side] = {}
    for side in sides:
        digest = identity_of(side, parent=None, name=None).digest
        other = fullest.get(digest)
        if other is not None:
            notes.append(f"{side.name}: an attempt that {other.name} tells of, too, read once")
        if other is None or len(side.observations) > len(other.observations):
            fullest[digest] = side
    return list(fullest.values())


def _written_in_turn(processes: Sequence[Vmm]) -> list[Vmm]:
    """Return those that wrote to one log one after the other: each wrote its last line before the next one began."""
    latest: dict[str, int] = {}
    corrected = []
    for process in reversed(processes):
        written_ns = process.last_written_ns
        if process.shared_log is not None and process.domain is ClockDomain.BOOTTIME and written_ns is not None:
            written_ns = latest.get(process.shared_log, written_ns)
            latest[process.shared_log] = written_ns - process.last_ns
        corrected.append(
            process if written_ns == process.last_written_ns else replace(process, last_written_ns=written_ns)
        )
    return corrected[::-1]


def diagnoses(findings: Findings, reading: LogOptions) -> Iterator[Diagnosis]:
    """Examine every input that was read, line by line."""
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    sides = [side for migration in findings.migrations for side in migration.sides]
    for system, inputs in findings.inputs.items():
        for log in inputs:
            own = [side for side in sides if log.key in side.vmm.inputs]
            try:
                diagnosis = by_system[system].diagnose(log, own, reading)
            except Exception as error:  # noqa: BLE001 - the edge of one input: the others are examined
                findings.errors.append(FaultError.of(log.name, error))
                continue
            yield diagnosis


def _by_hypervisor(
    inputs: Iterable[InputLog], options: LogOptions, errors: list[InputError], notes: list[str]
) -> tuple[dict[str, list[InputLog]], list[str]]:
    """Return the inputs that each hypervisor wrote, and a note for each directory with files of somebody else.

    Such a file is an error if it was named, and part of that note if it merely lies in a directory that was.
    """
    by_system: dict[str, list[InputLog]] = {}
    foreign: dict[Path, list[str]] = defaultdict(list)
    for log in inputs:
        folder = log.parts[0].folder
        try:
            system, reading = recognised(log, options, hypervisors())
        except InputError as error:
            if folder is None:
                errors.append(error)
            else:
                notes.append(str(error))
            continue
        if system is not None:
            by_system.setdefault(system, []).append(reading)
            notes += [f"{log.name}: its newest line comes first: read from its end"] if reading.turned else []
        elif folder is not None:
            foreign[folder].append(log.name)
        else:
            path = shown_name(log.parts[0].path)
            path = path if log.name == shown_name(log.parts[0].path.name) else log.name
            errors.append(InputError(f"{path}: no log or event stream of a hypervisor that otelmig knows"))
    left_out = []
    for folder, names in foreign.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        listed = ", ".join(names[:_MOST_NAMED])
        left_out.append(f"{shown_name(folder)}: left out (no log that otelmig knows): {listed}{more}")
    return by_system, left_out


def _link_to_attempt(previous: Trace) -> Link:
    return link_to(previous.trace_id, previous.root.span_id, LinkKind.PREVIOUS_ATTEMPT)


def _reference_start(migration: Migration, known: Mapping[str, Epoch]) -> tuple[int, str, int]:
    side = migration.reference
    return side.observations[0].stamp.ns + known[side.vmm.key].ns, side.name, side.attempt
