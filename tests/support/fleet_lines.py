"""The lines of a fleet's migrations, as its hosts' Collectors send them, in the order of time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from trace_invariants import CORPUS

from otelmig.inputs.line import Host
from otelmig.inputs.record import FileKey, LogRecord
from otelmig.migration.side import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet import Move

__all__ = ["fleet_requests"]

_STAMP = re.compile(r"cloud-hypervisor: +(\d+\.\d+)s: ")
_BEGAN_NS = 1_780_000_000 * 10**9
_SECOND = 10**9
_URL = "tcp:127.0.0.1:4444"
"""What the recorded sources connect to, and the destinations listen on."""


@cache
def _lines(recording: str, role: Role) -> tuple[list[tuple[int, str]], int]:
    """The lines of one side, each with when it was written on its process's clock; and when its migration began."""
    lines, now_ns, began_ns = [], 0, None
    for text in (CORPUS / recording / f"{role}.log").read_text().splitlines():
        stamp = _STAMP.match(text)
        if stamp is not None:
            now_ns = int(float(stamp[1]) * _SECOND)
        if began_ns is None and ("Sending migration" in text or "migration-receive-started" in text):
            began_ns = now_ns
        lines.append((now_ns, text))
    assert began_ns is not None
    return lines, began_ns


@dataclass(frozen=True, kw_only=True)
class _SentLog:
    """The log of one side, as its host's Collector sends it."""

    lines: list[tuple[int, str]]
    number: int
    zero_ns: int
    """When its process began."""
    host: int
    url: str
    lists_addresses: bool

    def requests(self) -> Iterable[tuple[int, list[LogRecord]]]:
        """Yield the lines of each second: when they come in (ns), and the records."""
        name = f"host{self.host}"
        ips = (f"10.0.{self.host >> 8}.{self.host & 255}",) if self.lists_addresses else ()
        key, machine = FileKey(name, f"/var/log/ch/vm{self.number}.log"), Host(name=name, id=name, ips=ips)
        offset = 0
        for second, lines in groupby(enumerate(self.lines, start=1), key=lambda line: line[1][0] // _SECOND):
            batch: list[LogRecord] = []
            for line, (at_ns, raw) in lines:
                text = raw.replace(_URL, self.url).replace(_URL.removeprefix("tcp:"), self.url.removeprefix("tcp:"))
                size = len(text.encode())
                if text:
                    record = LogRecord(
                        text=text,
                        file=key,
                        host=machine,
                        offset=offset,
                        number=line,
                        size=size,
                        received_ns=_BEGAN_NS + at_ns + self.zero_ns + 1_000_000,
                        is_sequel=bool(batch),
                    )
                    batch.append(record)
                offset += size + 1
            if batch:
                yield (second + 1) * _SECOND + self.zero_ns, batch


def fleet_requests(
    recording: str, moves: Iterable[Move], *, lists_addresses: bool = True, nat: bool = False
) -> list[tuple[int, list[LogRecord]]]:
    """Return a request for each second of each log: when it comes in (ns), and its records.

    Every VM has a log of its own, of one name on both of its hosts. With ``nat``, sources connect to loopback.
    """
    requests: list[tuple[int, list[LogRecord]]] = []
    for number, move in enumerate(moves):
        address = "127.0.0.1" if nat else f"10.0.{move.destination >> 8}.{move.destination & 255}"
        for role, host in ((Role.SOURCE, move.source), (Role.DESTINATION, move.destination)):
            lines, began_ns = _lines(recording, role)
            log = _SentLog(
                lines=lines,
                number=number,
                zero_ns=move.begin_ns - began_ns,
                host=host,
                url=f"tcp:{address}:{move.port}",
                lists_addresses=lists_addresses,
            )
            requests += log.requests()
    return sorted(requests, key=lambda request: request[0])
