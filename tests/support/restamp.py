"""Recordings with other times: the same lines, written by a process whose clock has another zero."""

from __future__ import annotations

import json
import re
import struct

_STAMP = re.compile(rb"(?m)^cloud-hypervisor: +(\d+)\.(\d{6})s: ")


def shifted(log: bytes, microseconds: int) -> bytes:
    """``log`` with every time since start moved by ``microseconds``."""

    def move(match: re.Match[bytes]) -> bytes:
        total = int(match[1]) * 10**6 + int(match[2]) + microseconds
        return f"cloud-hypervisor: {total // 10**6:>3}.{total % 10**6:06d}s: ".encode()

    return _STAMP.sub(move, log)


def repeated(log: bytes, count: int) -> bytes:
    """Return ``log`` as written by several processes, each a microsecond later than the one before."""
    return b"".join(shifted(log, number) for number in range(count))


def on_port(log: bytes, port: int) -> bytes:
    """``log`` with another port in its URLs."""
    return log.replace(b":4444", f":{port}".encode())


def from_request(log: bytes) -> bytes:
    """The part of a source log that begins with the migration's API request."""
    return log[log.rindex(b"\r\n", 0, log.index(b"VmSendMigration")) + 2 :]


def until_shutdown(log: bytes) -> bytes:
    """A log without the process's end."""
    return log[: log.rindex(b"\r\n", 0, log.index(b"VmmShutdown")) + 2]


def aged(log: bytes, seconds: int) -> bytes:
    """``log`` as a process that has been up for ``seconds`` would print it: stamps are 32-bit floats."""

    def quantise(match: re.Match[bytes]) -> bytes:
        value = seconds + int(match[1]) + int(match[2]) / 10**6
        printed: float = struct.unpack("<f", struct.pack("<f", value))[0]
        return f"cloud-hypervisor: {printed:>10.6f}s: ".encode()

    return _STAMP.sub(quantise, log)


def aged_events(stream: bytes, seconds: int) -> bytes:
    """An event stream of the same process: its stamps stay exact."""
    events = [json.loads(text) for text in stream.decode().split("\n\n") if text.strip()]
    for event in events:
        event["timestamp"]["secs"] += seconds
    return b"".join(json.dumps(event, indent=2).encode() + b"\n\n" for event in events)
