"""The folders that are looked into: which regular files are there, by which names, and whether that changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import field

from otelmig.inputs.rotation import log_of, written_order
from otelmig.inputs.tailing.inotify import Noticed
from otelmig.inputs.tailing.targets import refused
from otelmig.printable import shown_name
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otelmig.inputs.tailing.inotify import Inotify, Notice
    from otelmig.inputs.tailing.targets import Target

__all__ = ["Folders", "Found", "Identity", "Writing"]

# numbers and no flags: each notice is compared with all of them, and an operator of flags takes twenty times as long
_NAMES: Final = int(Noticed.CREATE | Noticed.MOVED_FROM | Noticed.MOVED_TO | Noticed.DELETE | Noticed.ATTRIB)
"""What changes which files are there, or may be read."""
_CLOSED: Final = int(Noticed.CLOSE_WRITE)
_WRITING: Final = int(Noticed.MODIFY | Noticed.CLOSE_WRITE)
_GONE: Final = int(Noticed.DELETE_SELF | Noticed.MOVE_SELF | Noticed.IGNORED)
_OVERFLOW: Final = int(Noticed.OVERFLOW)
_MOST_FILES: Final = 10_000
"""Files of one folder that are looked at."""


class Identity(NamedTuple):
    """What tells a file from every other one that is there at the same time."""

    device: int
    inode: int


class Found(NamedTuple):
    """A regular file and its name."""

    identity: Identity
    place: str
    modified_ns: int

    @property
    def age(self) -> tuple[str, tuple[int, str], int]:
        """What orders files as they were written, those of one log together."""
        return log_of(self.place), written_order(self.place), self.modified_ns


class Writing(NamedTuple):
    """A file that was written to, or closed by one that could write to it."""

    place: str
    watch: int
    """Of the file itself, where no folder was watched."""
    is_closed: bool


class _Folder(Struct):
    targets: list[Target]
    watch: int | None = None
    is_stale: bool = True
    """Whether names in it may have changed since it was read."""
    inner: set[str] = field(default_factory=set)
    """The names of the folders in it."""
    names: dict[str, tuple[int, Identity | None]] = field(default_factory=dict)
    """The inode that the folder itself says, and who the file is; None for what is no regular file."""


class Folders(Struct, kw_only=True):
    """All folders of the targets."""

    targets: list[Target]
    say: Callable[[str], None]
    notices: Inotify | None
    """None where the kernel gives none: then everything is looked at again and again."""
    _folders: dict[str, _Folder] = field(default_factory=dict)
    _by_watch: dict[int, str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def look_for_folders(self) -> None:
        """Search for folders that came or went; every folder is read anew at the next look."""
        wanted: dict[str, list[Target]] = {}
        for target in self.targets:
            for path in target.folders():
                wanted.setdefault(path, []).append(target)
        for path in self._folders.keys() - wanted.keys():
            self._drop(path)
        for path, targets in sorted(wanted.items()):
            folder = self._folders.setdefault(path, _Folder(targets))
            folder.is_stale = True
            if folder.watch is None:
                self._watch(path, folder)

    def take(self, notices: Iterable[Notice]) -> list[Writing]:
        """Take notices; return which files were written to."""
        writing: dict[tuple[str, int], bool] = {}
        for notice in notices:
            if notice.what & _OVERFLOW:
                self.look_for_folders()
                continue
            path = self._by_watch.get(notice.watch)
            if path is not None and notice.what & _GONE:
                self._drop(path)
            elif path is not None and notice.what & _NAMES:
                self._folders[path].is_stale = True
            elif notice.what & _WRITING:
                key = ("", notice.watch) if path is None else (f"{path}/{notice.name}", 0)
                writing[key] = writing.get(key, False) or bool(notice.what & _CLOSED)
        return [Writing(*key, is_closed) for key, is_closed in writing.items()]

    def changed(self) -> tuple[list[Found], bool]:
        """Return the files that stand by other names than when this was asked last, and whether names are gone."""
        new: list[Found] = []
        is_less = False
        while stale := [path for path, folder in self._folders.items() if folder.is_stale]:
            has_more = False
            for path in stale:
                folder = self._folders[path]
                folder.is_stale = False
                before, folder.names, inner = folder.names, {}, folder.inner
                for name, inode in self._entries(path, folder):
                    known = before.pop(name, None)
                    if known is not None and known[0] == inode and known[1] is not None:
                        folder.names[name] = known
                        continue
                    one = self._regular(f"{path}/{name}", folder)
                    folder.names[name] = (inode, None if one is None else one.identity)
                    is_less = is_less or known is not None
                    if one is not None:
                        new.append(one)
                is_less = is_less or bool(before)
                has_more = has_more or bool(folder.inner - inner)
            if has_more:
                self.look_for_folders()
        return new, is_less

    def everything(self) -> dict[Identity, str]:
        """Return every file that is known to be there, with one of its names."""
        return {
            identity: f"{path}/{name}"
            for path, folder in self._folders.items()
            for name, (_, identity) in folder.names.items()
            if identity is not None
        }

    def again(self, place: str) -> None:
        """Look at a name anew the next time: the file behind it could not be read."""
        path, _, name = place.rpartition("/")
        folder = self._folders.get(path)
        if folder is not None:
            folder.names.pop(name, None)

    def say_once(self, text: str) -> None:
        """Say something that does not change."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _entries(self, path: str, folder: _Folder) -> list[tuple[str, int]]:
        """Return the names in a folder that are wanted, with their inodes."""
        entries: list[tuple[str, int]] = []
        inner: set[str] = set()
        try:
            with os.scandir(path) as there:
                for entry in there:
                    if entry.is_dir(follow_symlinks=False):
                        inner.add(entry.name)
                    elif any(target.wants(entry.name) for target in folder.targets):
                        entries.append((entry.name, entry.inode()))
        except OSError as error:
            self.say_once(f"{shown_name(path)}: {os.strerror(error.errno or 0)}; looked for again")
        folder.inner = inner if any(target.is_folder for target in folder.targets) else set()
        if len(entries) > _MOST_FILES:
            self.say_once(f"{shown_name(path)}: more than {_MOST_FILES} files: those that come first are followed")
        return sorted(entries)[:_MOST_FILES]

    def _regular(self, place: str, folder: _Folder) -> Found | None:
        """Return what stands by a name, if that is a regular file; a link counts only where it was named itself."""
        try:
            status = Path(place).stat(follow_symlinks=not all(target.is_folder for target in folder.targets))
        except OSError:
            return None
        if stat.S_ISREG(status.st_mode):
            return Found(Identity(status.st_dev, status.st_ino), place, status.st_mtime_ns)
        if not stat.S_ISLNK(status.st_mode):
            refusal = refused(Path(place))
            if refusal is not None:
                self.say_once(f"{refusal}; passed over")
        return None

    def _watch(self, path: str, folder: _Folder) -> None:
        if self.notices is None:
            return
        try:
            folder.watch = self.notices.watch(path, _NAMES | _WRITING | Noticed.DELETE_SELF | Noticed.MOVE_SELF)
        except FileNotFoundError:
            return  # it is not there yet
        except OSError as error:
            self.say_once(f"{shown_name(path)}: {os.strerror(error.errno or 0)}; looked at every few seconds")
            return
        self._by_watch[folder.watch] = path

    def _drop(self, path: str) -> None:
        """Forget a folder that is gone, or not meant any more; its files are still read by their handles."""
        folder = self._folders.get(path)
        if folder is None:
            return
        if folder.watch is not None:
            self._by_watch.pop(folder.watch, None)
            if self.notices is not None:
                self.notices.forget(folder.watch)
        self._folders[path] = _Folder(folder.targets)
