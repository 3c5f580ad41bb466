"""What a reader that is fed keeps, and what one more line costs it, however much came before."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

from feeding import growing, inputs_of, new_reader, unfiltered
from msgspec.structs import replace
from sample import FULL

from otelmig.inputs.line import Line, Where
from otelmig.migration.side import Role, SideState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    from otelmig.hypervisors import Reader
    from otelmig.inputs import InputLog, Stream


def _irrelevant(stream: Stream) -> Iterator[Line]:
    """Yield lines of a VM that does nothing but live."""
    text = "cloud-hypervisor: {:>10.6f}s: <vcpu0> DEBUG:a.rs:1 -- the guest reads port 0x60, number {}"
    number = 1000
    while True:
        number += 1
        yield Line(text=text.format(number, number), where=Where(stream.name, number), stream=stream)


def _others(log: InputLog) -> Iterator[tuple[Stream, list[Line]]]:
    """Yield whole logs of other processes."""
    number = 0
    while True:
        number += 1
        stream = replace(growing(log), key=f"other-{number}", stem=f"other-{number}")
        yield stream, unfiltered(log, stream)


def _sizes(reader: Reader, log: InputLog, until: Sequence[int]) -> Iterator[int]:
    """Yield the memory after about so many lines each, half of them of no interest, half of them of others' migrations.

    No two lines of no interest are alike: what is remembered of each is something else.
    """
    fed = 0
    irrelevant, others = _irrelevant(growing(log)), _others(log)
    for each in until:
        while fed < each:
            stream, lines = next(others)
            for line in lines:
                reader.take(line)
                assert not reader.take(next(irrelevant))
            assert all(side.final for side in reader.end(stream))
            reader.report.processes.clear()
            fed += 2 * len(lines)
        gc.collect()  # what waits to be collected is not kept
        size, _ = tracemalloc.get_traced_memory()
        yield size


def test_memory_does_not_grow_with_the_lines_after_the_last_word() -> None:
    """A VM that lives on after its migration, among others that migrate: of no line anything is kept for good.

    The meanings of the latest 4 096 messages are, and a table of so many doubles once more when as many have come and
    gone as it has room for: both are over after 11 000 lines. From then on nothing grows, however many lines there are;
    `make fuzz` feeds more of them.
    """
    (log,) = (log for log in inputs_of("v53.0-basicv") if log.name == "destination.log")
    reader = new_reader()
    lines = unfiltered(log, growing(log))
    over = next(at for at, line in enumerate(lines, start=1) if "migration-receive-finished" in line.text)
    emitted = [side for line in lines[:over] for side in reader.take(line)]
    assert emitted[-1].state is SideState.OVER
    tracemalloc.start()
    try:
        full, *later = _sizes(reader, log, (14_000, 20_000, *((26_000, 100_000) if FULL else ())))
    finally:
        tracemalloc.stop()
    (side,) = reader.open()
    assert side.observations == emitted[-1].observations
    assert max(later) - full < 32_000  # of one line in ten of no interest, something small would be more


def test_memory_of_a_process_that_never_rests_is_bounded() -> None:
    """An operator pauses and resumes a VM for years: the earliest is forgotten, a migration is seen."""
    (log,) = (log for log in inputs_of("v53.0-basicv") if log.name == "source.log")
    stream = growing(log)
    reader = new_reader()
    event = "cloud-hypervisor: {:>10.6f}s: <vmm> INFO:a.rs:1 -- Event: source = vm event = {} "
    sizes = []
    for number in range(60_000):
        name = ("pausing", "paused", "resuming", "resumed")[number % 4]
        reader.take(Line(text=event.format(number / 1000, name), where=Where("source.log", number), stream=stream))
        if number % 20_000 == 19_999:
            sizes.append(_objects(reader))
    assert max(sizes) < 1.5 * sizes[0]
    text = event.format(60.0, "migration-started")
    (begun,) = reader.take(Line(text=text, where=Where("source.log", 60_000), stream=stream))
    assert (begun.role, begun.state) == (Role.SOURCE, SideState.OPEN)


def _objects(root: object) -> int:
    """Count everything that ``root`` holds, down to its leaves."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType | MethodType):
            seen.add(id(each))
            waiting += gc.get_referents(each)
    return len(seen)


def test_one_more_line_costs_the_same_among_ten_thousand_streams() -> None:
    """Reading a migration takes as many calls whether ten thousand idle VMs are watched or none."""
    inputs = [log for log in inputs_of("v51.1-basic") if log.name.startswith("source")]
    alone = _calls(new_reader(), inputs)
    reader = new_reader()
    beginnings = [(log, unfiltered(log, growing(log))[:3]) for log in inputs]
    for number in range(10_000):
        log, lines = beginnings[number % len(inputs)]
        stream = replace(growing(log), key=f"idle-{number}", stem=f"idle-{number}")
        for line in lines:
            reader.take(replace(line, stream=stream))
    assert _calls(reader, inputs) <= 1.2 * alone


def _calls(reader: Reader, inputs: Iterable[InputLog]) -> int:
    """Count the calls, of Python's and of built-in functions, that reading some growing inputs takes."""
    lines = [line for log in inputs for line in unfiltered(log, growing(log))]
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        for line in lines:
            reader.take(line)
    finally:
        sys.setprofile(None)
    assert calls > len(lines)
    return calls
