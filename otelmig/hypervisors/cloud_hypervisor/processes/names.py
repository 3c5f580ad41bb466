"""Which streams are named as those of one process are: in one folder, by one name or by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelmig.inputs import Stream

__all__ = ["common_name", "folder"]


def common_name(stream: Stream) -> str:
    """Return what names of streams of one process share: ``source`` of ``source.log`` and ``source.events.json``."""
    folder, slash, name = stream.stem.rpartition("/")
    return folder + slash + name.partition(".")[0]


def folder(stream: Stream) -> str:
    """Return where a stream lies: often the files of one host."""
    return stream.stem.rpartition("/")[0]
