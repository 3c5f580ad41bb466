"""What a live service keeps on the disk: requests that are not worked off, lines that are waited with, what is done.

A request is on the disk before its sender is told so. Once it is worked off, what is still needed of it (lines of
attempts that are under way, where each file is) replaces it, in one transaction: a restart at any instant finds either
the request or what became of it. SQLite keeps all of it (write-ahead log, ``synchronous=FULL``).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Any, Final

from otelmig.errors import StateError, StateFullError
from otelmig.live.state.changes import Done, StoredLine, StoredRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from otelmig.live.state.changes import Changes

__all__ = ["State"]

_FORMAT: Final = 2
"""Of the tables below. A newer release reads this one; an older one refuses."""
_SINCE_2: Final = """
CREATE TABLE beside (stream TEXT PRIMARY KEY, log TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE held (id INTEGER PRIMARY KEY, log TEXT NOT NULL, saved BLOB NOT NULL);
CREATE INDEX held_of_log ON held (log);
CREATE INDEX done_by_identity ON done (identity);
CREATE INDEX done_by_trace ON done (trace_id);
"""
"""What format 1 does not have: there, records that wait are saved with their files."""
_TABLES: Final = """
CREATE TABLE request (
    id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, is_json INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE aside (log TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE announced (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, saved TEXT NOT NULL, PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE TABLE file (key TEXT PRIMARY KEY, saved BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE line (
    file TEXT NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
    received_ns INTEGER, writer TEXT NOT NULL, lost_before INTEGER NOT NULL, arrived_ns INTEGER NOT NULL,
    PRIMARY KEY (file, position)
) WITHOUT ROWID;
CREATE TABLE tail (key TEXT PRIMARY KEY, saved TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE done (
    file TEXT NOT NULL, role TEXT NOT NULL, identity BLOB NOT NULL, attempt INTEGER NOT NULL, trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL, at_ns INTEGER NOT NULL, fate TEXT, PRIMARY KEY (file, role, identity)
) WITHOUT ROWID;
"""
_DATABASE: Final = "state.sqlite"
_LOCK: Final = "lock"


class State:
    """The state of one live service, in a directory of its own; a context, which closes and unlocks it.

    Raises:
        StateError: from every method, if the state cannot be used.
    """

    def __init__(self, directory: Path, *, most_bytes: int) -> None:
        """Open the state in ``directory``, which is made if it is not there."""
        self.directory, self.most_bytes = directory, most_bytes
        self._lock = _locked(directory)
        try:
            self._database = self._opened(most_bytes)
        except BaseException:
            os.close(self._lock)
            raise

    def _opened(self, most_bytes: int) -> sqlite3.Connection:
        path = self.directory / _DATABASE
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise _failed(self.directory, error) from error
        try:
            self._prepare(database, most_bytes)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection, most_bytes: int) -> None:
        """Have the tables in a database, and let it grow to so many bytes."""
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version < _FORMAT:
                missing = _SINCE_2 if version else _TABLES + _SINCE_2
                database.executescript(f"BEGIN; {missing} PRAGMA user_version={_FORMAT}; COMMIT;")
            (page,) = database.execute("PRAGMA page_size").fetchone()
            database.execute(f"PRAGMA max_page_count={max(most_bytes // page, 1)}")
        except sqlite3.Error as error:
            raise _failed(self.directory, error) from error
        if version > _FORMAT:
            raise StateError(f"{self.directory}: a newer otelmig wrote this state (format {version}, want {_FORMAT})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        os.close(self._lock)

    def keep(self, requests: Iterable[tuple[bytes, bool]], at_ns: int) -> list[int]:
        """Put requests (the body, whether it is JSON) on the disk; durable on return. Return their ids, in order."""
        idents: list[int] = []

        def insert() -> None:
            for body, is_json in requests:
                row = self._database.execute(
                    "INSERT INTO request (at_ns, is_json, body) VALUES (?, ?, ?)", (at_ns, is_json, body)
                )
                idents.append(row.lastrowid or 0)

        self._transact(insert)
        return idents

    def write(self, changes: Changes) -> None:
        """Write what a step of the work changed; durable on return."""
        database = self._database

        def apply() -> None:
            gone = [(f"{log}\n", f"{log}\n\x7f") for log in changes.gone_logs]
            database.executemany("DELETE FROM file WHERE key > ? AND key < ?", gone)
            database.executemany("DELETE FROM held WHERE log = ?", [(log,) for log in changes.gone_logs])
            over = [(ident,) for ident, (_, saved) in changes.held.items() if saved is None]
            database.executemany("DELETE FROM held WHERE id = ?", over)
            held = [(ident, log, saved) for ident, (log, saved) in changes.held.items() if saved is not None]
            database.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?)", held)
            database.executemany("DELETE FROM line WHERE file = ? AND position BETWEEN ? AND ?", changes.gone_lines)
            database.executemany("INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?)", changes.lines.values())
            database.executemany("INSERT OR REPLACE INTO file VALUES (?, ?)", changes.files.items())
            database.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?, ?, ?, ?, ?)", changes.done.values())
            database.executemany("DELETE FROM done WHERE at_ns < ?", [(ns,) for ns in changes.gone_done])
            away = [(log,) for log, is_aside in changes.aside.items() if is_aside]
            database.executemany("INSERT OR REPLACE INTO aside VALUES (?)", away)
            here = [(log,) for log, is_aside in changes.aside.items() if not is_aside]
            database.executemany("DELETE FROM aside WHERE log = ?", here)
            rows = [(*key, saved) for key, saved in changes.announced.items()]
            database.executemany("INSERT OR REPLACE INTO announced VALUES (?, ?, ?)", rows)
            database.executemany("DELETE FROM announced WHERE trace_id = ? AND span_id = ?", changes.gone_announced)
            apart = [(stream,) for stream, log in changes.beside.items() if log is None]
            database.executemany("DELETE FROM beside WHERE stream = ?", apart)
            beside = [row for row in changes.beside.items() if row[1] is not None]
            database.executemany("INSERT OR REPLACE INTO beside VALUES (?, ?)", beside)
            database.executemany("DELETE FROM tail WHERE key = ?", [(key,) for key in changes.gone_tails])
            database.executemany("INSERT OR REPLACE INTO tail VALUES (?, ?)", changes.tails.items())
            database.executemany("DELETE FROM request WHERE id = ?", [(ident,) for ident in changes.requests])

        self._transact(apply)

    def _transact(self, action: Callable[[], None]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                action()
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _failed(self.directory, error) from error

    def requests(self) -> Iterator[StoredRequest]:
        """Yield the requests that are not worked off, in the order in which they came in."""
        last = 0
        # one at a time, so that working one off may write: ids only grow
        while True:
            row = self._one("SELECT id, at_ns, body, is_json FROM request WHERE id > ? ORDER BY id LIMIT 1", last)
            if row is None:
                return
            last = row[0]
            yield StoredRequest(row[0], row[1], row[2], bool(row[3]))

    def files_of(self, log: str) -> list[bytes]:
        """Return what was saved of each file of a log; the keys of its files begin with the log's."""
        rows = self._all("SELECT saved FROM file WHERE key > ? AND key < ? ORDER BY key", f"{log}\n", f"{log}\n\x7f")
        return [saved for (saved,) in rows]

    def held_of(self, log: str) -> list[tuple[int, bytes]]:
        """Return the records of a log that wait for lines before them, with their numbers."""
        return self._all("SELECT id, saved FROM held WHERE log = ? ORDER BY id", log)

    def last_held(self) -> int:
        """Return the largest number of a record that waits; 0 if none does."""
        (largest,) = self._one("SELECT max(id) FROM held") or (0,)
        return largest or 0

    def lines(self, file: str) -> list[StoredLine]:
        """Return the lines of a file that are still needed, in order."""
        return [StoredLine(*row) for row in self._all("SELECT * FROM line WHERE file = ? ORDER BY position", file)]

    def count_lines(self, file: str) -> int:
        """Return how many lines of a file are still needed."""
        (count,) = self._one("SELECT count(*) FROM line WHERE file = ?", file) or (0,)
        return int(count)

    def logs(self) -> list[str]:
        """Return the keys of all logs."""
        keys = (key for (key,) in self._all("SELECT key FROM file ORDER BY key"))
        return list(dict.fromkeys(key.rpartition("\n")[0] for key in keys))

    def has_lines(self, file: str) -> bool:
        """Return whether lines of a log are still needed."""
        return self._one("SELECT 1 FROM line WHERE file = ? LIMIT 1", file) is not None

    def logs_with_lines(self) -> list[str]:
        """Return the keys of logs of which lines are still needed."""
        return [key for (key,) in self._all("SELECT DISTINCT file FROM line ORDER BY file")]

    def logs_aside(self) -> list[str]:
        """Return the keys of logs that wait for nothing."""
        return [key for (key,) in self._all("SELECT log FROM aside ORDER BY log")]

    def beside(self) -> dict[str, str]:
        """Return which streams stand beside which logs, though they are named otherwise."""
        return dict(self._all("SELECT stream, log FROM beside"))

    def done_of(self, log: str) -> list[Done]:
        """Return the sides of a log that traces were made of."""
        return [Done(*row) for row in self._all("SELECT * FROM done WHERE file = ? ORDER BY at_ns", log)]

    def sides_of(self, trace_id: str) -> int:
        """Return of how many sides a trace was made."""
        (count,) = self._one("SELECT count(*) FROM done WHERE trace_id = ?", trace_id) or (0,)
        return int(count)

    def owner_of(self, identity: bytes) -> tuple[str, str] | None:
        """Return on which log, and in which role, an identity was met first; None if it was not."""
        row = self._one("SELECT file, role FROM done WHERE identity = ? ORDER BY at_ns LIMIT 1", identity)
        return None if row is None else (row[0], row[1])

    def announced(self) -> list[str]:
        """Return the announcements as they were saved."""
        return [saved for (saved,) in self._all("SELECT saved FROM announced")]

    def tails(self) -> dict[str, str]:
        """Return how far files and the journal of this machine were read, as it was saved."""
        return dict(self._all("SELECT key, saved FROM tail"))

    @property
    def bytes_used(self) -> int:
        """What the tables take on the disk."""
        (pages,), (free,), (size,) = (
            self._one(f"PRAGMA {name}") or (0,) for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise _failed(self.directory, error) from error


def _locked(directory: Path) -> int:
    """Make the directory and lock it; return the descriptor that holds the lock."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = directory.lstat()
        if stat.S_ISLNK(own.st_mode) and own.st_uid in (0, os.getuid()):
            own = directory.stat()  # of a unit with DynamicUser= and StateDirectory= it is a link to the directory
        if not stat.S_ISDIR(own.st_mode):
            raise StateError(f"{directory}: no directory")
        if own.st_uid != os.getuid() or own.st_mode & 0o077:
            raise StateError(f"{directory}: others may read or write it (want mode 0700, and your own)")
        lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _failed(directory, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateError(f"{directory}: another otelmig serves from this state") from error
    return lock


def _failed(directory: Path, error: OSError | sqlite3.Error) -> StateError:
    if isinstance(error, sqlite3.Error):
        if error.sqlite_errorname in ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"):
            return StateFullError(f"{directory}: the state cannot grow: {error}")
        return StateError(f"{directory}: {error}")
    return StateError(f"{directory}: {os.strerror(error.errno or 0)}")
