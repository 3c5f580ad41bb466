"""What a Collector does on a host, as far as a demonstration needs it.

Whole lines of files that grow are sent as OTLP/JSON. Nothing is kept on disk, and each request is tried once.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LineSender", "log_request"]

_TIMEOUT_S: Final = 30


@dataclass(slots=True, kw_only=True)
class LineSender:
    """Follows the files of one host."""

    folder: Path
    host: str
    address: str
    """The host's own network address."""
    url: str
    """Where OTLP logs go, without the path."""
    _offsets: dict[Path, int] = field(default_factory=dict)
    _numbers: dict[Path, int] = field(default_factory=dict)

    def poll(self) -> int:
        """Send what was written whole since the last time; return how many lines that was."""
        records = [record for path in sorted(self.folder.iterdir()) for record in self._new_lines(path)]
        if records:
            body = json.dumps(log_request(self.host, self.address, records)).encode()
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(f"{self.url}/v1/logs", body, headers)
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                answer.read()
        return len(records)

    def _new_lines(self, path: Path) -> Iterator[dict[str, object]]:
        """Yield a record for each line that is not empty; empty ones are counted."""
        offset, number = self._offsets.get(path, 0), self._numbers.get(path, 0)
        with path.open("rb") as file:
            file.seek(offset)
            whole, end, _ = file.read().rpartition(b"\n")
        now = str(time.time_ns())
        for line in whole.split(b"\n") if end else ():
            number += 1
            if text := line.removesuffix(b"\r"):
                values = {"log.file.path": str(path), "log.file.name": path.name}
                counts = {"log.file.record_offset": offset, "log.file.record_number": number}
                yield {
                    "observedTimeUnixNano": now,
                    "body": {"stringValue": text.decode(errors="replace")},
                    "attributes": [
                        *({"key": key, "value": {"stringValue": value}} for key, value in values.items()),
                        *({"key": key, "value": {"intValue": str(count)}} for key, count in counts.items()),
                    ],
                }
            offset += len(line) + 1
        self._offsets[path], self._numbers[path] = offset, number


def log_request(host: str, address: str, records: list[dict[str, object]]) -> dict[str, object]:
    """Return an OTLP request with the records of a host."""
    ip = {"arrayValue": {"values": [{"stringValue": address}]}}
    attributes = [
        {"key": "host.name", "value": {"stringValue": host}},
        {"key": "host.id", "value": {"stringValue": host}},
        {"key": "host.ip", "value": ip},
    ]
    return {
        "resourceLogs": [
            {"resource": {"attributes": attributes}, "scopeLogs": [{"scope": {}, "logRecords": records}]},
        ]
    }
