"""What OTLP logs cost that come in: `.venv/bin/python benchmarks/intake.py`. CPU time of the server alone."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from sent_logs import file_record, json_of, request

from otelmig.otlp.intake.access import Address
from otelmig.otlp.intake.exchange import ReceivedRequest, Verdict
from otelmig.otlp.intake.http import HttpIntake
from otelmig.otlp.intake.request import decode_logs

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

_RECORDS: Final = 100
_REQUESTS: Final = 1_000
_DECODED: Final = 200
_LINE: Final = "cloud-hypervisor:   1.234567s: <vmm> INFO:vmm/src/migration.rs:100 -- Precopy: iter={} dirty=100 pages"


def _request() -> ExportLogsServiceRequest:
    lines = [_LINE.format(number) for number in range(_RECORDS)]
    return request([file_record(line, 120 * at, at + 1) for at, line in enumerate(lines)])


def _send(address: str) -> None:
    """Send the requests, one after the other, over one connection."""
    connection = HTTPConnection(address)
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    body = gzip.compress(_request().SerializeToString())
    for _ in range(_REQUESTS):
        connection.request("POST", "/v1/logs", body, headers)
        connection.getresponse().read()


def _decode(received: ReceivedRequest) -> Verdict:
    decode_logs(received.body, is_json=received.is_json)
    return Verdict()


def main() -> None:
    """Print what a request of a hundred records costs."""
    if len(sys.argv) > 1:
        _send(sys.argv[1])
        return
    for name, handler in (("taken off the wire", lambda _: Verdict()), ("taken and decoded", _decode)):
        server = HttpIntake(Address("127.0.0.1", 0), handler)
        server.start()
        begin = time.process_time()
        subprocess.run([sys.executable, __file__, str(server.address)], check=True)
        cpu_us = (time.process_time() - begin) / _REQUESTS * 1e6
        server.stop(grace_s=1.0)
        print(f"{name}, {_RECORDS} records a request, gzip: {cpu_us:.0f} us of CPU")
    for name, body in (("protobuf", _request().SerializeToString()), ("JSON", json_of(_request()))):
        begin = time.process_time()
        for _ in range(_DECODED):
            decode_logs(body, is_json=name == "JSON")
        us = (time.process_time() - begin) / _DECODED / _RECORDS * 1e6
        print(f"a record decoded from {name}: {us:.1f} us")


if __name__ == "__main__":
    main()
