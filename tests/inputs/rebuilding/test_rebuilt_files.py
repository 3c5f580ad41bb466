"""Records in any order, with copies and holes, become the lines of their files, in order and numbered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from feeding import RECORDINGS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sample import FULL
from sent_files import SentFile, in_one_batch, recording_requests, scattered
from trace_invariants import CORPUS

from otelmig.inputs.rebuilding import RebuiltFiles
from otelmig.inputs.record import FileKey, LogRecord
from otelmig.inputs.rotation import log_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sent_files import Request

    from otelmig.inputs.rebuilding import Placed, RebuiltFile
    from otelmig.inputs.rebuilding.held_records import HeldRow

_HOSTS = {"source": "host-a", "destination": "host-b"}


@dataclass
class Saved:
    """What was saved of files, and of what waits for lines of them."""

    files: dict[str, bytes] = field(default_factory=dict)
    held: dict[int, HeldRow] = field(default_factory=dict)

    def restarted(self, files: RebuiltFiles) -> RebuiltFiles:
        """What a process that was started again has: what had changed was saved."""
        for file in files.dirty():
            self.files[file.key] = files.save(file)
        for row in files.held_rows():
            if row.saved is None:
                self.held.pop(row.ident, None)  # it may have been forgotten with its file meanwhile
            else:
                self.held[row.ident] = row
        again = RebuiltFiles(patience_s=files.patience_s, most_held=files.most_held)
        for document in self.files.values():
            again.load(document)
        again.load_held((row.ident, row.saved or b"") for row in self.held.values())
        assert again.held == files.held
        return again

    def forget(self, files: RebuiltFiles, file: RebuiltFile) -> None:
        """Forget a file, and what waits under its name if it was the last one of that."""
        held = files.held
        files.forget(file)
        self.files.pop(file.key, None)
        if files.held < held:
            of_file = {ident for ident, row in self.held.items() if _name(row.record) == _name(file)}
            self.held = {ident: row for ident, row in self.held.items() if ident not in of_file}


def _name(named: LogRecord | RebuiltFile) -> tuple[str, str, str]:
    return named.file.host, log_of(named.file.path), named.epoch


def rebuilt(requests: Iterable[Request], restarts: Iterable[bool] = ()) -> dict[str, list[Placed]]:
    """The lines of each file, in their order, after everything was waited for; some requests are behind a restart."""
    files = RebuiltFiles()
    saved = Saved()
    placed: list[Placed] = []
    restart = iter(restarts)
    for request in requests:
        for record in request:
            placed += files.take(record, 0.0)
        if next(restart, False):
            files = saved.restarted(files)
    placed += files.overdue(0.0)
    placed += files.overdue(math.inf)
    assert files.held == 0
    by_file: dict[str, list[Placed]] = {}
    for each in placed:
        by_file.setdefault(each.file.key, []).append(each)
    return {key: sorted(lines, key=lambda line: line.position) for key, lines in by_file.items()}


def told(lines: Sequence[Placed]) -> list[tuple[int, str]]:
    """The lines with their numbers."""
    return [(line.line, line.record.text) for line in lines]


def written(file: SentFile) -> list[tuple[int, str]]:
    """The lines of a file that are not empty, with their numbers, as an editor shows them."""
    texts = file.data.decode("utf-8", "replace").split("\n")[:-1]
    return [(number, text.removesuffix("\r")) for number, text in enumerate(texts, 1) if text.removesuffix("\r")]


_TEXTS = st.just("") | st.text(st.sampled_from("ab é\ufffd\t0"), min_size=3, max_size=9)
"""Empty lines, and some of a few characters; a shorter one might be two line ends."""

_ANY = st.text(st.sampled_from("ab é\t0"), min_size=1, max_size=9)


@st.composite
def _files(draw: st.DrawFn) -> SentFile:
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    lines = [text.encode() for text in draw(st.lists(_TEXTS, max_size=30))]
    first = [b"1", b"2"] if end == b"\r\n" else []  # without them, nobody knows yet how long an empty line is
    return SentFile(data=b"".join(line + end for line in first + lines))


@given(_files(), st.integers(0, 1 << 32), st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_any_order_gives_the_lines_of_the_file(file: SentFile, seed: int, sizes: list[int]) -> None:
    """Each line is given out once, under its number, whatever the order of the requests, with copies and restarts."""
    random = Random(seed)
    requests = scattered(file.batches(*sizes), random)
    lines = rebuilt(requests, [random.random() < 0.3 for _ in requests])
    assert [told(each) for each in lines.values()] == ([written(file)] if file.records else [])
    assert not any(line.lost_before for each in lines.values() for line in each)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings_are_rebuilt(name: str) -> None:
    """The files of a recording are what they were, whatever the order in which their lines come in.

    Of very many requests a smaller part is behind a restart: each one saves and loads everything that waits.
    """
    random = Random(name)
    requests = scattered(recording_requests(CORPUS / name, _HOSTS, 1, 7, 20), random)
    chance = min(0.1, 10 / len(requests))
    lines = rebuilt(requests, [random.random() < chance for _ in requests])
    by_path = {key.split("\n")[1]: told(each) for key, each in lines.items()}
    files = {
        f"/logs/{path.name}": written(SentFile(data=path.read_bytes()))
        for path in (CORPUS / name).iterdir()
        if path.name.split(".")[0] in _HOSTS
    }
    assert by_path == {path: each for path, each in files.items() if each}
    assert not any(line.lost_before for each in lines.values() for line in each)


@settings(max_examples=1_000 if FULL else 200)
@given(
    st.lists(_ANY, min_size=1, max_size=6),
    st.lists(_ANY, min_size=1, max_size=6),
    st.lists(_ANY, max_size=6),
    st.integers(0, 1 << 32),
    st.sampled_from([0, 1000]),
)
@example(alike=list("abcdef"), one=list("ghi"), other=list("jklmno"), seed=197, number=0)
@example(alike=list("abcdef"), one=list("ghijkl"), other=[], seed=117, number=0)
@example(alike=list("abcd"), one=list("gh"), other=list("opqrst"), seed=2164, number=0)
def test_two_files_that_begin_alike_are_told_apart(
    alike: list[str], one: list[str], other: list[str], seed: int, number: int
) -> None:
    """Two files of one name with equal first lines are two, each with its own lines, in any order of requests."""
    random = Random(seed)
    first = "".join(f"{text}\n" for text in alike)
    files = [
        SentFile(data=(first + "".join(f"{text}\n" for text in one)).encode()),
        SentFile(
            data=(first + "".join(f"{text}\n" for text in ("x" * 200, *other))).encode(),
            began_ns=1_790_000_000 * 10**9,
            first_number=1 + number,
        ),
    ]
    requests = scattered([batch for file in files for batch in file.batches(random.randint(1, 4))], random)
    lines = rebuilt(requests, [random.random() < 0.3 for _ in requests])
    assert sorted(told(each) for each in lines.values()) == sorted(written(file) for file in files)


@settings(max_examples=1_000 if FULL else 200)
@given(_files(), st.integers(0, 1 << 32), st.sets(st.integers(2, 29)))
def test_holes_are_counted(file: SentFile, seed: int, missing: set[int]) -> None:
    """What is missing is said before the line behind it; the rest is in order, under its own numbers."""
    random = Random(seed)
    kept = [record for at, record in enumerate(file.records) if at not in missing]
    requests = scattered([in_one_batch([record]) for record in kept], random)
    lines = rebuilt(requests, [random.random() < 0.3 for _ in requests])
    assert len(lines) == bool(kept)
    given_out = [line for each in lines.values() for line in each]
    numbers = {record.offset: number for record, (number, _) in zip(file.records, written(file), strict=True)}
    assert told(given_out) == [(numbers[record.offset], record.text) for record in kept]
    assert not any(line.is_late for line in given_out)
    at = {record.offset: place for place, record in enumerate(file.records)}
    for before, line in pairwise(given_out):
        between = at[line.record.offset] - at[before.record.offset] - 1
        assert bool(line.lost_before) == bool(between)
        assert between <= line.lost_before <= line.line - before.line - 1 or not between
    assert sum(line.lost_before for line in given_out) == max((line.file.lost for line in given_out), default=0)


_KEYS = [FileKey("a", path) for path in ("/x/ch.log", "/x/ch.log.1", "/x/ch.log-20261130", "journald:ch", "ch")]
_RECORDS = st.builds(
    LogRecord,
    text=st.sampled_from(["", "a", "b", "ab", "abc\ufffd", "\0\0a", "\0"]),
    file=st.sampled_from(_KEYS),
    offset=st.none() | st.integers(0, 12) | st.just((1 << 63) - 1),
    number=st.none() | st.integers(1, 6) | st.just((1 << 63) - 1),
    size=st.integers(0, 4),
    received_ns=st.none() | st.integers(0, 3),
    is_sequel=st.booleans(),
    epoch=st.sampled_from(["", "boot"]),
)


def test_what_waits_no_more_may_be_forgotten_with_its_file() -> None:
    """A record that was saved, and was given out when its file was forgotten, does not come back with a restart."""
    first, gap, later = (
        LogRecord(text=text, file=_KEYS[0], offset=offset, number=number, size=1, received_ns=None)
        for text, offset, number in (("a", 0, 1), ("b", 9, 5), ("c", 40, 20))
    )
    files, saved = RebuiltFiles(patience_s=1.0), Saved()
    for record in (first, gap):
        files.take(record, 0.0)
    files = saved.restarted(files)
    assert [each.record.text for each in (*files.overdue(0.0), *files.overdue(10.0))] == ["b"]
    files.take(later, 10.0)
    saved.forget(files, files.files[0])
    assert saved.restarted(files).held == 0


@settings(max_examples=2_000 if FULL else 200)
@given(st.lists(st.tuples(_RECORDS, st.sampled_from(["", "wait", "restart", "forget"])), max_size=60))
def test_nothing_that_is_sent_breaks_it(sent: list[tuple[LogRecord, str]]) -> None:
    """Records that contradict each other are given out, wait, or are copies: each is counted, and only once."""
    files = RebuiltFiles(patience_s=1.0, most_held=8)
    saved = Saved()
    given, copies, dropped = 0, 0, 0
    for now, (record, then) in enumerate(sent):
        given += len(files.take(record, float(now)))
        if then == "wait":
            given += len(files.overdue(float(now)))
        elif then == "restart":
            copies += files.copies
            files = saved.restarted(files)
        elif then == "forget" and files.files:
            held = files.held
            saved.forget(files, files.files[0])
            dropped += held - files.held
        assert files.held <= 8
    given += len(files.overdue(math.inf))
    assert files.held == files.counts.held_size == 0
    assert given + copies + files.copies + dropped == len(sent)
