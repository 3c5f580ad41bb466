"""Log records of files as a receiver got them, held against the files: which lines came, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

__all__ = ["SentLine", "lines_of", "rests", "sent_lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLine:
    """One record, by where it stood."""

    host: str
    path: str
    offset: int
    number: int
    body: bytes


def sent_lines(received: Iterable[ResourceLogs]) -> Iterator[SentLine]:
    """Yield the records in the order in which they arrived."""
    for resource_logs in received:
        host = {each.key: each.value.string_value for each in resource_logs.resource.attributes}["host.id"]
        for scope in resource_logs.scope_logs:
            for record in scope.log_records:
                where = {each.key: each.value for each in record.attributes}
                yield SentLine(
                    host=host,
                    path=where["log.file.path"].string_value,
                    offset=where["log.file.record_offset"].int_value,
                    number=where["log.file.record_number"].int_value,
                    body=record.body.string_value.encode(),
                )


def lines_of(content: bytes) -> list[bytes]:
    """Return the lines that a receiver should have: whole ones, that are not empty."""
    return [line for text in content.split(b"\n")[:-1] if (line := text.removesuffix(b"\r"))]


def rests(content: bytes, lines: Iterable[SentLine]) -> tuple[bytes, Counter[int]]:
    """Return what of a file is left once every line was taken out at its offset, and how often each one came.

    Raises:
        AssertionError: a line is not what the file has there.
    """
    rest = bytearray(content)
    counts: Counter[int] = Counter()
    for line in lines:
        end = line.offset + len(line.body)
        assert content[line.offset : end] == line.body, (line, content[line.offset : end])
        rest[line.offset : end] = b"\0" * len(line.body)
        counts[line.offset] += 1
    return bytes(rest).replace(b"\0", b""), counts
