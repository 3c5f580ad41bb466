"""A reader that is fed line by line says what it says of finished files, says it at once, and forgets the rest."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from feeding import RECORDINGS, feed, filtered, finished_sides, growing, inputs_of, new_reader, unfiltered
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sample import FULL

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.inputs.opening import open_inputs
from otelmig.migration.side import Role, SideState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from feeding import Fed

    from otelmig.inputs import InputLog, Line
    from otelmig.migration.side import Side

_ORDERS: Final = 20 if FULL else 2
"""Interleavings that are tried of every recording; 20 by `make fuzz`."""


def _random(seed: int) -> Random:
    return Random(seed)


def _interleaved(streams: Sequence[Sequence[Line]], random: Random) -> list[Line]:
    """Return the lines in a random interleaving of batches; the lines of one stream keep their order."""
    waiting = [list(reversed(lines)) for lines in streams if lines]
    order: list[Line] = []
    while waiting:
        lines = random.choice(waiting)
        size = min(random.choice((1, 1, 2, 7, 50, 10_000)), len(lines))
        order += [lines.pop() for _ in range(size)]
        waiting = [each for each in waiting if each]
    return order


def _without_file_times(sides: Fed) -> Fed:
    """Leave out what only a finished file tells: when it was last written, and the time of its last line."""
    return {key: replace(side, vmm=replace(side.vmm, last_written_ns=None, last_ns=0)) for key, side in sides.items()}


@pytest.mark.parametrize("recording", RECORDINGS)
@settings(max_examples=_ORDERS, deadline=None)
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_any_interleaving_gives_the_same_sides(recording: str, seed: int) -> None:
    """The lines of a scan, in any order of the files and any batches: the very same sides, file times included."""
    inputs = inputs_of(recording)
    order = _interleaved([filtered(log, log.stream) for log in inputs], _random(seed))
    assert feed(new_reader(), order, tails=inputs) == finished_sides(inputs)


@pytest.mark.parametrize("recording", RECORDINGS)
@settings(max_examples=_ORDERS, deadline=None)
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_every_line_of_growing_files_gives_the_same_sides(recording: str, seed: int) -> None:
    """Nothing filtered, nothing looked ahead, no end of file: the same sides, but for what only files tell."""
    inputs = inputs_of(recording)
    order = _interleaved([unfiltered(log, growing(log)) for log in inputs], _random(seed))
    assert _without_file_times(feed(new_reader(), order)) == _without_file_times(finished_sides(inputs))


_LONG_RECORD: Final = """\
cloud-hypervisor:   1.000000s: <vmm> INFO:a:1 -- Sending migration: destination_url = tcp:192.0.2.2:4444, local = false
cloud-hypervisor:   2.000000s: <vmm> ERROR:a.rs:2 -- Migration failed: MigrateSend(
  Error connecting to TCP socket
cloud-hypervisor:   2.000100s: <vmm> ERROR:a.rs:2 --   0: Connection refused (os error 111)
cloud-hypervisor:   3.000000s: <vmm> INFO:a.rs:3 -- something else
  that has a second line, too
"""


def test_a_record_of_several_lines_is_whole_either_way(tmp_path: Path) -> None:
    """An error with its causes reads the same whether a scan looks ahead or the lines come in one by one."""
    (tmp_path / "source.log").write_text(_LONG_RECORD)
    (log,), _, _ = open_inputs([tmp_path / "source.log"])
    ahead, one_by_one = (feed(new_reader(), lines(log, log.stream)) for lines in (filtered, unfiltered))
    assert ahead == one_by_one
    (side,) = ahead.values()
    failed = next(seen for seen in side.observations if seen.kind is Kind.SEND_FAILED)
    error = "MigrateSend(\n  Error connecting to TCP socket\n  0: Connection refused (os error 111)"
    assert failed.values == {"error": error, "error_type": "connection_failed"}


_CRASH: Final = """\
cloud-hypervisor:   1.000000s: <vmm> INFO:a:1 -- Sending migration: destination_url = tcp:192.0.2.2:4444, local = false

==== Possible seccomp violation ====
Syscall number: 41
Try running with `strace -ff` to identify the cause
"""


def test_a_crash_report_in_the_log_is_whole_either_way(tmp_path: Path) -> None:
    """Which call killed the process stands on the next line, whether a scan looks ahead or not."""
    (tmp_path / "source.log").write_text(_CRASH)
    (log,), _, _ = open_inputs([tmp_path / "source.log"])
    ahead, one_by_one = (feed(new_reader(), lines(log, log.stream)) for lines in (filtered, unfiltered))
    assert ahead == one_by_one
    (side,) = ahead.values()
    assert side.observations[-1].values == {"by": "seccomp", "detail": "Syscall number: 41"}


# the last words, by the release of a recording and the role of the log: written down from what migrations look like,
# not taken from the message table
_EVENT: Final = "Event: source = vm event = "
_LAST_WORDS: Final = (
    (range(52, 99), Role.SOURCE, rf"{_EVENT}migration-(?:finished|failed)|Migration failed: |Resumed VM successfully"),
    (range(52, 99), Role.DESTINATION, rf"{_EVENT}migration-receive-(?:finished|failed)|was not cleaned up!"),
    (range(36, 52), Role.SOURCE, r"-- Migration complete\b|Migration failed: "),
    (range(50, 52), Role.DESTINATION, rf"{_EVENT}resumed"),
    (range(36, 50), Role.DESTINATION, r"Resuming virtio-"),
)
_SILENT: Final = {
    "v48.0-killdst/destination.log",
    "v48.0-refused/destination.log",
    "v51.1-killdst/destination.log",
    "v51.1-refused/destination.log",
    "v52.0-killdst/destination.log",
    "v52.0-oomkilled/source.log",
    "v53.0-killdst/destination.log",
    "v53.0-killsrc/destination.log",
    "v53.0-killsrc/source.log",
    "v53.0-localseccomp/source.log",
    "v53.0-refused/destination.log",
    "v53.0-twodestinations/destination.log",
    "v53.0-twohosts-killed/destination.log",
}
_OPERATOR: Final = re.compile("API request event: Vm(?!Send|Receive|mPing)")


def _release(recording: str) -> int:
    match = re.match(r"v(\d+)", recording)
    return int(match[1]) if match is not None else 98


def _last_words(recording: str, log: InputLog) -> tuple[Role, list[int]]:
    """Return the role of a log, and the numbers of the lines that are last words of its attempts."""
    role = Role.SOURCE if log.name.startswith("source") else Role.DESTINATION
    (pattern,) = (text for releases, of, text in _LAST_WORDS if _release(recording) in releases and of is role)
    numbers: list[int] = []
    over = False
    for line in log.lines(None):
        if re.search(pattern, line.text) and not over:
            numbers.append(line.where.line)
        # what the operator does with the VM afterwards looks like it, too
        over = (over or bool(numbers and _OPERATOR.search(line.text))) and "VmSendMigration" not in line.text
    return role, numbers


@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_side_is_emitted_with_its_last_word(recording: str) -> None:
    """The very line that is the last word of an attempt gives its side, as complete as it will ever be."""
    logs = [log for log in inputs_of(recording) if log.name.endswith(".log")]
    for log in logs:
        role, numbers = _last_words(recording, log)
        reader, stream = new_reader(), growing(log)
        emitted: dict[int, Sequence[Side]] = {}
        for line in unfiltered(log, stream):
            emitted[line.where.line] = reader.take(line)
        asks = _release(recording) < 50 and role is Role.DESTINATION
        for number in numbers:
            (side,) = emitted[number]
            prefault = side.received.prefault
            postcopy = prefault is not None and prefault.abandoned is None
            assert side.role is role
            assert side.state is (SideState.OPEN if postcopy else SideState.ASK_PARTNER if asks else SideState.OVER)
        final = {(side.role, side.attempt): side for sides in emitted.values() for side in sides if side.final}
        final |= {(side.role, side.attempt): side for side in reader.finish()}
        last = {(side.role, side.attempt): side for sides in emitted.values() for side in sides if not side.final}
        for key, side in final.items():
            told = len(last[key].observations)
            assert last[key].observations == side.observations[:told]
            if last[key].state is not SideState.OPEN:
                assert side.observations[told:] == ()


def test_most_recordings_have_last_words() -> None:
    """Only a process that was killed, or has no migration, says no last word."""
    silent = {
        f"{recording}/{log.name}"
        for recording in RECORDINGS
        for log in inputs_of(recording)
        if log.name.endswith(".log") and not _last_words(recording, log)[1]
    }
    assert silent == _SILENT


@pytest.mark.parametrize("recording", RECORDINGS)
@settings(max_examples=_ORDERS, deadline=None)
@given(seed=st.integers(min_value=0, max_value=1 << 32))
def test_holes_are_counted(recording: str, seed: int) -> None:
    """Whatever is missing: no exception, the lines are counted, and what they may have belonged to says so."""
    reader, random = new_reader(), _random(seed)
    streams, lost = [], 0
    for log in inputs_of(recording):
        kept: list[Line] = []
        missing = 0
        for line in unfiltered(log, growing(log)):
            if random.random() < 0.2:
                missing += 1
            else:
                kept.append(replace(line, lost_before=missing))
                lost, missing = lost + missing, 0
        streams.append(kept)
    order = _interleaved(streams, random)
    for line in order:
        for side in reader.take(line):
            assert side.lines_lost <= lost
    reader.finish()
    assert reader.report.lines_lost == lost


def test_a_hole_marks_the_attempt_that_it_is_in() -> None:
    """Lines that are missing count against the migration under way, and against the one that begins after them."""
    (log,) = (log for log in inputs_of("v53.0-retry") if log.name == "source.log")
    lines = unfiltered(log, growing(log))
    begins = [at for at, line in enumerate(lines) if "API request event: VmSendMigration" in line.text]
    holes = {begins[0] + 1: 1, begins[1]: 3, begins[1] + 9: 2}
    sides = feed(new_reader(), [replace(line, lost_before=holes.get(at, 0)) for at, line in enumerate(lines)])
    assert {side.attempt: side.lines_lost for side in sides.values()} == {1: 1 + 3, 2: 3 + 2}
