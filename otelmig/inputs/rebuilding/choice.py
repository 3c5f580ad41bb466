"""Which of several files of one name a record belongs to, where its place alone does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.inputs.rebuilding.known_lines import Known, digest_of
from otelmig.inputs.rebuilding.succession import Succession, is_earlier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelmig.inputs.rebuilding.rebuilt_file import RebuiltFile
    from otelmig.inputs.record import LogRecord

__all__ = ["best_file", "latest_read", "was_read_later"]


def best_file(files: Sequence[RebuiltFile], record: LogRecord) -> RebuiltFile | None:
    """Return the file that ``record`` belongs to most likely, with lines missing before it; None if it fits none.

    One that had its name comes before one that did not, one whose numbers go on before one whose do not, and then the
    one that was read last before it.
    """
    named = [file for file in files if record.file.path in file.paths]
    digest = digest_of(record.text)
    fitting = [
        (fit, at, file) for at, file in enumerate(named or files) if (fit := _fit(file, record, digest)) is not None
    ]
    return max(fitting)[2] if fitting else None


def latest_read(files: Sequence[RebuiltFile], record: LogRecord) -> RebuiltFile:
    """Return the one of ``files`` whose last line was read last, and not after ``record``; else the one opened last."""

    def read_ns(file: RebuiltFile) -> tuple[int, int]:
        tail = file.tail
        known = tail is not None and tail.received_ns is not None and not is_earlier(record, tail)
        return (tail.received_ns or 0 if tail is not None and known else -1), file.generation

    return max(files, key=read_ns)


def was_read_later(record: LogRecord, file: RebuiltFile) -> bool:
    """Return whether ``record`` was read after the last line of ``file``, as far as that is known."""
    tail = file.tail
    return (
        tail is not None
        and record.received_ns is not None
        and tail.received_ns is not None
        and record.received_ns > tail.received_ns
    )


def _fit(file: RebuiltFile, record: LogRecord, digest: str) -> tuple[bool, bool, int] | None:
    """Return how well ``record`` fits into ``file``; None if it does not."""
    tail = file.tail
    if tail is None or file.knows(record, digest) is not Known.UNKNOWN:
        return None
    kind, _ = file.succession(record)
    if kind is Succession.NONE:
        gap = None if was_read_later(record, file) else file.gap_of(record)
        return None if gap is None else (True, True, tail.received_ns or 0)
    goes_on = record.number is None or tail.number is None or record.number > tail.number
    return not is_earlier(record, tail), goes_on, tail.received_ns or 0
