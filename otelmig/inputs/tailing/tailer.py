"""Which file is which, while logs are written, rotated, emptied, copied, moved and started anew; and their lines.

A file is the one that it was if it has the same inode and begins with what was read of it, or if it is another inode
with that content where the old one is gone (it was restored). Anything else is another file.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from otelmig.inputs.record import FileKey
from otelmig.inputs.rotation import log_of
from otelmig.inputs.tailing.copies import Copies
from otelmig.inputs.tailing.folders import Folders, Identity
from otelmig.inputs.tailing.followed_file import Checkpoint, FollowedFile, is_same
from otelmig.inputs.tailing.handles import OPEN, has_writer, prepare
from otelmig.inputs.tailing.inotify import Inotify, Noticed
from otelmig.inputs.tailing.tailed import FileGone, Tailed
from otelmig.inputs.unpacking.holes import hole_note
from otelmig.printable import shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otelmig.inputs.line import Host
    from otelmig.inputs.tailing.folders import Found, Writing
    from otelmig.inputs.tailing.inotify import Notice
    from otelmig.inputs.tailing.targets import Target

__all__ = ["Tailer"]

_SWEEP_S: Final = 5.0
"""Seconds after which everything is looked at, whether or not the kernel said that it changed."""
_SWEEP_ALONE_S: Final = 0.2
"""The same where the kernel says nothing."""
_GROWN: Final = int(Noticed.MODIFY)
_KEPT_S: Final = 5.0
"""Seconds for which a file without a name is kept that does not grow any more."""


@dataclass(slots=True, kw_only=True)
class Tailer:
    """Follows files; whoever drives it calls :meth:`poll` when :meth:`fileno` can be read, or now and then."""

    targets: Sequence[Target]
    host: Host
    say: Callable[[str], None]
    uses_notices: bool = True
    _notices: Inotify | None = None
    _noticed: list[Notice] = field(default_factory=list)
    """What was noticed and not looked at yet."""
    _folders: Folders = field(init=False)
    _files: dict[Identity, FollowedFile] = field(default_factory=dict)
    _by_place: dict[str, FollowedFile] = field(default_factory=dict)
    _by_watch: dict[int, FollowedFile] = field(default_factory=dict)
    _left: dict[str, Checkpoint] = field(default_factory=dict)
    """What was read before a restart and is not found yet, by their keys."""
    _copies: Copies = field(default_factory=Copies)
    _over: list[str] = field(default_factory=list)
    """The keys of checkpoints that are not needed any more."""
    _swept_s: float = float("-inf")

    def __post_init__(self) -> None:
        prepare()
        if self.uses_notices:
            try:
                self._notices = Inotify()
            except OSError as error:
                self.say(f"no notices of changed files ({os.strerror(error.errno or 0)}): they are polled")
        self._folders = Folders(targets=list(self.targets), say=self.say, notices=self._notices)

    def close(self) -> None:
        """Give up everything."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._notices is not None:
            self._notices.__exit__()

    def fileno(self) -> int | None:
        """Return the descriptor that can be read when something changed; None if only time tells."""
        return None if self._notices is None else self._notices.fileno()

    def restore(self, saved: Mapping[str, str]) -> None:
        """Take how far files were read before a restart."""
        self._left = {key: Checkpoint.loaded(text) for key, text in saved.items() if key.startswith("/")}

    def changed(self) -> dict[str, str]:
        """Return how far the files were read that were read since this was asked last, by the keys of checkpoints."""
        changed = [file for file in self._files.values() if file.is_changed]
        for file in changed:
            file.is_changed = False
        copies, self._copies.checkpoints = self._copies.checkpoints, []
        return {
            checkpoint.key: checkpoint.saved() for checkpoint in (*copies, *(file.checkpoint() for file in changed))
        }

    def over(self) -> list[str]:
        """Return the keys of checkpoints that are not needed any more, since this was asked last."""
        over, self._over = self._over, []
        return over

    @property
    def next_due_s(self) -> float:
        """When :meth:`poll` is to be called at the latest (monotonic clock)."""
        return self._swept_s + (_SWEEP_S if self._notices is not None else _SWEEP_ALONE_S)

    def can_wait(self) -> bool:
        """Return whether nothing was noticed but that files grow: no writer is gone, and no name has changed."""
        if self._notices is not None:
            self._noticed += self._notices.read()
        return all(notice.what == _GROWN for notice in self._noticed)

    def poll(self, now_s: float) -> Tailed:
        """Read what is there."""
        tailed = Tailed()
        noticed, self._noticed = self._noticed, []
        writing = [] if self._notices is None else self._folders.take(noticed + self._notices.read())
        is_sweep = now_s >= self.next_due_s
        if is_sweep:
            self._swept_s = now_s
            self._folders.look_for_folders()
        new, is_less = self._folders.changed()
        if is_less or new:
            self._place(self._folders.everything())
        written = self._written(writing, everything=is_less or is_sweep)
        for file in written:
            self._read(file, tailed)
        self._begin(new + self._copies.other_now(), tailed)
        for file, is_closed in written.items():
            if is_closed or self._notices is None:
                self._closed(file, tailed, is_sure=is_closed)
        if is_sweep:
            self._let_go(now_s, tailed)
        return tailed

    def _begin(self, new: Sequence[Found], tailed: Tailed) -> None:
        """Open files, those that are known already and logs before their copies; read them as they were written."""
        inodes = {checkpoint.inode for checkpoint in self._left.values()}
        first = sorted(new, key=lambda one: (one.identity.inode not in inodes, log_of(one.place) != one.place))
        opened = {file: one for one in first if (file := self._open(one)) is not None}
        for file, _ in sorted(opened.items(), key=lambda item: item[1].age):
            self._read(file, tailed)
            self._closed(file, tailed, is_sure=False)

    def _written(self, writing: Iterable[Writing], *, everything: bool) -> dict[FollowedFile, bool]:
        """Return the files that were written to, and whether they were closed; look at ``everything``, or not."""
        written: dict[FollowedFile, bool] = {}
        for notice in writing:
            file = self._by_watch.get(notice.watch) if notice.watch else self._by_place.get(notice.place)
            if file is not None:
                written[file] = written.get(file, False) or notice.is_closed
        if everything:
            written |= {file: False for file in self._files.values() if file not in written and file.has_grown()}
        return written

    def _place(self, places: dict[Identity, str]) -> None:
        """Note by which names the files stand now."""
        self._by_place.clear()
        for identity, file in self._files.items():
            place = places.get(identity, "")
            if place:
                self._by_place[place] = file
                if file.watch is not None and self._notices is not None:
                    self._notices.forget(file.watch)
                    self._by_watch.pop(file.watch, None)
                    file.watch = None
            elif file.watch is None and self._notices is not None:
                with suppress(OSError):
                    what = Noticed.MODIFY | Noticed.CLOSE_WRITE
                    file.watch = self._notices.watch(f"/proc/self/fd/{file.descriptor}", what)
                    self._by_watch[file.watch] = file
            file.place = place
        self._copies.move(places)

    def _read(self, file: FollowedFile, tailed: Tailed) -> None:
        """Read a file; where it was emptied, first what a copy has of what was lost."""
        try:
            if not file.is_intact():
                known = len(self._copies.checkpoints)
                tailed.records += self._copies.rest_of(file, self._files)
                if known == len(self._copies.checkpoints):
                    self._over.append(file.checkpoint().key)
                file.begin(new_epoch())
            tailed.records += file.read(time.time_ns())
            for hole in file.holes:
                self.say(hole_note(shown_name(file.key.path), *hole))
            file.holes.clear()
        except OSError as error:
            self._folders.say_once(f"{shown_name(file.key.path)}: {os.strerror(error.errno or 0)}; tried again")

    def _open(self, one: Found) -> FollowedFile | None:
        """Open a file, and find out whether it is one that was known; return it, if it is to be read."""
        if one.identity in self._files:
            return None
        try:
            descriptor = os.open(one.place, OPEN)
        except OSError as error:
            self._folders.again(one.place)
            if not isinstance(error, FileNotFoundError):
                self._folders.say_once(f"{shown_name(one.place)}: {os.strerror(error.errno or 0)}; tried again")
            return None
        status = os.fstat(descriptor)
        identity = Identity(status.st_dev, status.st_ino)
        if (
            identity != one.identity
            or identity in self._files
            or self._copies.is_copy(descriptor, one, self._files.values())
        ):
            os.close(descriptor)
            return None
        file = FollowedFile(
            descriptor=descriptor,
            key=FileKey(self.host.id or self.host.name or "", self._log_of(one.place)),
            host=self.host,
            device=identity.device,
            inode=identity.inode,
            epoch=new_epoch(),
            place=one.place,
        )
        self._go_on(file)
        self._files[identity] = self._by_place[one.place] = file
        return file

    def _log_of(self, place: str) -> str:
        """Return the name of the log that a file is a rotation of, if there is or was such a log; else its own."""
        log = log_of(place)
        if log == place:
            return place
        known = {file.key.path for file in self._files.values()} | {
            checkpoint.path for checkpoint in self._left.values()
        }
        named = any(target.text == log for target in self.targets)
        return log if named or log in known or log in self._folders.everything().values() else place

    def _go_on(self, file: FollowedFile) -> None:
        """Go on in a file where it was read to before: before a restart, or by another inode that is gone since."""
        there = self._folders.everything()
        for key, left in self._left.items():
            is_moved = left.path == file.key.path and Identity(left.device, left.inode) not in there
            is_known = left.content.size > 0 and (left.inode == file.inode or is_moved)
            if is_known and is_same(file.descriptor, left.content):
                del self._left[key]
                file.key = FileKey(file.key.host, left.path)
                file.resume(left)
                return
        for identity, other in self._files.items():
            is_nameless = other.key == file.key and identity not in there
            if is_nameless and other.content.size and is_same(file.descriptor, other.content):
                file.resume(other.checkpoint())
                self._drop(identity)
                self._over.remove(file.checkpoint().key)
                return

    def _closed(self, file: FollowedFile, tailed: Tailed, *, is_sure: bool) -> None:
        """Note that nobody writes a file any more, if that is so; it ``is_sure`` that somebody closed it."""
        if file.went_on or file.is_gone or not file.offset:
            return
        writer = has_writer(file.descriptor)
        if writer or (writer is None and not is_sure):
            return
        with suppress(OSError):
            tailed.records += file.read(time.time_ns(), until_end=True)
        file.is_gone = True
        tailed.gone.append(FileGone(file.key, shown_name(os.path.basename(file.key.path))))  # noqa: PTH119 - a text

    def _let_go(self, now_s: float, tailed: Tailed) -> None:
        """Give up files that have no name any more and do not grow."""
        for identity, file in list(self._files.items()):
            if file.place:
                file.nameless_s = None
                continue
            if file.nameless_s is None or file.has_grown():
                file.nameless_s = now_s
                self._read(file, tailed)
            elif now_s - file.nameless_s >= _KEPT_S:
                writer = has_writer(file.descriptor)
                if writer or (writer is None and os.fstat(file.descriptor).st_nlink):
                    continue
                self._closed(file, tailed, is_sure=True)
                self._drop(identity)

    def _drop(self, identity: Identity) -> None:
        file = self._files.pop(identity)
        self._over.append(file.checkpoint().key)
        if file.watch is not None and self._notices is not None:
            self._by_watch.pop(file.watch, None)
            self._notices.forget(file.watch)
        file.close()


def new_epoch() -> str:
    """Return what no other file has."""
    return token_hex(6)
