"""Which files are read: those that were named, and those below a directory that was."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest
from trace_invariants import CORPUS, traced

from otelmig.inputs.opening import files_below, open_inputs
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOGS: Final = [CORPUS / "v53.0-twohosts" / name for name in ("source.log", "destination.log")]


@pytest.fixture
def hosts(tmp_path: Path) -> list[Path]:
    """Both hosts' logs, each in a directory of its own, with what else lies in such directories."""
    folders = [tmp_path / "hostA", tmp_path / "hostB" / "log"]
    for folder, log in zip(folders, _LOGS, strict=True):
        folder.mkdir(parents=True)
        shutil.copy(log, folder)
    (tmp_path / "hostA" / "notes.txt").write_text("not a log\n")
    (tmp_path / "hostA" / ".hidden.log").write_text("hidden\n")
    (tmp_path / "hostA" / "empty.log").touch()
    os.mkfifo(tmp_path / "hostB" / "events.fifo")
    (tmp_path / "hostB" / "loop").symlink_to(tmp_path)
    return [tmp_path / "hostA", tmp_path / "hostB"]


def test_directories_give_the_trace_of_their_files(hosts: list[Path]) -> None:
    """A directory stands for the logs below it: the same trace as from the two files."""
    (by_folder,), (by_file,) = traced(hosts), traced(_LOGS)
    assert by_folder.spans == by_file.spans


def test_what_is_no_log_is_a_note(hosts: list[Path]) -> None:
    """Nobody said that every file of a directory is a log: the others are named in one note, and are no error."""
    findings = read_findings(hosts)
    assert not findings.errors
    assert not findings.notes
    assert findings.left_out == [f"{hosts[0]}: left out (no log that otelmig knows): notes.txt"]


def test_a_document_that_speaks_of_migrations_is_no_log(tmp_path: Path) -> None:
    """What was measured of a recording lies beside it, in JSON over several lines: nobody asks for its line format."""
    for name in ("source.log", "destination.log", "truth.json"):
        shutil.copy(CORPUS / "v53.0-timeoutcancel" / name, tmp_path)
    findings = read_findings([tmp_path])
    assert not findings.errors
    assert not [note for note in findings.notes if "truth.json" in note]
    assert findings.left_out == [f"{tmp_path}: left out (no log that otelmig knows): truth.json"]
    (error,) = read_findings([tmp_path / "truth.json"]).errors
    assert str(error) == f"{tmp_path}/truth.json: no log or event stream of a hypervisor that otelmig knows"


def test_links_pipes_and_hidden_files_are_left_out(hosts: list[Path]) -> None:
    """A link may lead anywhere, and a pipe blocks whoever opens it."""
    names = [path.name for host in hosts for path in files_below(host)]
    assert names == ["empty.log", "notes.txt", "source.log", "destination.log"]


def test_directory_without_files(tmp_path: Path) -> None:
    """An empty directory is an error in one line: somebody expected logs in it."""
    _, errors, _ = open_inputs([tmp_path])
    assert [str(error) for error in errors] == [f"{tmp_path}: a directory without files (links are not followed)"]


def test_a_file_that_is_named_twice_is_read_once(hosts: list[Path]) -> None:
    """By itself and with its directory, it is one input."""
    logs, errors, _ = open_inputs([*hosts, hosts[0] / "source.log", hosts[0]])
    assert not errors
    assert [log.name for log in logs] == ["destination.log", "notes.txt", "source.log"]


def test_names_control_nothing(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and characters that a terminal obeys, are escaped in every name that is shown."""
    for name in (b"a\xff.log", b"\x1b[31mred.log", b"two\nlines.log", "left\u202eright.log".encode()):
        shutil.copy(_LOGS[0], tmp_path / os.fsdecode(name))
    logs, errors, _ = open_inputs([tmp_path])
    assert not errors
    assert {log.name for log in logs} == {"a\\xff.log", "\\x1b[31mred.log", "two\\nlines.log", "left\\u202eright.log"}


def test_a_file_that_goes_away_costs_only_itself(hosts: list[Path]) -> None:
    """A log that is rotated away between the listing and the reading: one note, and the other logs are traced."""

    def paths() -> Iterator[Path]:
        yield hosts[0]
        (hosts[0] / "source.log").unlink()
        yield hosts[1]

    findings = read_findings(paths())
    assert [migration.source for migration in findings.migrations] == [None]
    assert "source.log: cannot be read to its end: No such file or directory" in findings.notes


def test_what_is_no_log_and_has_no_line_feed_is_not_kept(tmp_path: Path) -> None:
    """An event stream that ends in a hole of zeros, as a crash may leave it: its bytes are read, and not held."""
    stream = tmp_path / "source.events.json"
    stream.write_bytes((_LOGS[0].parent / "source.events.json").read_bytes() + bytes(64 << 20))
    tracemalloc.start()
    try:
        read_findings([stream])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
