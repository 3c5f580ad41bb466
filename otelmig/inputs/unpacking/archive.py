"""Archives as inputs: the files in a tar, packed or not, or in a zip; each is read where it lies, none is extracted.

What is packed is unpacked once, into one temporary file that is gone when its inputs are.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.inputs.files import LATEST_NS, InputFile, with_head
from otelmig.inputs.unpacking.read_once import TemporaryFile
from otelmig.printable import shown_name
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["members_of"]

_MOST: Final = 10_000
"""At most this many members of an archive are read."""
_LARGEST: Final = 1 << 34
"""Bytes that an archive may have when it is unpacked."""
_DEEPEST: Final = 3
"""An archive may lie in an archive."""
_BLOCK: Final = 1 << 19
_USTAR: Final = slice(257, 262)
_OTHERS: Final = ((b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!\x1a\x07", "RAR"))
_TIMESTAMP: Final = 0x5455
"""The extra field of a zip's member that tells its time in UTC; the time that each has is of an unknown zone."""
_FIELD_HEAD: Final = 4
"""Bytes of what an extra field is, and of its length."""
_DATED: Final = 5
"""Bytes of such a field's flags and of its first time, that of the last change."""


class _Member(NamedTuple):
    name: str
    begin: int
    size: int
    mtime_ns: int | None


class _Unpacked(TemporaryFile):
    """What an archive is unpacked into."""

    def __init__(self, archive: InputFile) -> None:
        super().__init__()
        self._archive = archive

    def write(self, block: bytes) -> None:
        if self.size + len(block) > _LARGEST:
            raise InputError(f"{self._archive.name}: more than {_LARGEST >> 30} GiB when unpacked: want it unpacked")
        super().write(block)

    def input(self) -> InputFile:
        """Return what was written as an input in place of the archive."""
        return replace(
            self._archive, path=self.path, begin=0, size=self.size, compression=None, is_member=False, keeps_alive=self
        )


def members_of(file: InputFile, notes: list[str], depth: int = 1) -> list[InputFile] | None:
    """Return the files in ``file``, without hidden and empty ones; None if it is no archive.

    What keeps the rest of an archive from being read goes to ``notes``.

    Raises:
        InputError: in one line, why nothing of it can be read.
    """
    other = next((name for magic, name in _OTHERS if file.head.startswith(magic)), None)
    if other is not None:
        raise InputError(f"{file.name}: a {other} archive: want it unpacked")
    try:
        if file.head[_USTAR] == b"ustar":
            members = list(_of_tar(file, notes))
        elif file.head.startswith(b"PK\x03\x04"):
            members = list(_of_zip(file, notes))
        else:
            return None
    except OSError as error:
        raise InputError(f"{file.name}: cannot be unpacked: {os.strerror(error.errno or 0)}") from error
    if len(members) > _MOST:
        raise InputError(f"{file.name}: more than {_MOST} files: want an archive of logs")
    files: dict[str, InputFile] = {}
    for member in members:
        files.pop(member.name, None)  # of two of one name, the one that was added later is meant
        nested = members_of(member, notes, depth + 1) if depth < _DEEPEST else None
        files.update((one.name, one) for one in ((member,) if nested is None else nested))
    return list(files.values())


def _of_tar(file: InputFile, notes: list[str]) -> Iterator[InputFile]:
    import tarfile

    whole = file
    if file.compression is not None:
        with _Unpacked(file) as unpacked:
            for chunk in file.chunks():
                unpacked.write(chunk)
        notes += file.damage
        whole = unpacked.input()
    members: list[_Member] = []
    try:
        with whole.opened() as stream, tarfile.open(fileobj=stream, mode="r:", errors="surrogateescape") as archive:
            for info in archive:
                if info.isreg() and not info.issparse() and 0 < info.size <= whole.size - info.offset_data:
                    fraction = 0 if info.mtime % 1 else SECOND_NS - 1
                    mtime_ns = int(info.mtime * SECOND_NS) + fraction
                    members.append(_Member(info.name, info.offset_data, info.size, mtime_ns))
                elif info.isreg() and info.size:
                    notes.append(f"{file.name}: {shown_name(info.name)} is cut off or sparse: left out")
                if len(members) > _MOST:
                    break
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        notes.append(f"{file.name}: the archive ends early or is damaged ({error})")
    yield from _opened(whole, members)


def _of_zip(file: InputFile, notes: list[str]) -> Iterator[InputFile]:
    import zipfile
    import zlib

    members: list[_Member] = []
    damage = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)
    try:
        with _Unpacked(file) as unpacked, file.opened() as stream, zipfile.ZipFile(stream) as archive:
            for info in archive.infolist()[: _MOST + 1]:
                if info.is_dir() or not info.file_size:
                    continue
                begin = unpacked.size
                try:
                    with archive.open(info) as member:
                        while block := member.read(_BLOCK):
                            unpacked.write(block)
                except damage as error:
                    notes.append(f"{file.name}: {shown_name(info.filename)} cannot be unpacked to its end ({error})")
                members.append(_Member(info.filename, begin, unpacked.size - begin, _zip_time_ns(info.extra)))
    except damage as error:
        raise InputError(f"{file.name}: a zip archive that is damaged or cut off ({error})") from error
    yield from _opened(unpacked.input(), members)


def _zip_time_ns(extra: bytes) -> int | None:
    """Return the end of the second in which a member of a zip was last written, if it says so in UTC."""
    while len(extra) >= _FIELD_HEAD:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == _TIMESTAMP and length >= _DATED and extra[4] & 1:
            return int.from_bytes(extra[5:9], "little", signed=True) * SECOND_NS + SECOND_NS - 1
        extra = extra[4 + length :]
    return None


def _opened(whole: InputFile, members: list[_Member]) -> Iterator[InputFile]:
    """Yield the members that are not hidden, as inputs."""
    for member in members:
        parts = [part for part in PurePosixPath(member.name).parts if part not in ("/", "..")]
        if not parts or not member.size or any(part.startswith(".") for part in parts):
            continue
        inner = PurePosixPath(*parts)
        mtime_ns = (
            member.mtime_ns if member.mtime_ns is not None and 0 < member.mtime_ns < LATEST_NS else whole.mtime_ns
        )
        yield with_head(
            replace(
                whole,
                place=whole.place / inner,
                name=f"{whole.name}/{shown_name(str(inner))}",
                begin=whole.begin + member.begin,
                size=member.size,
                mtime_ns=mtime_ns,
                damage=[],
                folder=whole.place,
                is_member=True,
            )
        )
