"""Recorded logs as everything that carries a log delivers them, and what their traces tell."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

import framings
from trace_invariants import CORPUS, traced

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelmig.trace.span import Trace

__all__ = ["BEGAN_NS", "CARRIERS", "PROCESS_IDS", "logs_of", "plain", "prefixed", "shape_of"]

BEGAN_NS = {"source": 1_780_000_000 * 10**9, "destination": 1_780_000_005 * 10**9}
PROCESS_IDS = {"source": 4711, "destination": 815}
_BY_PROCESS = ("host", "pid")


def _carriers() -> dict[str, Callable[[bytes, str], bytes]]:
    def of(name: str, *extra: str) -> Callable[[bytes, str], bytes]:
        function = getattr(framings, name)

        def carry(log: bytes, role: str) -> bytes:
            given: dict[str, object] = {"began_ns": BEGAN_NS[role], "host": f"{role}-host", "pid": PROCESS_IDS[role]}
            given |= {
                "machine_id": f"{PROCESS_IDS[role]:032x}",
                "boot_id": f"{PROCESS_IDS[role] + 1:032x}",
                "native": True,
            }
            wrapped: bytes = function(log, **{key: given[key] for key in ("began_ns", *extra)})
            return wrapped

        return carry

    return {
        "docker json-file": of("docker_json"),
        "docker timestamps": of("docker_timestamps"),
        "cri": of("cri"),
        "syslog short": of("syslog_rfc3164", *_BY_PROCESS),
        "syslog iso": of("syslog_rfc3339", *_BY_PROCESS),
        "syslog": of("syslog_rfc5424", *_BY_PROCESS),
        "journald short": of("journal_short", *_BY_PROCESS),
        "journald short-iso-precise": of("journal_short_iso_precise", *_BY_PROCESS),
        "journald short-monotonic": of("journal_short_monotonic", *_BY_PROCESS),
        "journalctl -o json": of("journal_json", *_BY_PROCESS, "machine_id", "boot_id"),
        "journalctl -o json, native": of("journal_json", *_BY_PROCESS, "machine_id", "boot_id", "native"),
        "journalctl -o export": of("journal_export", *_BY_PROCESS, "machine_id", "boot_id"),
        "journalctl -o export, native": of("journal_export", *_BY_PROCESS, "machine_id", "boot_id", "native"),
        "LF": lambda log, _: framings.lf_only(log),
        "docker compose": lambda log, _: prefixed(log, b"vm-1  | "),
        "docker compose, timestamps": lambda log, _: prefixed(log, b"vm-1  | 2026-05-21T06:02:15.542701123Z "),
        "kubectl logs --prefix": lambda log, _: prefixed(log, b"[pod/vm-0/vmm] "),
        "journald short-full": lambda log, _: prefixed(log, b"Thu 2026-05-21 06:02:15 UTC host-a ch[12]: "),
        "journald short-unix": lambda log, _: prefixed(log, b"1779343335.542701 host-a ch[12]: "),
        "docker json-file of syslog of cri": lambda log, _: _in_docker(prefixed(prefixed(log, _POD), _FORWARDED)),
        "github actions": lambda log, _: prefixed(log, b"2026-05-21T06:02:15.5427011Z "),
        "gh run view": lambda log, _: prefixed(log, b"test (x86)\tRun tests\t2026-05-21T06:02:15.5427011Z "),
        "gitlab": lambda log, _: prefixed(log, b"2026-05-21T06:02:15.542701Z 01O "),
        "jenkins": lambda log, _: prefixed(log, b"[2026-05-21T06:02:15.542Z] "),
        "logcli": lambda log, _: prefixed(log, b'2026-05-21T06:02:15.542701Z {host="a", unit="vm 1.service"} '),
        "logcli, no labels": lambda log, _: prefixed(log, b"2026-05-21T06:02:15Z {} "),
        "indented": lambda log, _: prefixed(log, b"    "),
        "quoted": lambda log, _: prefixed(log, b"> > "),
        "a stamp of somebody's own": lambda log, _: prefixed(log, b"21/05/2026 06:02:15,542 | web-1 | "),
        "grep -n": lambda log, _: b"".join(
            b"%d:%b\n" % (number, line) for number, line in enumerate(framings.lf_only(log).split(b"\n")[:-1], 1)
        ),
        "vector": lambda log, _: _objects(
            log, lambda text: {"timestamp": "2026-05-21T06:02:15.542701Z", "host": "a", "message": text}
        ),
        "fluent bit": lambda log, _: _objects(
            log, lambda text: {"date": 1779343335.542701, "log": text + "\n", "x": 1}
        ),
        "fluent bit, systemd": lambda log, _: _objects(
            log, lambda text: {"date": 1779343335.542701, "_HOSTNAME": "a", "_PID": "12", "MESSAGE": text}
        ),
        "logcli, jsonl": lambda log, _: _objects(
            log, lambda text: {"labels": {"host": "a"}, "line": text, "timestamp": "2026-05-21T06:02:15.5Z"}
        ),
        "elasticsearch": lambda log, _: _objects(
            log,
            lambda text: {
                "_index": "x",
                "_source": {"@timestamp": "2026-05-21T06:02:15.542Z", "message": text, "host": {"name": "a"}},
            },
        ),
        "cloud logging": lambda log, _: _objects(
            log, lambda text: {"textPayload": text, "timestamp": "2026-05-21T06:02:15.542701Z", "labels": {"a": "b"}}
        ),
        "vector of syslog": lambda log, _: _objects(
            prefixed(log, _FORWARDED), lambda text: {"message": text, "timestamp": "2026-05-21T06:02:15.542701Z"}
        ),
        "json lines, html escaped": lambda log, _: (
            _objects(log, lambda text: {"message": text})
            .replace(b"<", rb"\u003c")
            .replace(b">", rb"\u003e")
            .replace(b"'", rb"\u0027")
        ),
        "otlp logs": lambda log, _: _otlp(log, 1),
        "otlp logs in batches": lambda log, _: _otlp(log, 50),
        "syslog with priority": lambda log, _: prefixed(log, b"<30>May 21 06:02:15 host-a ch[12]: "),
    }


def prefixed(log: bytes, prefix: bytes) -> bytes:
    """Each line as a transport shows it that only puts something before it."""
    return b"".join(prefix + line + b"\n" for line in framings.lf_only(log).split(b"\n")[:-1])


_POD = b"2026-05-21T06:02:15.542701123Z stdout F "
_FORWARDED = b"<30>May 21 06:02:15 host-a ch[12]: "


def _in_docker(lines: bytes) -> bytes:
    """Each line as Docker's json-file driver writes it."""
    entries = [{"log": f"{line}\n", "stream": "stdout"} for line in lines.decode().split("\n")[:-1]]
    return "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()


def _objects(log: bytes, entry: Callable[[str], object]) -> bytes:
    """Each line as an object on a line of its own."""
    texts = framings.lf_only(log).decode().split("\n")[:-1]
    return "".join(f"{json.dumps(entry(text))}\n" for text in texts).encode()


def _otlp(log: bytes, size: int) -> bytes:
    """Requests of so many lines, as the Collector's file exporter writes them."""
    texts = framings.lf_only(log).decode().split("\n")[:-1]
    requests = []
    for at in range(0, len(texts), size):
        records = [
            {"observedTimeUnixNano": "1779343335542701000", "body": {"stringValue": text}, "attributes": []}
            for text in texts[at : at + size]
        ]
        resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "a"}}]}
        requests.append({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": records}]}]})
    return "".join(f"{json.dumps(request)}\n" for request in requests).encode()


CARRIERS = _carriers()


def logs_of(name: str) -> dict[str, bytes]:
    """The logs of a recording, by role."""
    return {role: (CORPUS / name / f"{role}.log").read_bytes() for role in ("source", "destination")}


def shape_of(traces: list[Trace]) -> list[list[tuple[str, str, int, str | None]]]:
    """What a trace tells, short of absolute time and places in files."""
    return [[(span.name, span.role, span.duration_ns, span.error) for span in trace.spans] for trace in traces]


@cache
def plain(name: str) -> tuple[list[list[tuple[str, str, int, str | None]]], tuple[str, ...]]:
    """What the traces of a recording tell, and their ids, without anything that carried its logs."""
    traces = traced([CORPUS / name / f"{role}.log" for role in ("source", "destination")])
    return shape_of(traces), tuple(trace.trace_id for trace in traces)
