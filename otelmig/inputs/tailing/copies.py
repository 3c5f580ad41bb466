"""Files that say what others say: a rotation by copying makes them before it empties the log."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import field

from otelmig.inputs.rotation import log_of
from otelmig.inputs.tailing.folders import Found, Identity
from otelmig.inputs.tailing.followed_file import FollowedFile, is_same, print_of
from otelmig.inputs.tailing.handles import opened
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from otelmig.inputs.record import LogRecord
    from otelmig.inputs.tailing.followed_file import Checkpoint

__all__ = ["Copies"]


class _Copy(NamedTuple):
    """A file that says what another one says, as far as it goes."""

    place: str
    size: int
    """Bytes of it when it was compared last."""
    original: FollowedFile


class Copies(Struct):
    """The copies that are there: none is read as long as it says nothing of its own."""

    checkpoints: list[Checkpoint] = field(default_factory=list)
    """Of copies that were read in place of their originals, for whoever saves them and clears the list."""
    _copies: dict[Identity, _Copy] = field(default_factory=dict)

    def is_copy(self, descriptor: int, candidate: Found, files: Iterable[FollowedFile]) -> bool:
        """Return whether a file with the name of a rotation says nothing but what one of ``files`` says."""
        if candidate.identity in self._copies:
            return True
        log = log_of(candidate.place)
        if log == candidate.place:
            return False
        for file in files:
            if log_of(file.key.path) == log and _is_beginning(descriptor, file):
                self._copies[candidate.identity] = _Copy(candidate.place, os.fstat(descriptor).st_size, file)
                return True
        return False

    def move(self, places: Mapping[Identity, str]) -> None:
        """Note where they are now."""
        self._copies = {
            identity: copy._replace(place=places[identity])
            for identity, copy in self._copies.items()
            if identity in places
        }

    def other_now(self) -> list[Found]:
        """Return those that say something of their own now: they are files like any other."""
        others: list[Found] = []
        for identity, copy in list(self._copies.items()):
            with suppress(OSError), opened(copy.place) as descriptor:
                status = os.fstat(descriptor)
                if status.st_ino != identity.inode or status.st_size == copy.size:
                    continue
                if _is_beginning(descriptor, copy.original) or is_same(descriptor, copy.original.content):
                    self._copies[identity] = copy._replace(size=status.st_size)
                    continue
                del self._copies[identity]
                others.append(Found(identity, copy.place, status.st_mtime_ns))
        return others

    def rest_of(self, file: FollowedFile, known: Collection[Identity]) -> Sequence[LogRecord]:
        """Return the lines of a file that was emptied which were not read, from the copy that was made of it before."""
        log = Path(log_of(file.key.path))
        if not file.content.size:
            return ()
        with suppress(OSError):
            for place in sorted(log.parent.iterdir()):
                if log_of(place.name) != log.name or not place.is_file():
                    continue
                with suppress(OSError), opened(str(place)) as descriptor:
                    status = os.fstat(descriptor)
                    identity = Identity(status.st_dev, status.st_ino)
                    if identity not in known and is_same(descriptor, file.content):
                        self._copies[identity] = _Copy(str(place), status.st_size, file)
                        records = file.read_other(descriptor, time.time_ns())
                        read = file.checkpoint()._replace(content=print_of(descriptor, file.offset))
                        self.checkpoints.append(read._replace(device=identity.device, inode=identity.inode))
                        return records
        return ()


def _is_beginning(descriptor: int, file: FollowedFile) -> bool:
    """Return whether all that a file says is what ``file`` begins with."""
    size = os.fstat(descriptor).st_size
    if os.fstat(file.descriptor).st_size >= size:
        return print_of(descriptor, size) == print_of(file.descriptor, size)
    return False
