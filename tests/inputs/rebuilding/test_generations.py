"""Which file of one name a record belongs to: restarts, rotations, copies, senders that leave lines out."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sent_files import SentFile, in_one_batch

from otelmig.inputs.line import Host
from otelmig.inputs.rebuilding import RebuiltFile, RebuiltFiles
from otelmig.inputs.record import FileKey, LogRecord
from otelmig.inputs.rotation import Age, number_among

if TYPE_CHECKING:
    from collections.abc import Sequence

_LATER_NS = 1_790_000_000 * 10**9


def lines(*texts: str) -> bytes:
    """A file of these lines."""
    return "".join(f"{text}\n" for text in texts).encode()


def nth(file: RebuiltFile) -> int:
    """Which file of its name it is, in the order of their age; one that was begun before the first one is 0."""
    return file.generation // 16 - 1023


def given_out(files: RebuiltFiles, records: list[LogRecord], now_s: float = 0.0) -> list[tuple[int, int, str]]:
    """The generation, the number and the text of each line that is in order with these records."""
    return [
        (nth(placed.file), placed.line, placed.record.text)
        for record in records
        for placed in files.take(record, now_s)
    ]


def test_a_restart_on_the_same_file_is_another_file() -> None:
    """A file that was emptied begins again at its first byte."""
    files = RebuiltFiles()
    assert given_out(files, SentFile(data=lines("one", "two")).records) == [(1, 1, "one"), (1, 2, "two")]
    again = SentFile(data=lines("three", "four"), began_ns=_LATER_NS).records
    assert given_out(files, again) == [(2, 1, "three"), (2, 2, "four")]
    assert files.copies == files.conflicts == files.held == files.lost == 0


def test_a_renamed_file_goes_on_under_its_new_name() -> None:
    """Cloud Hypervisor writes on into what is called ``ch.log.1`` now; the new ``ch.log`` is another file."""
    files = RebuiltFiles()
    whole = SentFile(data=lines("one", "two", "three", "four")).records
    assert given_out(files, whole[:2]) == [(1, 1, "one"), (1, 2, "two")]
    new = SentFile(data=lines("new"), began_ns=_LATER_NS).records
    assert given_out(files, new) == [(2, 1, "new")]
    renamed = SentFile(data=lines("one", "two", "three", "four"), path="/var/log/ch.log.1").records
    assert given_out(files, renamed) == [(1, 3, "three"), (1, 4, "four")]
    assert files.copies == 2
    assert {file.key for file in files.files} == {
        "id-of-host-a\n/var/log/ch.log\n16384",
        "id-of-host-a\n/var/log/ch.log\n16400",
    }


def test_a_file_that_was_emptied_under_its_writer_goes_on() -> None:
    """After copytruncate the next line stands behind as many NULs as there were bytes: it is the next line."""
    files = RebuiltFiles()
    first = SentFile(data=lines("one", "two"))
    assert len(given_out(files, first.records)) == 2
    holed = SentFile(data=bytes(len(first.data)) + lines("three", "four"), began_ns=_LATER_NS)
    assert given_out(files, holed.records) == [(1, 3, "three"), (1, 4, "four")]
    assert files.lost == 0


def test_a_sender_that_leaves_lines_out_loses_none() -> None:
    """What lies between two records of a batch is filtered; from then on nothing of this file is waited for."""
    files = RebuiltFiles()
    sent = SentFile(data=lines("one", "config", "three", "table", "table", "six")).records
    assert given_out(files, in_one_batch([sent[0], sent[2]])) == [(1, 1, "one"), (1, 3, "three")]
    assert given_out(files, in_one_batch([sent[5]])) == [(1, 6, "six")]
    (file,) = files.files
    assert file.is_filtered
    assert (files.lost, files.held) == (0, 0)


def test_a_hole_is_waited_for_and_then_counted() -> None:
    """Lines behind a hole are given out when it was waited for, with the number of those missing; they may be late."""
    files = RebuiltFiles(patience_s=60.0)
    sent = SentFile(data=lines("one", "two", "three", "four", "five")).records
    given_out(files, sent[:1], 10.0)
    assert given_out(files, sent[4:], 20.0) == given_out(files, sent[3:4], 21.0) == []
    (file,) = files.files
    assert file.is_waiting
    assert (files.held, files.next_due_s()) == (2, 80.0)
    assert files.overdue(79.0) == []
    placed = files.overdue(80.0)
    assert [(each.line, each.lost_before) for each in placed] == [(4, 2), (5, 0)]
    assert (files.held, files.lost, file.is_waiting) == (0, 2, False)
    assert files.next_due_s() is None
    (late,) = files.take(sent[1], 81.0)
    assert (late.line, late.is_late, files.lost) == (2, True, 1)
    assert late.position < placed[0].position


def test_a_sender_may_begin_in_the_middle() -> None:
    """The first record that comes of a file need not be its first line: it is given out once it was waited for."""
    files = RebuiltFiles(patience_s=60.0)
    sent = SentFile(data=lines("one", "two", "three", "four")).records
    assert given_out(files, sent[1:3]) == []
    assert [(each.line, each.lost_before) for each in files.overdue(60.0)] == [(2, 0), (3, 0)]
    assert given_out(files, sent[3:], 61.0) == [(1, 4, "four")]


def test_too_many_that_wait_are_given_out() -> None:
    """What waits is bounded: those that waited longest are given out before they are due."""
    files = RebuiltFiles(most_held=3)
    sent = SentFile(data=lines(*map(str, range(10)))).records
    assert given_out(files, [sent[0], sent[2], sent[4], sent[6]]) == [(1, 1, "0")]
    assert given_out(files, [sent[8]]) == [(1, 3, "2")]
    assert (files.held, files.lost) == (3, 1)
    files = RebuiltFiles(largest_held=2)
    assert given_out(files, [sent[0], sent[2], sent[4], sent[6]]) == [(1, 1, "0"), (1, 3, "2")]
    assert (files.held, files.counts.held_size) == (2, 2)


def test_a_journal_waits_for_nothing() -> None:
    """Entries of other units lie between those of one, so a gap says nothing; an entry that came is a copy."""
    files = RebuiltFiles()
    key = FileKey("machine", "journald:ch.service")
    sent = [LogRecord(str(at), key, offset=at, received_ns=at, epoch="boot") for at in (5, 9, 7, 9)]
    placed = [each for record in sent for each in files.take(record, 0.0)]
    assert [(each.position, each.is_late) for each in placed] == [(5, False), (9, False), (7, True)]
    assert (files.copies, files.lost) == (1, 0)
    (again,) = files.take(sent[0]._replace(epoch="next boot"), 0.0)
    assert again.file is not placed[0].file


def test_records_without_a_place_are_as_they_come() -> None:
    """Where nobody says where a line stood, the order of arrival is its order."""
    files = RebuiltFiles()
    key = FileKey("", "container:1")
    placed = [each for text in "bab" for each in files.take(LogRecord(text, key), 0.0)]
    assert [(each.line, each.record.text) for each in placed] == [(1, "b"), (2, "a"), (3, "b")]


def test_what_was_saved_goes_on() -> None:
    """A file is the same after a restart, with what waits, which is saved apart; another format is refused."""
    files = RebuiltFiles()
    sent = SentFile(data=lines("one", "two", "three", "four")).records
    given_out(files, [sent[0], sent[2]])
    (file,) = files.dirty()
    assert files.dirty() == []
    document = files.save(file)
    (row,) = files.held_rows()
    assert files.held_rows() == []
    again = RebuiltFiles()
    loaded = again.load(document)
    again.load_held([(row.ident, row.saved or b"")])
    assert (loaded.key, loaded.host, again.held) == (file.key, Host(name="host-a", id="id-of-host-a"), 1)
    assert again.next_due_s() == -math.inf
    assert again.overdue(5.0) == []
    assert again.next_due_s() == 65.0
    assert given_out(again, [sent[1], sent[2]]) == [(1, 2, "two"), (1, 3, "three")]
    assert again.copies == 1
    assert again.save(loaded) != document
    assert [(each.ident, each.saved) for each in again.held_rows()] == [(row.ident, None)]
    with pytest.raises(ValueError, match=r"^a file saved in format 3, of which this release knows 1 and 2 only$"):
        again.load(document.replace(b'"format":2', b'"format":3'))
    with pytest.raises(ValueError, match=r"^a saved record is damaged$"):
        again.load_held([(1, b"[null, 5]")])


def test_what_an_earlier_release_saved_is_read() -> None:
    """Format 1 had what waits in the file's document; it is saved apart from then on."""
    files = RebuiltFiles()
    sent = SentFile(data=lines("one", "two", "three", "four")).records
    given_out(files, sent[:1])
    (file,) = files.dirty()
    document = json.loads(files.save(file))
    runs = [([(record._replace(host=None), ("host-a", "id-of-host-a", ())) for record in sent[2:]], False)]
    again = RebuiltFiles()
    loaded = again.load(json.dumps(document | {"format": 1, "runs": runs}).encode())
    assert again.held == 2
    assert again.dirty() == [loaded]
    assert "runs" not in json.loads(again.save(loaded))
    held = [(row.ident, row.saved or b"") for row in again.held_rows()]
    third = RebuiltFiles()
    third.load(again.save(loaded))
    third.load_held(held)
    for each in (again, third):
        assert given_out(each, sent[1:2]) == [(1, 2, "two"), (1, 3, "three"), (1, 4, "four")]


def test_the_state_of_a_long_file_is_small() -> None:
    """However many lines a file has, with however many holes, little is kept of it."""
    files = RebuiltFiles(patience_s=0.0)
    sent = SentFile(data=lines(*(f"line {number}" for number in range(20_000)))).records
    for record in sent:
        if record.number is not None and record.number % 97:
            files.take(record, 0.0)
            files.overdue(0.0)
    (file,) = files.files
    assert len(files.save(file)) < 12_000
    assert files.lost == 20_000 // 97
    assert not [placed for record in sent[100:16_000:7] for placed in files.take(record, 0.0)]


def test_a_file_that_is_forgotten_begins_anew() -> None:
    """The others do not."""
    files = RebuiltFiles()
    one, other = (SentFile(data=lines("one", "two"), path=f"/var/log/{name}.log").records for name in "ab")
    given_out(files, [one[0], other[0], one[1]])
    files.forget(next(file for file in files.files if file.file.path == "/var/log/b.log"))
    assert given_out(files, other) == [(1, 1, "one"), (1, 2, "two")]
    assert given_out(files, one) == []


def test_what_is_missing_is_counted_once() -> None:
    """A file that was saved, forgotten and loaded again does not lose its lines a second time."""
    files = RebuiltFiles(patience_s=0.0)
    records = SentFile(data=lines("one", "two", "three", "four")).records
    given_out(files, [records[0], records[3]])
    assert len(list(files.overdue(1.0))) == 1
    assert files.lost == 2
    (file,) = files.files
    for _ in range(2):
        document = files.save(file)
        files.forget(file)
        assert files.lost == 2
        file = files.load(document)
    assert files.lost == 2
    given_out(files, [records[1]])
    assert files.lost == 1


def _rotations(first_number: int, count: int) -> list[SentFile]:
    """A log and its rotations as they are when somebody begins to read them, the oldest one first."""
    names = [f"/var/log/ch.log.{number}" for number in reversed(range(first_number, first_number + count))]
    return [SentFile(data=lines(f"{path} one", f"{path} two"), path=path) for path in (*names, "/var/log/ch.log")]


def _order(files: Sequence[SentFile]) -> list[str]:
    """The names of files that are read in this order, as their numbers order them."""
    rebuilt = RebuiltFiles()
    for file in files:
        for record in file.records:
            rebuilt.take(record, 0.0)
    return [each.file.path for each in sorted(rebuilt.files, key=lambda each: each.generation)]


@given(st.permutations(range(6)), st.sampled_from([0, 1]))
def test_rotations_that_were_there_at_first_are_in_the_order_of_their_names(order: list[int], number: int) -> None:
    """Whichever of them arrives first: that of logrotate, and that of libvirt, which counts from 0."""
    written = _rotations(number, 5)
    assert _order([written[at] for at in order]) == [file.path for file in written]


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), [7, *range(7)], [3, 7, 0, 5, 1, 6, 2, 4]])
def test_dated_rotations_are_in_the_order_of_their_dates(order: Sequence[int]) -> None:
    """The earlier the date, the older, whichever arrives first."""
    names = [f"/var/log/ch.log-202611{day:02}" for day in (1, 2, 3, 9, 10, 28, 29)]
    written = [SentFile(data=lines(path), path=path) for path in (*names, "/var/log/ch.log")]
    assert _order([written[at] for at in order]) == [file.path for file in written]


def test_a_rotation_that_was_not_there_at_first_is_not_older() -> None:
    """While nobody read, a file came and was renamed: it was begun long after what had been read before."""
    known = SentFile(data=lines("one"))
    later = SentFile(data=lines("two"), path="/var/log/ch.log.1", began_ns=known.began_ns + 3600 * 10**9)
    assert _order([known, later]) == [known.path, later.path]
    newest = SentFile(data=lines("three"), began_ns=later.began_ns + 10**6)
    assert _order([known, newest, later]) == [known.path, later.path, newest.path]


def test_times_in_the_lines_tell_which_is_older() -> None:
    """Whatever the files are called, and whenever they were read."""
    early, late = (lines(f"2026-11-2{day}T15:23:19.681105Z starting") for day in (3, 4))
    known = SentFile(data=early)
    later = SentFile(data=late, path="/var/log/ch.log.1")
    assert _order([known, later]) == _order([later, known]) == [known.path, later.path]
    long_after = SentFile(data=early, path="/var/log/ch.log.1", began_ns=_LATER_NS)
    assert _order([SentFile(data=late), long_after]) == ["/var/log/ch.log.1", "/var/log/ch.log"]


def test_a_file_that_was_read_earlier_and_arrives_later_is_older() -> None:
    """Two files of one name, of which the requests overtook each other."""
    first, second = SentFile(data=lines("one")), SentFile(data=lines("two"), began_ns=_LATER_NS)
    files = RebuiltFiles()
    assert given_out(files, second.records) == [(1, 1, "two")]
    assert given_out(files, first.records) == [(0, 1, "one")]


def test_where_there_is_no_room_a_file_is_the_newest() -> None:
    """An earlier release counted files from 1: nothing goes before the first of them."""
    others = {1: Age("ch.log", None, 5), 2: Age("ch.log", None, 9)}
    assert number_among(Age("ch.log.1", None, 5), others) == 18
    assert number_among(Age("ch.log", None, 7), others) == 18
    assert number_among(Age("ch.log", None, 11), {(1 << 19) - 5: others[1]}) == (1 << 19) - 4
