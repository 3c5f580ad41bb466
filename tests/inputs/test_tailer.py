"""What happens to logs while they are followed: each line comes once, whatever is done to its file."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import pytest
from tailed_run import Followed

from otelmig.errors import InputError
from otelmig.inputs.tailing import Checkpoint, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_NOBODY: Final = 65534


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a log is, or will be."""
    return tmp_path / "ch.log"


@pytest.fixture
def followed(log: Path) -> Iterator[Followed]:
    """A tailer of that log and its rotations."""
    with Followed(targets=[str(log)]) as each:
        yield each


def _lines(name: str, *numbers: int) -> list[str]:
    return [f"{name} line {number}, which is long enough to be told from others" for number in numbers]


def _written(file: IO[str], lines: list[str]) -> None:
    file.write("".join(f"{line}\n" for line in lines))
    file.flush()


def test_a_file_that_is_not_there_yet(followed: Followed, log: Path) -> None:
    """It is read from its beginning when it comes."""
    assert not followed.look()
    log.write_text("one\ntwo\n")
    assert followed.look() == ["one", "two"]


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    """It is looked for every few seconds."""
    with Followed(targets=[str(tmp_path / "later" / "ch.log")]) as followed:
        followed.look()
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "ch.log").write_text("one\n")
        assert followed.look(6.0) == ["one"]


def test_a_line_in_parts(followed: Followed, log: Path) -> None:
    """It is read once it has an end."""
    with log.open("w") as file:
        for part in ("on", "e\ntw", "o"):
            file.write(part)
            file.flush()
            followed.look()
        assert followed.texts == ["one"]
        file.write("\n\nfour\n")
    assert followed.look() == ["two", "four"]


def test_the_last_line_of_a_process_that_is_gone(followed: Followed, log: Path) -> None:
    """It is read without an end: nobody writes the rest."""
    with log.open("w") as file:
        file.write("one\ntw")
        file.flush()
        assert followed.look() == ["one"]
        assert not followed.gone
    assert followed.look() == ["tw"]
    assert followed.gone == ["ch.log"]


def test_a_writer_that_closes_its_log_in_between(followed: Followed, log: Path) -> None:
    """Closing it says nothing of its end: it is said once, taken back with the next line, and not said again."""
    for number in range(4):
        with log.open("a") as file:
            _written(file, _lines("a", number))
        followed.look()
    assert followed.texts == _lines("a", 0, 1, 2, 3)
    assert followed.gone == ["ch.log"]


def test_a_writer_that_dies(followed: Followed, log: Path) -> None:
    """A process that is killed is noticed by the end of its handle."""
    code = "import sys, time; f = open(sys.argv[1], 'w'); f.write('a\\n'); f.flush(); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(log)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        followed.look()
        assert not followed.gone
        writer.kill()
    assert not followed.look()
    assert followed.gone == ["ch.log"]


def test_renamed_with_a_kept_handle(followed: Followed, log: Path) -> None:
    """The writer goes on in the renamed file, while another one begins by the old name."""
    with log.open("w") as first:
        _written(first, _lines("a", 1))
        followed.look()
        log.rename(log.with_name("ch.log.1"))
        _written(first, _lines("a", 2))
        with log.open("w") as second:
            _written(second, _lines("b", 1))
            followed.look()
            _written(first, _lines("a", 3))
            _written(second, _lines("b", 2))
            followed.look()
    assert sorted(followed.texts) == [*_lines("a", 1, 2, 3), *_lines("b", 1, 2)]


def test_rotated_twice_while_behind(followed: Followed, log: Path) -> None:
    """Between two looks: what was written to each of the three files is read."""
    with log.open("w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        _written(file, _lines("a", 2))
    log.rename(log.with_name("ch.log.1"))
    log.write_text("\n".join([*_lines("b", 1, 2), ""]))
    log.with_name("ch.log.1").rename(log.with_name("ch.log.2"))
    log.rename(log.with_name("ch.log.1"))
    log.write_text("\n".join([*_lines("c", 1), ""]))
    followed.look()
    assert followed.texts == [*_lines("a", 1, 2), *_lines("b", 1, 2), *_lines("c", 1)]


def test_rotated_twice_while_not_running(followed: Followed, log: Path) -> None:
    """The same, between a kill and a restart."""
    with log.open("w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        followed.save()
        _written(file, _lines("a", 2))
    followed.restart()
    log.rename(log.with_name("ch.log.2"))
    log.with_name("ch.log.1").write_text("\n".join([*_lines("b", 1), ""]))
    log.write_text("\n".join([*_lines("c", 1), ""]))
    followed.look()
    assert followed.texts == [*_lines("a", 1, 2), *_lines("b", 1), *_lines("c", 1)]


def test_killed_before_anything_was_saved(followed: Followed, log: Path) -> None:
    """What was read since is read again."""
    log.write_text("one\n")
    followed.look()
    followed.save()
    with log.open("a") as file:
        file.write("two\n")
    assert followed.look() == ["two"]
    followed.restart()
    assert followed.look() == ["two"]


@pytest.mark.parametrize("append", [False, True], ids=["hole", "append"])
@pytest.mark.parametrize("seen", [False, True], ids=["behind", "up to date"])
def test_copied_and_truncated(followed: Followed, log: Path, *, append: bool, seen: bool) -> None:
    """What was not read yet is read from the copy, whoever writes goes on behind a hole or at the beginning."""
    with log.open("a" if append else "w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        _written(file, _lines("a", 2))
        if seen:
            followed.look()
        copy = log.with_name("ch.log.1")
        copy.write_bytes(log.read_bytes())
        if seen:
            followed.look()
        os.truncate(log, 0)
        if seen:
            followed.look()
        _written(file, _lines("a", 3, 4))
        followed.look()
        _written(file, _lines("a", 5))
    followed.look(6.0)
    assert followed.texts == _lines("a", 1, 2, 3, 4, 5)


def test_truncated_in_the_middle_of_a_line(followed: Followed, log: Path) -> None:
    """Its beginning is in the copy, and the rest behind the hole: it is one line."""
    with log.open("w") as file:
        file.write("one is the first line\nthe second")
        file.flush()
        followed.look()
        log.with_name("ch.log.1").write_bytes(log.read_bytes())
        os.truncate(log, 0)
        file.write(" line\nthree\n")
    followed.look()
    assert followed.texts == ["one is the first line", "the second line", "three"]


def test_started_again_on_its_log(followed: Followed, log: Path) -> None:
    """The log was emptied, and grew beyond where it was read to: its content tells."""
    log.write_text("\n".join([*_lines("a", 1, 2), ""]))
    followed.look()
    log.write_text("\n".join([*_lines("b", 1, 2, 3), ""]))
    followed.look()
    assert followed.texts == [*_lines("a", 1, 2), *_lines("b", 1, 2, 3)]


def test_two_logs_with_equal_heads(tmp_path: Path) -> None:
    """Each of them is read."""
    with Followed(targets=[str(tmp_path)]) as followed:
        for name in ("one.log", "two.log"):
            (tmp_path / name).write_text("banner\n" * 100)
        followed.look()
        for name in ("one.log", "two.log"):
            with (tmp_path / name).open("a") as file:
                file.write(f"{name}\n")
        followed.look()
    assert sorted(followed.texts) == [*["banner"] * 200, "one.log", "two.log"]


def test_a_renamed_log_and_its_successor_with_an_equal_head(followed: Followed, log: Path) -> None:
    """A log that begins like the one that was renamed is another one."""
    with log.open("w") as first:
        _written(first, ["banner"])
        followed.look()
        log.rename(log.with_name("ch.log.1"))
        with log.open("w") as second:
            _written(second, ["banner"])
            followed.look()
            _written(second, ["b"])
            _written(first, ["a"])
            followed.look()
    assert sorted(followed.texts) == ["a", "b", "banner", "banner"]


def test_an_inode_that_is_used_again(followed: Followed, log: Path) -> None:
    """While nobody looked, the log was deleted, and another one got its inode."""
    log.write_text("\n".join([*_lines("a", 1), ""]))
    followed.look()
    followed.save()
    (checkpoint,) = map(Checkpoint.loaded, followed.checkpoints.values())
    log.unlink()
    log.write_text("\n".join([*_lines("b", 1, 2), ""]))
    followed.checkpoints = {checkpoint.key: checkpoint._replace(inode=log.stat().st_ino).saved()}
    followed.restart()
    assert followed.look() == _lines("b", 1, 2)


@pytest.mark.parametrize("running", [False, True])
def test_moved_to_another_inode(followed: Followed, log: Path, *, running: bool) -> None:
    """Restored from a backup, or saved by an editor: what was read of it is not read again."""
    log.write_text("\n".join([*_lines("a", 1), ""]))
    followed.look()
    followed.save()
    backup = log.with_name("backup")
    backup.write_text("\n".join([*_lines("a", 1, 2), ""]))
    backup.rename(log)
    if not running:
        followed.restart()
    assert followed.look() == _lines("a", 2)


def test_deleted_while_it_is_written(followed: Followed, log: Path) -> None:
    """It is read by its handle, until its writer is gone."""
    with log.open("w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        log.unlink()
        _written(file, _lines("a", 2))
        followed.look()
        for _ in range(4):
            followed.look(6.0)
        _written(file, _lines("a", 3))
        followed.look()
    assert followed.texts == _lines("a", 1, 2, 3)
    for _ in range(4):
        followed.look(6.0)
    assert followed.gone == ["ch.log"]


def test_moved_to_another_folder(followed: Followed, log: Path, tmp_path: Path) -> None:
    """It is read by its handle there, too."""
    (tmp_path / "old").mkdir()
    with log.open("w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        log.rename(tmp_path / "old" / "ch.log")
        followed.look()
        _written(file, _lines("a", 2))
        assert followed.look() == _lines("a", 2)


def test_a_glob_that_grows(tmp_path: Path) -> None:
    """Logs that match it are read as they come; others are not."""
    with Followed(targets=[str(tmp_path / "vm-*.log")]) as followed:
        followed.look()
        (tmp_path / "vm-1.log").write_text("one\n")
        (tmp_path / "other.log").write_text("other\n")
        assert followed.look() == ["one"]
        (tmp_path / "vm-2.log").write_text("two\n")
        assert followed.look() == ["two"]


def test_folders_below_a_folder(tmp_path: Path) -> None:
    """Those that come later, too; hidden files and links are left out."""
    with Followed(targets=[f"{tmp_path}/"]) as followed:
        followed.look()
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "ch.log").write_text("one\n")
        (tmp_path / ".hidden").write_text("hidden\n")
        (tmp_path / "link.log").symlink_to(tmp_path / "a" / "b" / "ch.log")
        followed.look()
        assert followed.texts == ["one"]


@contextmanager
def _nobody() -> Iterator[None]:
    """Be a user who may not read everything."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_permission_that_comes_and_goes() -> None:
    """It is said once, and the file is read as soon as it may be."""
    with TemporaryDirectory() as directory:  # every user reaches it
        Path(directory).chmod(0o755)
        log = Path(directory) / "ch.log"
        log.write_text("one\n")
        log.chmod(0)
        with Followed(targets=[str(log)]) as followed, _nobody():
            for _ in range(3):
                followed.look(6.0)
        assert followed.said == [f"{log}: Permission denied; tried again"]
        with Followed(targets=[str(log)]) as followed:
            with _nobody():
                followed.look()
            log.chmod(0o644)
            with _nobody():
                assert followed.look(6.0) == ["one"]
            log.chmod(0)
            with _nobody():
                assert not followed.look(6.0)


def test_a_fifo_is_refused(tmp_path: Path) -> None:
    """Where it was named, that is an error; where it was found, it is said once. It is never opened."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="a FIFO"):
        target_of(str(tmp_path / "fifo"))
    with pytest.raises(InputError, match="no regular file"):
        target_of("/dev/null")
    with Followed(targets=[str(tmp_path)]) as followed:
        followed.look()
        followed.look(6.0)
        assert followed.said == [
            f"{tmp_path}/fifo: a FIFO: what is read from it is lost to its other reader; passed over"
        ]


def test_a_copy_is_not_read(followed: Followed, log: Path) -> None:
    """As long as it says what the log says; when somebody writes to it, it is a file of its own."""
    log.write_text("\n".join([*_lines("a", 1, 2), ""]))
    followed.look()
    copy = log.with_name("ch.log.1")
    copy.write_bytes(log.read_bytes())
    followed.look()
    followed.look(6.0)
    assert followed.texts == _lines("a", 1, 2)


def test_without_notices(log: Path) -> None:
    """Where the kernel says nothing, everything is looked at a few times a second."""
    with Followed(targets=[str(log)], uses_notices=False) as followed:
        followed.look()
        log.write_text("one\n")
        assert followed.look(0.3) == ["one"]
        with log.open("a") as file:
            file.write("two\n")
        assert followed.look(0.3) == ["two"]
        log.rename(log.with_name("ch.log.1"))
        log.write_text("three\n")
        assert followed.look(0.3) == ["three"]


def test_bytes_that_are_no_text_and_long_lines(followed: Followed, log: Path) -> None:
    """Bytes are escaped, ends of lines taken off, and what is very long is cut."""
    log.write_bytes(b"a\xffb\r\n" + b"x" * (3 << 20) + b"\nlast\n")
    new = followed.look()
    assert new[0] == "a\\xffb"
    assert new[-1] == "last"
    assert max(map(len, new)) <= 1 << 16


@pytest.mark.parametrize("truncated", [False, True])
def test_a_copy_and_a_restart(followed: Followed, log: Path, *, truncated: bool) -> None:
    """What a copy says is not read after a restart either."""
    with log.open("w") as file:
        _written(file, _lines("a", 1))
        followed.look()
        _written(file, _lines("a", 2))
        log.with_name("ch.log.1").write_bytes(log.read_bytes())
        if truncated:
            os.truncate(log, 0)
            _written(file, _lines("a", 3))
        followed.look()
        followed.save()
        followed.restart()
        _written(file, _lines("a", 4))
    followed.look()
    assert followed.texts == _lines("a", 1, 2, *([3] if truncated else []), 4)


def test_a_copy_that_was_there_before(followed: Followed, log: Path) -> None:
    """It is not read."""
    log.write_text("\n".join([*_lines("a", 1), ""]))
    log.with_name("ch.log.1").write_bytes(log.read_bytes())
    assert followed.look() == _lines("a", 1)
