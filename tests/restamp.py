"""Recordings with other times: the same story told by a process whose clock has another zero."""

from __future__ import annotations

import re

_STAMP = re.compile(rb"(?m)^cloud-hypervisor: +(\d+)\.(\d{6})s: ")


def shifted(log: bytes, microseconds: int) -> bytes:
    """``log`` with every time since start moved by ``microseconds``."""

    def move(match: re.Match[bytes]) -> bytes:
        total = int(match[1]) * 10**6 + int(match[2]) + microseconds
        return f"cloud-hypervisor: {total // 10**6:>3}.{total % 10**6:06d}s: ".encode()

    return _STAMP.sub(move, log)


def on_port(log: bytes, port: int) -> bytes:
    """``log`` with another port in its URLs."""
    return log.replace(b":4444", f":{port}".encode())


def from_request(log: bytes) -> bytes:
    """The part of a source log that begins with the migration's API request."""
    return log[log.rindex(b"\r\n", 0, log.index(b"VmSendMigration")) + 2 :]


def until_shutdown(log: bytes) -> bytes:
    """A log without the process's end."""
    return log[: log.rindex(b"\r\n", 0, log.index(b"VmmShutdown")) + 2]
