"""What log stores and shippers give back: JSON objects, one a line, of which one field is the line of the log.

Which field it is differs: Vector, Logstash and Filebeat say ``message``, Fluent Bit ``log`` (or the journal's
``MESSAGE``), ``logcli -o jsonl`` ``line``, Google's Cloud Logging ``textPayload``. So do the names of the host, of who
wrote it, and of the time. A record may lie deeper (``_source`` of Elasticsearch, ``result`` of Splunk).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.inputs.framing.json_text import json_object
from otelmig.inputs.framing.prefixes import rfc3339_ns
from otelmig.inputs.line import MOST_ADDRESSES, Host, Line
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelmig.inputs.line import Where

__all__ = ["entry_line", "is_json_lines", "line_of"]

_TEXTS: Final = (
    "message",
    "MESSAGE",
    "log",
    "msg",
    "line",
    "textPayload",
    "@message",
    "_raw",
    "body",
    "event.original",
)
_TIMES: Final = (
    "timestamp",
    "@timestamp",
    "time",
    "date",
    "ts",
    "_time",
    "__REALTIME_TIMESTAMP",
    "_SOURCE_REALTIME_TIMESTAMP",
    "receiveTimestamp",
    "observed_timestamp",
)
_HOSTS: Final = (
    "host",
    "hostname",
    "host.name",
    "host.hostname",
    "_HOSTNAME",
    "node",
    "node_name",
    "nodename",
    "kubernetes.host",
    "kubernetes.node_name",
    "labels.host",
    "labels.hostname",
    "labels.node",
    "labels.instance",
    "agent.hostname",
    "instance",
)
_WRITERS: Final = (
    "_SYSTEMD_UNIT",
    "SYSLOG_IDENTIFIER",
    "_PID",
    "_BOOT_ID",
    "unit",
    "ident",
    "appname",
    "program",
    "pid",
    "procid",
    "process.pid",
    "process.name",
    "container_id",
    "container_name",
    "container.id",
    "container.name",
    "kubernetes.namespace_name",
    "kubernetes.pod_name",
    "kubernetes.container_name",
    "kubernetes.pod.name",
    "pod",
    "container",
    "namespace",
    "job",
    "service",
    "service.name",
    "service.instance.id",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "file",
    "filename",
    "filepath",
    "path",
    "tag",
    "log.file.path",
    "log.file.name",
    "labels.unit",
    "labels.job",
    "labels.pod",
    "labels.container",
    "labels.filename",
    "labels.namespace",
    "labels.service_name",
)
"""What lines of two processes may differ in."""
_DEEPEST: Final = 4
_GLANCE: Final = 20
"""Lines of which one must have a field for the line of a log."""
_LONGEST_TIME: Final = 64
_EARLIEST: Final = 1_000_000_000
"""Smaller numbers are no times: in seconds, this one is of the year 2001."""
_UNITS: Final = ((10**11, SECOND_NS), (10**14, MILLISECOND_NS), (10**17, MICROSECOND_NS), (10**20, 1))
"""A number below the first of each pair counts so many ns: seconds, milliseconds, microseconds, or ns since 1970."""


def is_json_lines(head: bytes) -> bool:
    """Return whether a file that begins like this has JSON objects for lines that hold the lines of a log."""
    lines = [line for line in head.split(b"\n", _GLANCE)[:_GLANCE] if line.strip()]
    if not lines or not lines[0].lstrip().startswith(b"{"):
        return False
    return any((entry := json_object(line)) is not None and _text(dict(_flat(entry))) is not None for line in lines)


def entry_line(text: str, where: Where) -> Line | None:
    """Return the line that the JSON object ``text`` holds; None if it is none, or has no line."""
    entry = json_object(text)
    return None if entry is None else line_of(dict(_flat(entry)), where)


def line_of(fields: Mapping[str, object], where: Where) -> Line | None:
    """Return the line that an entry holds, by its ``fields``: names of those that lie deeper are joined by dots."""
    text = _text(fields)
    if text is None:
        return None
    host = _host(fields)
    writer = [
        host and (host.name or host.id),
        *(f"{fields[name]}" for name in _WRITERS if isinstance(fields.get(name), (str, int))),
    ]
    return Line(
        text=text.rstrip("\r\n"),
        where=where,
        writer="/".join(part for part in writer if part),
        received_ns=next((ns for name in _TIMES if (ns := _time_ns(fields.get(name))) is not None), None),
        host=host,
    )


def _host(fields: Mapping[str, object]) -> Host | None:
    """Return the machine that an entry names; None if it names none."""
    ips = fields.get("host.ip")
    listed = [ips] if isinstance(ips, str) else ips if isinstance(ips, (list, tuple)) else ()
    host = Host(
        name=_first(fields, _HOSTS),
        id=_first(fields, ("_MACHINE_ID", "host.id")),
        ips=tuple(address for address in listed[:MOST_ADDRESSES] if isinstance(address, str) and address),
    )
    return host if host.name or host.id or host.ips else None


def _flat(entry: Mapping[str, object], depth: int = 1) -> Iterator[tuple[str, object]]:
    """Yield each field with its name; of one that lies deeper also by the end of its name, those further out first."""
    nested: list[tuple[str, object]] = []
    for name, value in entry.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            for inner, inner_value in _flat(value, depth + 1):
                nested += ((f"{name}.{inner}", inner_value), (inner, inner_value))
    own = {name: value for name, value in entry.items() if not isinstance(value, dict)}
    yield from ((name, value) for name, value in reversed(nested) if name not in own)
    yield from own.items()


def _text(fields: Mapping[str, object]) -> str | None:
    return next((value for name in _TEXTS if isinstance(value := fields.get(name), str)), None)


def _first(fields: Mapping[str, object], names: Iterable[str]) -> str | None:
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), None)


def _time_ns(value: object) -> int | None:
    """Return the end of what a time stands for: RFC 3339, or a number of seconds or parts of them since 1970."""
    if isinstance(value, str):
        if not value.isascii() or len(value) > _LONGEST_TIME:
            return None
        if not value.replace(".", "", 1).isdigit():
            return rfc3339_ns(value.replace(" ", "T", 1).replace(" ", ""))
        whole, _, fraction = value.partition(".")
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < _UNITS[-1][0]:
        whole, _, fraction = (f"{value:.6f}" if isinstance(value, float) else str(value)).partition(".")
        fraction = fraction.rstrip("0")
    else:
        return None
    unit = next((ns for least, ns in _UNITS if int(whole or "0") < least), None)
    if unit is None or int(whole or "0") < _EARLIEST:
        return None
    digits = min(len(fraction), len(str(unit)) - 1)
    part: int = 10**digits
    return int(whole) * unit + (int(fraction[:digits] or "0") + 1) * unit // part - 1
