"""The scan of a file gives the lines that looking at each line would give, with their numbers, wherever blocks end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import SECCOMP, wanted
from otelmig.inputs import files, open_input

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from otelmig.inputs import Line

_WANTED: Final = wanted(("-- ",))
_PREFIX: Final = b"cloud-hypervisor:   1.000000s: <migration-worker> DEBUG:vmm/src/memory_manager.rs:3385 -- "
_ROW: Final = re.compile(rb"-- GPA: [0-9a-f]{1,16} size: ([0-9]{1,12}) \(KiB\)\r?\n")
_rows: Final = st.builds(
    lambda prefix, size, end: prefix + b"GPA: 1000 size: %d (KiB)" % size + end,
    st.sampled_from([_PREFIX, _PREFIX, _PREFIX, _PREFIX.replace(b"-worker", b""), _PREFIX[:-2] + b" -- "]),
    st.sampled_from([4, 8, 101120]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)
_others: Final = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"123456\n",
        _PREFIX + b"create ram region for zone mem0\r\n",
        _PREFIX + b"GPA: 1000 size: 4 (MiB)\r\n",
        _PREFIX + b"GPA: 1000 size: 4 (KiB) and more\r\n",
        _PREFIX + b"Precopy complete, preparing for downtime phase\r\n",
        _PREFIX + b"Dirty Memory Range Table:\r\n",
    ]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that every example writes anew."""
    return tmp_path_factory.mktemp("scan") / "source.log"


def _expected(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Each wanted line with its number, found by looking at one line after the other."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        if _WANTED.matches(line):
            yield number, line


def _told(line: Line) -> list[bytes]:
    """The sizes of the rows that a line stands for, or else its text."""
    if line.run:
        return list(line.run)
    row = _ROW.search(line.text.encode() + b"\n")
    return [line.text.encode() if row is None else row[1]]


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(st.one_of(_rows, _rows, _rows, _others), max_size=40), block=st.sampled_from([128, 300, 1000]))
def test_no_line_is_missed_or_given_twice(path: Path, lines: list[bytes], block: int) -> None:
    """Rows of a dirty table may be given together; none is lost, counted twice, or taken for one that it is not."""
    path.write_bytes(b"".join(lines) or b"\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_BLOCK", block)
        patch.setattr(files, "_AHEAD", 50)
        given_out = list(open_input(path).lines(_WANTED))
    expected = list(_expected(path.read_bytes()))
    told = []
    for _, text in expected:
        row = _ROW.search(text + b"\n")
        told.append(text.removesuffix(b"\r") if row is None else row[1])
    assert [each for line in given_out for each in _told(line)] == told
    texts = dict(expected)
    for line in given_out:
        assert line.text.encode() == texts[line.where.line].removesuffix(b"\r")
        assert not line.run or line.last.encode() + b"\n" in path.read_bytes().replace(b"\r", b"")


def test_a_long_table_is_given_in_one_line_a_block(path: Path) -> None:
    """Nothing else is asked of its rows; the line after it has the right number."""
    rows = [_PREFIX + b"GPA: %x size: %d (KiB)\r\n" % (number << 12, number % 7 + 1) for number in range(20_000)]
    path.write_bytes(b"".join(rows) + _PREFIX + b"Precopy complete, preparing for downtime phase\r\n")
    *tables, last = open_input(path).lines(_WANTED)
    assert len(tables) < 10
    assert sum(int(size) for table in tables for size in table.run) == sum(number % 7 + 1 for number in range(20_000))
    assert last.where.line == 20_001


@pytest.mark.parametrize(
    "line", [_PREFIX[:40] + b" -- GPA: ", b"GPA: 1 size: 4 (KiB)", b"x" * 600 + b"-- GPA: 1 size: 4 (KiB)"]
)
def test_what_only_begins_like_a_row_is_given_alone(line: bytes, path: Path) -> None:
    """It has no size, no message in front of it, or stands too far to the right."""
    path.write_bytes((line + b"\n") * 3)
    given_out = list(open_input(path).lines(_WANTED))
    assert len(given_out) == 3 * (b"-- GPA: " in line)
    assert not any(each.run for each in given_out)


@pytest.mark.parametrize("between", [0, 1, 2])
def test_a_marker_counts_near_other_wanted_lines(between: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same block or the next one; anywhere else it is somebody else's."""
    monkeypatch.setattr(files, "_BLOCK", 1000)
    monkeypatch.setattr(files, "_AHEAD", 0)
    near, noise = _PREFIX + b"Dirty Memory Range Table is empty\n", b"." * 99 + b"\n"
    path.write_bytes(near + noise * 10 * between + SECCOMP.encode() + b"\n" + noise * 30)
    texts = [line.text for line in open_input(path).lines(_WANTED)]
    assert (SECCOMP in texts) == (between < 2)


def test_a_line_that_is_wanted_twice_is_given_once(tmp_path: Path) -> None:
    """A message and the mark of a report in one line, or the mark twice, make one line with its own number."""
    mark, message = "==== Possible seccomp violation ====", " -- Migration complete"
    lines = [message, f"{message} {mark}", "between", f"{mark} {mark}", message, "after", f"{message} {mark} {mark}"]
    path = tmp_path / "source.log"
    path.write_text("".join(f"{line}\n" for line in [*lines, mark]))
    given = open_input(path).lines(wanted((" -- ",)))
    assert [(line.where.line, line.text) for line in given] == [
        (number, line) for number, line in enumerate([*lines, mark], start=1) if line not in ("between", "after")
    ]
