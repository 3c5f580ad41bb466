"""The data flow from end to end: files -> processes -> sides -> migrations -> traces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from otelmig.assembly import assemble
from otelmig.clock.epoch import Tie, epochs
from otelmig.clock.placement import place
from otelmig.errors import InputError, UsageError
from otelmig.hypervisors import hypervisors
from otelmig.inputs import STDIN, InputLog, open_input, rotations
from otelmig.pairing import pair_sides
from otelmig.process import NotUnderstood, Process
from otelmig.reading import ReadingOptions
from otelmig.trace.build import TraceOptions, build_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.clock.epoch import Epoch
    from otelmig.diagnosis import Diagnosis
    from otelmig.pairing import Migration
    from otelmig.side import Side
    from otelmig.trace.span import Trace

__all__ = ["Findings", "diagnoses", "open_inputs", "read_findings", "trace_migrations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the inputs hold: the migrations, and everything that a person should know about the reading."""

    migrations: tuple[Migration, ...]
    epochs: Mapping[int, Epoch]
    """By ``id`` of the process."""
    errors: tuple[InputError, ...]
    """One per input that could not be used."""
    notes: tuple[str, ...]
    not_understood: Mapping[str, int]
    """How many lines looked like a migration's and were not understood, by reason."""
    inputs: Mapping[str, Sequence[InputLog]]
    """What was read, by hypervisor."""

    def traces(self, options: TraceOptions) -> Iterator[Trace]:
        """Build the traces one after the other, in order of time."""
        for found in self.migrations:
            yield build_trace(found, self.epochs[id(_reference(found).process)], options)


def trace_migrations(
    paths: Iterable[str | Path],
    *,
    options: TraceOptions | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    anchors: Mapping[str, int] | None = None,
    reading: ReadingOptions | None = None,
) -> Iterator[Trace]:
    """Yield one trace per migration attempt found in ``paths``, any mix of logs of both sides and event streams.

    ``pairs`` names sides that belong together where that cannot be decided; ``anchors`` gives, for ``"source"``,
    ``"destination"`` or the name of a log, the Unix time in ns at which that log's clock read zero.

    Raises:
        InputError: a file cannot be used.
        UsageError: ``pairs`` or ``anchors`` contradict what the files say.
    """
    findings = read_findings(paths, pairs=pairs, anchors=anchors, reading=reading)
    if findings.errors:
        raise findings.errors[0]
    yield from findings.traces(options or TraceOptions())


def read_findings(
    paths: Iterable[str | Path],
    *,
    pairs: Sequence[tuple[str, str]] = (),
    anchors: Mapping[str, int] | None = None,
    reading: ReadingOptions | None = None,
) -> Findings:
    """Read every input once; one that cannot be used is reported and the others are read all the same."""
    inputs, errors, notes = open_inputs(paths)
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    options = reading or ReadingOptions()
    found = _Reading()
    by_hypervisor = _by_hypervisor(inputs, options, errors)
    for system, own in by_hypervisor.items():
        found.take(by_system[system].processes(own, options))
    notes += [damage for log in inputs for part in log.parts for damage in part.damage]
    processes, copies = _distinct(sorted(found.processes, key=_order))
    sides = [side for process in processes for side in assemble(process)]
    pairing = pair_sides(sides, by_system, pairs)
    known = epochs(processes, _ties(pairing.migrations), _anchored(sides, anchors or {}))
    migrations = sorted(pairing.migrations, key=lambda found: _reference_start(found, known))
    return Findings(
        migrations=tuple(migrations),
        epochs=known,
        errors=tuple(errors),
        notes=(*notes, *copies, *pairing.notes, *(note for process in processes for note in process.notes)),
        not_understood=dict(found.not_understood),
        inputs=by_hypervisor,
    )


def diagnoses(findings: Findings, reading: ReadingOptions) -> Iterator[Diagnosis]:
    """Examine every input that was read, line by line."""
    by_system = {hypervisor.system: hypervisor for hypervisor in hypervisors()}
    sides = [side for found in findings.migrations for side in found.sides]
    for system, inputs in findings.inputs.items():
        for log in inputs:
            own = [side for side in sides if log.key in side.process.inputs]
            yield by_system[system].diagnose(log, own, reading)


@dataclass(slots=True)
class _Reading:
    processes: list[Process] = field(default_factory=list)
    not_understood: Counter[str] = field(default_factory=Counter)

    def take(self, items: Iterable[Process | NotUnderstood]) -> None:
        for item in items:
            if isinstance(item, Process):
                self.processes.append(item)
            else:
                self.not_understood[item.reason] += 1


def open_inputs(paths: Iterable[str | Path]) -> tuple[list[InputLog], list[InputError], list[str]]:
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
    inputs: Iterable[InputLog], options: ReadingOptions, errors: list[InputError]
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


def _distinct(processes: Iterable[Process]) -> tuple[list[Process], list[str]]:
    """Each story once: a log that was given twice, as a copy, tells of no second migration."""
    found: dict[tuple[tuple[str, str], ...], Process] = {}
    notes = []
    for process in processes:
        story = tuple((str(seen.kind), seen.stamp.text) for seen in process.observations)
        first = found.setdefault(story, process)
        if first is not process and story:
            notes.append(f"{process.name}: the same as {first.name}, read once")
    return list(found.values()), notes


def _order(process: Process) -> tuple[str, str, int]:
    first = process.observations[0]
    return process.name, first.stamp.text, len(process.observations)


def _reference(found: Migration) -> Side:
    """The side whose clock is the trace's timeline."""
    side = found.source or found.destination
    if side is None:
        raise UsageError("a migration without sides")
    return side


def _reference_start(found: Migration, known: Mapping[int, Epoch]) -> tuple[int, str, int]:
    side = _reference(found)
    return side.observations[0].stamp.ns + known[id(side.process)].ns, side.name, side.attempt


def _ties(migrations: Iterable[Migration]) -> Iterator[Tie]:
    for found in migrations:
        if found.source is not None and found.destination is not None and found.bounds is not None:
            placement = place(found.source, found.destination, found.bounds)
            yield Tie(
                source=found.source.process,
                destination=found.destination.process,
                offset_ns=placement.offset_ns,
            )


def _anchored(sides: Sequence[Side], anchors: Mapping[str, int]) -> dict[int, int]:
    """The anchors by ``id`` of the process they are for."""
    found: dict[int, int] = {}
    for name, zero_ns in anchors.items():
        matching = [side for side in sides if name in (str(side.role), side.process.name)]
        if sides and not matching:
            raise UsageError(f"--anchor {name}: no such side or log (want source, destination, or a log's name)")
        found.update((id(side.process), zero_ns) for side in matching)
    return found
