"""Files as a Collector sends them: records, requests of them in any order, OTLP/JSON and protobuf bodies.

A host's Collector reads whole lines (``file_log`` with the offset and the number of each record); what it reads at one
go is a batch, and a request holds batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sent_logs import file_record, json_of, log_record, request

from otelmig.inputs.line import Host
from otelmig.inputs.record import FileKey, LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from random import Random

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as SentRecord

__all__ = [
    "Request",
    "SentFile",
    "in_one_batch",
    "json_lines",
    "protobuf_bodies",
    "recording_requests",
    "requests_in_turn",
    "scattered",
]

Request = list[LogRecord]
"""What is sent at once, in its order."""
_SECOND = 10**9


@dataclass(frozen=True, kw_only=True)
class SentFile:
    """A file on a host whose Collector sends its lines."""

    data: bytes
    host: str = "host-a"
    path: str = "/var/log/ch.log"
    began_ns: int = 1_780_000_000 * _SECOND
    """When its first line was read."""
    step_ns: int = 10**6
    """How long after each line the next one was read."""
    first_number: int = 1
    """The number of its first line: a Collector goes on counting in a file that was made empty."""
    records: Request = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", list(self._records()))

    def _records(self) -> Iterable[LogRecord]:
        offset = 0
        key, host = FileKey(f"id-of-{self.host}", self.path), Host(name=self.host, id=f"id-of-{self.host}")
        for number, raw in enumerate(self.data.split(b"\n")[:-1], start=self.first_number):  # no end: not sent
            text = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if text:
                yield LogRecord(
                    text=text,
                    file=key,
                    host=host,
                    offset=offset,
                    number=number,
                    size=len(text.encode()),
                    received_ns=self.began_ns + (number - self.first_number) * self.step_ns,
                )
            offset += len(raw) + 1

    def batches(self, *sizes: int) -> list[Request]:
        """Return the records in batches of so many, one size after the other, the last one again and again."""
        batches: list[Request] = []
        at = 0
        while at < len(self.records):
            size = sizes[min(len(batches), len(sizes) - 1)]
            batches.append(in_one_batch(self.records[at : at + size]))
            at += size
        return batches


def in_one_batch(records: Iterable[LogRecord]) -> Request:
    """Return ``records`` as one request: each but the first of a file follows the one before it."""
    seen: set[FileKey] = set()
    batch: Request = []
    for record in records:
        batch.append(record._replace(is_sequel=record.file in seen))
        seen.add(record.file)
    return batch


def requests_in_turn(batches: Iterable[Sequence[Request]]) -> list[Request]:
    """Return the batches of several files as they come in: in the order of when their first lines were read."""
    return sorted((batch for each in batches for batch in each), key=lambda batch: batch[0].received_ns or 0)


def scattered(requests: Sequence[Request], random: Random, copies: float = 0.2) -> list[Request]:
    """Return ``requests`` in any order, some of them twice."""
    doubled = [*requests, *(request for request in requests if random.random() < copies)]
    random.shuffle(doubled)
    return doubled


def recording_requests(recording: Path, hosts: dict[str, str], *sizes: int) -> list[Request]:
    """Return the files of a recording as their hosts' Collectors send them; ``hosts``: of each role."""
    files = [
        SentFile(
            data=path.read_bytes(), host=hosts[path.name.split(".")[0]], path=str(PurePosixPath("/logs") / path.name)
        )
        for path in sorted(recording.iterdir())
        if path.name.split(".")[0] in hosts
    ]
    return requests_in_turn([file.batches(*sizes) for file in files])


def json_lines(requests: Iterable[Request]) -> bytes:
    """Return requests as a Collector's file exporter writes them: OTLP/JSON, one request a line."""
    return b"".join(json_of(_message(request)) + b"\n" for request in requests)


def protobuf_bodies(requests: Iterable[Request]) -> list[bytes]:
    """Return requests as a Collector sends them: each an ``ExportLogsServiceRequest``."""
    return [_message(request).SerializeToString() for request in requests]


def _message(records: Request) -> ExportLogsServiceRequest:
    """Return the records, those of each host with its resource; what is no sequel begins another batch."""
    message = ExportLogsServiceRequest()
    for (host, _), of_host in groupby(records, lambda record: (record.host, record.file)):
        resource: dict[str, object] = {} if host is None else {"host.name": host.name, "host.id": host.id}
        if host is not None and host.ips:
            resource["host.ip"] = list(host.ips)
        message.MergeFrom(request([_sent(record) for record in of_host], resource=resource))
    return message


def _sent(record: LogRecord) -> SentRecord:
    if record.offset is None or record.number is None:
        return log_record(record.text, {"log.file.path": record.file.path}, observed_time_unix_nano=record.received_ns)
    return file_record(record.text, record.offset, record.number, record.file.path, record.received_ns or 0)
