"""What a log is called: by a person, with what tells it from others of its name; and beside which others it stands."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from otelmig.inputs.line import common_stem
from otelmig.inputs.rotation import distinct_ends, log_of
from otelmig.printable import shown_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from otelmig.inputs import Host
    from otelmig.inputs.record import FileKey

__all__ = ["LogNames", "is_file"]

_SEVERAL: Final = 2
"""Machines that have a log of one base name, from which on the machine's name tells them apart."""


class LogNames:
    """The logs that there are: by their base names, for the more there are the more is said of each, and by groups.

    A path is that of the log itself; a file of it may be called after its rotation. What is named alike is a group: a
    log and what the same process writes beside it.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, set[PurePosixPath]]] = {}
        """The machines that have a log of a base name, each with the folders where it has one."""
        self._groups: dict[str, set[str]] = {}
        """The keys of logs by what their names have in common."""
        self._beside: dict[str, str] = {}
        """Streams that the process of a log writes, though they are named otherwise: the key of each, and its log's."""

    def add(self, key: str) -> None:
        """Note that a machine has a log."""
        host, path = _host_and_path(key)
        self._folders.setdefault(_base(path), {}).setdefault(host, set()).add(PurePosixPath(path).parent)
        self._groups.setdefault(self.group(key), set()).add(key)

    def remove(self, key: str) -> None:
        """Forget a log: nothing is kept of it any more."""
        host, path = _host_and_path(key)
        hosts = self._folders.get(_base(path), {})
        folders = hosts.get(host, set())
        folders.discard(PurePosixPath(path).parent)
        if not folders:
            hosts.pop(host, None)
        if not hosts:
            self._folders.pop(_base(path), None)
        self._leave_group(key)

    def _leave_group(self, key: str) -> None:
        alike = self._groups.get(self.group(key), set())
        alike.discard(key)
        if not alike:
            self._groups.pop(self.group(key), None)

    def put_beside(self, key: str, log: str | None) -> bool:
        """Name a stream like a log from now on, or (None) as its path says; return whether its name changed."""
        if self._beside.get(key) == log:
            return False
        is_known = key in self.alike(key)
        self._leave_group(key)
        if log is None:
            del self._beside[key]
        else:
            self._beside[key] = log
        if is_known:
            self._groups.setdefault(self.group(key), set()).add(key)
        return True

    def alike(self, key: str) -> Collection[str]:
        """Return the keys of all that is named like a log; nothing if the log is not known."""
        return self._groups.get(self.group(key), ())

    def stem(self, key: str) -> str:
        """Return what readers know a log, and what is written beside it, by."""
        return _stem(self._beside.get(key, key))

    def group(self, key: str) -> str:
        """Return what the keys of a log and of the event stream beside it have in common."""
        return _group(self._beside.get(key, key))

    def name(self, file: FileKey, host: Host | None) -> str:
        """Return what a log is called now.

        That is its base name, after its host's where several hosts have one of that; where one host has several, the
        folders that tell them apart stand before it.
        """
        base = _base(file.path)
        hosts = self._folders.get(log_of(base), {})
        if len(hosts) >= _SEVERAL:
            return shown_name(f"{(None if host is None else host.name) or file.host}/{base}")
        folders = hosts.get(file.host, set())
        if len(folders) < _SEVERAL:
            return shown_name(base)
        return shown_name(distinct_ends(folders)[PurePosixPath(file.path).parent] / base)


def _base(path: str) -> str:
    return PurePosixPath(path).name or path


def _host_and_path(key: str) -> tuple[str, str]:
    """Return whose log it is, and the path that it has there."""
    host, _, path = key.partition("\n")
    return host, path


@lru_cache(maxsize=4096)
def _group(key: str) -> str:
    """Return what the keys of a log and of the event stream beside it have in common."""
    return common_stem(_stem(key))


def _stem(key: str) -> str:
    """Return a log's host and path, without the name's last suffix; what is no file is alone in a folder of its own."""
    host, path = _host_and_path(key)
    return f"{host}:{PurePosixPath(path).with_suffix('')}" if is_file(key) else f"{host}:{path}/"


def is_file(key: str) -> bool:
    """Return whether a log is a file, and not a unit of the journal or a container."""
    return "/" in _host_and_path(key)[1]
