"""Records of OTLP logs, whichever encoding they had -> lines of files: which file, which place in it, whose line.

The names are those that Collectors give: of the file receiver (``log.file.*``), of resource detection (``host.*``), of
the container parser (``k8s.*``, ``container.id``), and the journal's own fields in a body that is a map.
(OpenTelemetry Collector Contrib v0.158, ``pkg/stanza/fileconsumer/attrs``, ``receiver/journaldreceiver``;
OpenTelemetry semantic conventions 1.39, "Log file attributes", "Host", "Kubernetes"; systemd, "Journal Export
Formats", ``__CURSOR``.)
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from otelmig.inputs.framing import journal
from otelmig.inputs.framing.stores import line_of
from otelmig.inputs.line import MOST_ADDRESSES, NOWHERE, Host
from otelmig.inputs.record import JOURNAL, FileKey, LogRecord
from otelmig.units import MICROSECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["PassedOver", "Sender", "Value", "flattened", "text_of"]

Value: TypeAlias = "str | bytes | bool | int | float | list[Value] | dict[str, Value] | None"
"""What an attribute or a body is; texts are valid Unicode."""
_HOST_NAMES: Final = ("host.name", "k8s.node.name")
_HOST_IDS: Final = ("host.id", "k8s.node.uid")
_IPS: Final = "host.ip"
_PATHS: Final = ("log.file.path", "log.file.name")
_POD: Final = ("k8s.pod.name", "k8s.pod.uid", "k8s.container.name")
"""What a pod's log is known by where no path is given; the first or the second must be there."""
_CONTAINERS: Final = ("container.id", "container_id", "container.name", "container_name")
_UNITS: Final = ("_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER", "_COMM")
"""What a process of the journal is known by: the first that an entry has."""
_OF_ENTRIES: Final = ("__REALTIME_TIMESTAMP", *journal.WRITER_FIELDS)
"""Fields of the journal that say who wrote an entry, and when it came in."""
_LONGEST_TEXT: Final = 1 << 20
"""Bytes of a text that are read: as many as a Collector's file receiver reads of a line, unless told otherwise."""
_LARGEST: Final = 1 << 63
_LONGEST_NUMBER: Final = 19
"""Digits of a number that is sent as text."""
_LARGEST_BYTE: Final = 255
_DEEPEST: Final = 4


class PassedOver(StrEnum):
    """Why a record is no line of a file; the values are for people."""

    NO_TEXT = "a record without a text"
    NO_FILE = "a record that names no file"
    ANOTHER_EVENT = "an event that is no announcement"
    DAMAGED = "a part that cannot be read"
    LARGE = "a record with too many attributes"
    ANOTHER_SIGNAL = "a request without logs"


class Sender:
    """Who sent a batch of records: its resource, and what follows from it for each of them."""

    def __init__(self, resource: Mapping[str, Value]) -> None:
        """Take the attributes of the batch's resource."""
        self._resource = resource
        self._keys: dict[tuple[str, str], FileKey] = {}
        self._hosts: dict[tuple[str, str], Host] = {}
        self._in_batch: set[tuple[FileKey, str]] = set()
        self.host: Final = _host(resource)

    def begin_batch(self) -> None:
        """Begin another list of records: what follows in it is no sequel of what was in the one before."""
        self._in_batch = set()

    def names_file(self, attributes: Mapping[str, Value]) -> bool:
        """Return whether a record with these attributes says in which file its line stood."""
        return bool(_text(attributes, _PATHS) or _text(self._resource, _PATHS))

    def record(
        self, attributes: Mapping[str, Value], body: Value, received_ns: int | None, size: int | None = None
    ) -> LogRecord | PassedOver:
        """Return the line that a record is, or why it is none.

        ``received_ns``: when it came about, or else was observed (Unix epoch); ``size``: bytes of the body as it was
        sent, where it is a text that had to be decoded.
        """
        if isinstance(body, dict):
            if "__CURSOR" in body or "_MACHINE_ID" in body:
                return self._entry(body, received_ns)
            return self._of_map(attributes, body, received_ns)
        if not isinstance(body, str | bytes):
            return PassedOver.NO_TEXT
        text = body if isinstance(body, str) else text_of(body)
        if size is None:
            size = len(body.encode() if isinstance(body, str) else body)
        if len(text) > _LONGEST_TEXT:
            text = text_of(text.encode())
        line = text.rstrip("\r\n")
        return self._line(line, attributes, received_ns, size - (len(text) - len(line)))

    def _line(
        self, text: str, attributes: Mapping[str, Value], received_ns: int | None, size: int, writer: str = ""
    ) -> LogRecord | PassedOver:
        epoch = ""
        path = attributes.get(_PATHS[0])
        if not path or not isinstance(path, str):
            path = _text(attributes, _PATHS) or _text(self._resource, _PATHS)
            if not path:
                fields = {**self._resource, **attributes}
                path = _container(fields)
                epoch = str(fields.get("k8s.container.restart_count") or "")
            if not path:
                return PassedOver.NO_FILE
        host = self.host
        if not _OF_HOSTS.isdisjoint(attributes):
            host = self._other_host(_text(attributes, _HOST_NAMES), _text(attributes, _HOST_IDS))
        file = self._key(host, path)
        offset = _number(attributes.get("log.file.record_offset"), 0)
        number = _number(attributes.get("log.file.record_number"), 1)
        is_sequel = self._is_sequel(file, epoch)
        return LogRecord(text, file, host, offset, number, size, received_ns, is_sequel, writer, epoch)

    def _of_map(
        self, attributes: Mapping[str, Value], body: dict[str, Value], received_ns: int | None
    ) -> LogRecord | PassedOver:
        """Return the line in a body with fields, by the names that stores and shippers use."""
        fields = flattened(body)
        line = line_of({**self._resource, **attributes, **fields}, NOWHERE)
        if line is None:
            return PassedOver.NO_TEXT
        own = line_of({"message": line.text, **fields}, NOWHERE)
        return self._line(
            line.text,
            {**fields, **attributes},
            line.received_ns if received_ns is None else received_ns,
            len(line.text.encode()),
            "" if own is None else own.writer,
        )

    def _entry(self, body: Mapping[str, Value], received_ns: int | None) -> LogRecord | PassedOver:
        """Return the line in an entry of the journal: its unit is its file, its sequence number the offset."""
        raw = _message(body.get("MESSAGE"))
        if raw is None:
            return PassedOver.NO_TEXT
        text = (raw if isinstance(raw, str) else text_of(raw)).rstrip("\r\n")
        cursor = journal.Cursor.parse(str(body.get("__CURSOR") or ""))
        host = self._other_host(_text(body, ("_HOSTNAME",)), _text(body, ("_MACHINE_ID",)))
        texts = {name: str(value) for name in _OF_ENTRIES if isinstance(value := body.get(name), str | int)}
        file = self._key(host, f"{JOURNAL}{_text(body, _UNITS)}")
        epoch = "/".join(filter(None, (cursor.journal, cursor.boot)))
        return LogRecord(
            text=text,
            file=file,
            host=host,
            offset=cursor.number,
            size=len(text.encode()) if isinstance(raw, str) else len(raw.rstrip(b"\r\n")),
            # the time of a record is the journal's, cut to whole microseconds: it took the entry after that
            received_ns=journal.received_ns(texts) if received_ns is None else received_ns + MICROSECOND_NS,
            is_sequel=self._is_sequel(file, epoch),
            writer=journal.writer_of(texts),
            epoch=epoch,
        )

    def _other_host(self, name: str, machine: str) -> Host | None:
        """Return the machine that a record names itself; if it is the resource's, all that is known of that."""
        own = self.host
        if own is not None and (machine == own.id if machine and own.id else name in ("", own.name)):
            if not machine or own.id:
                return own
            name = own.name or name
        elif not name and not machine:
            return own
        else:
            own = None
        host = self._hosts.get((name, machine))
        if host is None:
            ips = () if own is None else own.ips
            host = self._hosts[name, machine] = Host(name=name or None, id=machine or None, ips=ips)
        return host

    def _is_sequel(self, file: FileKey, epoch: str) -> bool:
        """Return whether the batch had a record of the file before; from now on it has."""
        stream = (file, epoch)
        if stream in self._in_batch:
            return True
        self._in_batch.add(stream)
        return False

    def _key(self, host: Host | None, path: str) -> FileKey:
        """Return the key of a file; one object for all its records."""
        machine = "" if host is None else host.id or host.name or ""
        key = self._keys.get((machine, path))
        if key is None:
            key = self._keys[machine, path] = FileKey(machine, path)
        return key


_OF_HOSTS: Final = frozenset({*_HOST_NAMES, *_HOST_IDS})


def text_of(raw: bytes) -> str:
    """Return text; bytes that are no UTF-8 are escaped in hex, and what is longer than any line is cut."""
    return (raw if len(raw) <= _LONGEST_TEXT else raw[:_LONGEST_TEXT]).decode("utf-8", "backslashreplace")


def flattened(body: Mapping[str, Value], depth: int = 1) -> dict[str, Value]:
    """Return the fields of a map; names of those that lie deeper are joined by dots."""
    fields: dict[str, Value] = {}
    for name, value in body.items():
        if not isinstance(value, dict):
            fields[name] = value
        elif depth < _DEEPEST:
            fields |= {f"{name}.{inner}": inner_value for inner, inner_value in flattened(value, depth + 1).items()}
    return fields


def _host(resource: Mapping[str, Value]) -> Host | None:
    """Return the machine that a resource names, with its own addresses."""
    name, machine, ips = _text(resource, _HOST_NAMES), _text(resource, _HOST_IDS), resource.get(_IPS)
    listed = ips if isinstance(ips, list) else [ips]
    addresses = tuple(address for address in listed[:MOST_ADDRESSES] if isinstance(address, str) and address)
    return Host(name=name or None, id=machine or None, ips=addresses) if name or machine or addresses else None


def _container(fields: Mapping[str, Value]) -> str:
    """Return what the log of a container is known by where its file is not; empty if nothing tells it."""
    pod = [_text(fields, (name,)) for name in _POD]
    if pod[0] or pod[1]:
        return ":".join(("k8s", *(part for part in pod if part)))
    container = _text(fields, _CONTAINERS)
    return f"container:{container}" if container else ""


def _text(fields: Mapping[str, Value], names: Iterable[str]) -> str:
    """Return the first of the fields that is a text; empty if none is."""
    for name in names:
        value = fields.get(name)
        if value and isinstance(value, str):
            return value
    return ""


def _number(value: Value, least: int) -> int | None:
    """Return a whole number, which JSON may give as text; None for anything else."""
    if value.__class__ is int and least <= value < _LARGEST:  # nearly always
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and value.isascii() and value.isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value < _LARGEST else None


def _message(value: Value) -> str | bytes | None:
    """Return a message, of several the first; one that is no text is an array of byte values."""
    if not isinstance(value, list):
        return value if isinstance(value, str | bytes) else None
    return value[0] if value and isinstance(value[0], str) else _bytes(value)


def _bytes(values: list[Value]) -> bytes | None:
    """Return the bytes that an array of byte values is; None if it is none."""
    numbers = [int(value) for value in values if isinstance(value, int | float) and 0 <= value <= _LARGEST_BYTE]
    return bytes(numbers) if len(numbers) == len(values) else None
