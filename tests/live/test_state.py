"""What is on the disk: written whole or not at all, for one service at a time."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from otelmig.errors import StateError, StateFullError
from otelmig.live.state.changes import Changes, Done, StoredLine
from otelmig.live.state.database import State

_LARGE = 1 << 30
_LINE = StoredLine("host\n/log", 7, 2, "text", 5, "", 0, 9)
_DONE = Done("host\n/log", "source", b"id", 1, "t" * 32, "s" * 16, 5, None)


def test_requests_are_there_after_a_restart(tmp_path: Path) -> None:
    """In the order in which they came."""
    with State(tmp_path / "state", most_bytes=_LARGE) as state:
        first = state.keep([(b"one", False), (b"two", True)], 5)
        state.keep([(b"three", False)], 6)
    with State(tmp_path / "state", most_bytes=_LARGE) as state:
        assert [(each.body, each.is_json, each.at_ns) for each in state.requests()] == [
            (b"one", False, 5),
            (b"two", True, 5),
            (b"three", False, 6),
        ]
        state.write(Changes(requests=first))
        assert [each.body for each in state.requests()] == [b"three"]


def test_changes_are_written_together(tmp_path: Path) -> None:
    """Lines, files, what is done; lines that are not needed any more go before new ones come."""
    with State(tmp_path / "state", most_bytes=_LARGE) as state:
        state.write(
            Changes(lines={(_LINE.file, 7): _LINE}, files={"host\n/log\n1": b"saved"}, done={("f", "r", b"i"): _DONE})
        )
        assert (state.lines(_LINE.file), state.files_of("host\n/log"), state.done_of("host\n/log")) == (
            [_LINE],
            [b"saved"],
            [_DONE],
        )
        assert state.logs_with_lines() == [_LINE.file]
        later = _LINE._replace(position=8)
        state.write(Changes(gone_lines=[(_LINE.file, 0, 8)], lines={(_LINE.file, 8): later}, gone_done=[6]))
        assert (state.lines(_LINE.file), state.done_of("host\n/log")) == ([later], [])
        state.write(Changes(gone_logs=[_LINE.file]))
        assert state.files_of(_LINE.file) == []


def test_one_service_at_a_time(tmp_path: Path) -> None:
    """The second one is told so in one line."""
    with State(tmp_path / "state", most_bytes=_LARGE), pytest.raises(StateError, match="another otelmig"):
        State(tmp_path / "state", most_bytes=_LARGE)
    with State(tmp_path / "state", most_bytes=_LARGE):
        pass


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Its directory and its files are the user's own; one that others may read is refused."""
    with State(tmp_path / "state", most_bytes=_LARGE):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        files = [path for path in (tmp_path / "state").iterdir() if not path.name.endswith("-shm")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    (tmp_path / "state").chmod(0o750)
    with pytest.raises(StateError, match="0700"):
        State(tmp_path / "state", most_bytes=_LARGE)


def test_the_directory_of_a_dynamic_user_is_a_link(tmp_path: Path) -> None:
    """Systemd makes it for a unit with ``DynamicUser=`` and ``StateDirectory=``."""
    (tmp_path / "private").mkdir(mode=0o700)
    link = tmp_path / "state"
    link.symlink_to("private")
    with State(link, most_bytes=_LARGE):
        assert {"lock", "state.sqlite"} <= {path.name for path in (tmp_path / "private").iterdir()}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a link that is somebody else's")
def test_a_link_that_somebody_else_made_is_not_followed(tmp_path: Path) -> None:
    """It leads to where the user's files are not expected."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    link = tmp_path / "state"
    link.symlink_to("elsewhere")
    os.chown(link, 65_534, -1, follow_symlinks=False)
    with pytest.raises(StateError, match="no directory"):
        State(link, most_bytes=_LARGE)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_newer_release_wrote_it(tmp_path: Path) -> None:
    """It is refused, and not touched."""
    with State(tmp_path / "state", most_bytes=_LARGE):
        pass
    with closing(sqlite3.connect(tmp_path / "state" / "state.sqlite")) as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(StateError, match="newer otelmig"):
        State(tmp_path / "state", most_bytes=_LARGE)


def test_damage(tmp_path: Path) -> None:
    """A file that is no database is one clear line, and is not left open."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "state.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match="not a database"):
        State(tmp_path / "state", most_bytes=_LARGE)
    assert "state.sqlite" not in {path.resolve().name for path in Path("/proc/self/fd").iterdir()}


def test_a_link_in_the_place_of_the_database_is_not_followed(tmp_path: Path) -> None:
    """Nothing is made where it leads to."""
    (tmp_path / "own").mkdir(mode=0o700)
    (tmp_path / "own" / "state.sqlite").symlink_to(tmp_path / "target")
    with pytest.raises(StateError):
        State(tmp_path / "own", most_bytes=_LARGE)
    assert not (tmp_path / "target").exists()


def test_full(tmp_path: Path) -> None:
    """A request for which there is no room is refused whole; there is room again once others are worked off."""
    with State(tmp_path / "state", most_bytes=200_000) as state:
        kept = state.keep([(os.urandom(50_000), False), (os.urandom(50_000), False)], 5)
        with pytest.raises(StateFullError):
            state.keep([(b"small", False), (os.urandom(150_000), False)], 5)
        assert [each.ident for each in state.requests()] == kept
        state.write(Changes(requests=kept))
        state.keep([(os.urandom(50_000), False)], 5)
        assert state.bytes_used < 200_000
