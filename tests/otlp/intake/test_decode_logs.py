"""Requests with OTLP logs: what becomes a line of a file, what an announcement, and what is passed over."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from sent_logs import HOST, file_record, json_of, log_record, request

from otelmig.inputs.framing.sent_records import PassedOver
from otelmig.inputs.line import Host
from otelmig.inputs.record import FileKey, LogRecord
from otelmig.otlp.encoding.protobuf import message
from otelmig.otlp.intake.request import MalformedRequestError, ReceivedLogs, decode_logs

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHA = Host(name="alpha", id="id-of-alpha")
CH_LOG = FileKey("id-of-alpha", "/var/log/ch.log")
both = pytest.mark.parametrize("encode", [ExportLogsServiceRequest.SerializeToString, json_of])
Encode: TypeAlias = "Callable[[ExportLogsServiceRequest], bytes]"


def decoded(
    message: ExportLogsServiceRequest, encode: Encode = ExportLogsServiceRequest.SerializeToString
) -> ReceivedLogs:
    """Decode a request in the encoding that ``encode`` gives."""
    body = encode(message)
    return decode_logs(body, is_json=body.startswith(b"{"))


def one(body: Any, attributes: dict[str, Any] | None = None, encode: Encode = json_of, **given: Any) -> LogRecord:
    """Decode a request with one record, which is a line."""
    received = decoded(request([log_record(body, attributes, **given)]), encode)
    assert not received.passed_over
    (record,) = received.records
    return record


def why(body: Any, attributes: dict[str, Any] | None = None, **given: Any) -> dict[str, int]:
    """Decode a request with one record, which is no line; what was counted."""
    received = decoded(request([log_record(body, attributes, **given)]))
    assert not received.records
    assert decoded(request([log_record(body, attributes, **given)]), json_of) == received
    return dict(received.passed_over)


@both
def test_lines_of_a_file(encode: Encode) -> None:
    """A record of the file receiver says its machine, its file, its place, its number, and when it was read."""
    received = decoded(request([file_record(" one", 0, 1, observed_ns=7), file_record("zwölf", 5, 3)]), encode)
    first = LogRecord(" one", CH_LOG, ALPHA, offset=0, number=1, size=4, received_ns=7)
    second = LogRecord("zwölf", CH_LOG, ALPHA, offset=5, number=3, size=6, received_ns=5, is_sequel=True)
    assert received == ReceivedLogs((first, second), (), received.passed_over)
    assert not received.passed_over


@both
def test_sequels_are_of_one_scope_and_one_file(encode: Encode) -> None:
    """Only within one list of records nothing lies between two lines of a file, whatever other file comes between."""
    other = file_record("other", 0, 1, path="/var/log/other.log")
    batches = [[file_record("a", 0, 1), other, file_record("b", 2, 2)], [file_record("c", 4, 3)]]
    received = decoded(request(*batches), encode)
    assert [(record.text, record.is_sequel) for record in received.records] == [
        ("a", False),
        ("other", False),
        ("b", True),
        ("c", False),
    ]


def test_a_resource_after_its_records_and_in_pieces() -> None:
    """The order of fields on the wire is nobody's promise."""
    whole = request([file_record("a", 0, 1)]).resource_logs[0]
    scopes, resource = type(whole)(scope_logs=whole.scope_logs), type(whole)(resource=whole.resource)
    halves = [type(whole)(), type(whole)()]
    for half, pair in zip(halves, resource.resource.attributes, strict=True):
        half.resource.attributes.append(pair)
    body = b"".join(each.SerializeToString() for each in (scopes, *halves))
    (record,) = decode_logs(b"\x0a" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body, is_json=False).records
    assert record.host == ALPHA


@pytest.mark.parametrize("is_json", [False, True])
def test_invalid_utf_8_is_text_all_the_same(*, is_json: bool) -> None:
    """Bytes that are no UTF-8 are escaped, in either encoding; the size is that of what was sent."""
    message = request([file_record("a@b", 0, 1)])
    body = (json_of(message) if is_json else message.SerializeToString()).replace(b"a@b", b"a\xffb")
    (record,) = decode_logs(body, is_json=is_json).records
    assert (record.text, record.size) == ("a\\xffb", 3)


def test_halves_of_pairs_are_escaped() -> None:
    """JSON can say what no encoding has."""
    body = json_of(request([file_record("a@b", 0, 1)])).replace(b"a@b", rb"a\ud800b")
    (record,) = decode_logs(body, is_json=True).records
    assert (record.text, record.size) == ("a\\ud800b", 5)


@both
@pytest.mark.parametrize(
    ("given", "received_ns"),
    [
        ({"time_unix_nano": 3, "observed_time_unix_nano": 4}, 3),
        ({"observed_time_unix_nano": 4}, 4),
        ({}, None),
        ({"time_unix_nano": 2**64 - 1}, None),
    ],
)
def test_times(encode: Encode, given: dict[str, int], received_ns: int | None) -> None:
    """The time of a record is its own, else that of its observation; what no clock says is no time."""
    assert one("a", {"log.file.path": "/a"}, encode, **given).received_ns == received_ns


@both
@pytest.mark.parametrize(
    ("attributes", "file"),
    [
        ({"log.file.path": "/pods/0.log", "k8s.pod.name": "p"}, FileKey("id-of-alpha", "/pods/0.log")),
        ({"log.file.name": "0.log"}, FileKey("id-of-alpha", "0.log")),
        ({"k8s.pod.name": "p", "k8s.pod.uid": "u"}, FileKey("id-of-alpha", "k8s:p:u")),
        ({"k8s.pod.uid": "u", "k8s.container.name": "compute"}, FileKey("id-of-alpha", "k8s:u:compute")),
        ({"container.id": "c0"}, FileKey("id-of-alpha", "container:c0")),
        ({"log.file.path": "/a", "host.name": "beta", "host.id": "b"}, FileKey("b", "/a")),
        ({"log.file.path": 5, "container.id": "c0"}, FileKey("id-of-alpha", "container:c0")),
    ],
)
def test_files(encode: Encode, attributes: dict[str, Any], file: FileKey) -> None:
    """A file is known by its path, else by its name, its pod or its container; a record may name its own machine."""
    assert one("a", attributes, encode).file == file


def test_restarts_of_a_container_are_epochs() -> None:
    """A pod's container that was started again has the same name, and another log."""
    assert one("a", {"k8s.pod.uid": "u", "k8s.container.restart_count": 2}).epoch == "2"


@pytest.mark.parametrize(
    ("resource", "host", "key"),
    [
        ({"host.name": "beta"}, Host(name="beta"), "beta"),
        ({"k8s.node.name": "node"}, Host(name="node"), "node"),
        ({"host.name": 5}, None, ""),
        ({}, None, ""),
        ({"host.id": "b", "host.ip": ["10.0.0.2", "fe80::1", 5, ""]}, Host(id="b", ips=("10.0.0.2", "fe80::1")), "b"),
        ({"host.name": "beta", "host.ip": "10.0.0.2"}, Host(name="beta", ips=("10.0.0.2",)), "beta"),
    ],
)
def test_hosts(resource: dict[str, Any], host: Host | None, key: str) -> None:
    """A machine is known by its id, else by its name, else not at all."""
    (record,) = decoded(request([file_record("a", 0, 1)], resource=resource)).records
    assert (record.host, record.file.host) == (host, key)


@pytest.mark.parametrize(
    ("resource", "entry", "host"),
    [
        ({"host.name": "a"}, {"_HOSTNAME": "a", "_MACHINE_ID": "m"}, Host(name="a", id="m", ips=("10.0.0.1",))),
        ({"host.id": "m"}, {"_HOSTNAME": "a", "_MACHINE_ID": "m"}, Host(id="m", ips=("10.0.0.1",))),
        ({"host.name": "a"}, {"_HOSTNAME": "b", "_MACHINE_ID": "m"}, Host(name="b", id="m")),
        ({"host.id": "n"}, {"_MACHINE_ID": "m"}, Host(id="m")),
    ],
)
def test_addresses_are_those_of_the_machine_itself(resource: dict[str, Any], entry: dict[str, Any], host: Host) -> None:
    """A Collector may send the journals of others: their entries do not have its addresses."""
    sent = request([log_record(entry | {"MESSAGE": "a"})], resource=resource | {"host.ip": ["10.0.0.1"]})
    (record,) = decoded(sent).records
    assert record.host == host


@both
def test_names_of_the_file_may_be_the_resource_s(encode: Encode) -> None:
    """Processors that group records move what they share to the resource."""
    sent = request([log_record("a", {"log.file.record_offset": 9})], resource=HOST | {"log.file.path": "/a"})
    (record,) = decoded(sent, encode).records
    assert (record.file.path, record.offset) == ("/a", 9)


@pytest.mark.parametrize("value", ["x", -1, True, 2.5, [1], {"a": 1}, "9" * 30, None, b"1"])
def test_offsets_that_are_none(value: Any) -> None:
    """An offset that is no number is not known; the line is."""
    attributes = {"log.file.path": "/a", "log.file.record_offset": value, "log.file.record_number": value}
    record = one("a", attributes)
    assert (record.text, record.offset, record.number) == ("a", None, None)


@both
def test_bodies_of_bytes(encode: Encode) -> None:
    """A body may be bytes, which is how a receiver gives what is not decoded."""
    record = one(b"caf\xe9\r\n", {"log.file.path": "/a"}, encode)
    assert (record.text, record.size) == ("caf\\xe9", 4)


ENTRY = {
    "MESSAGE": "cloud-hypervisor: 1.0s: hello",
    "__CURSOR": "s=739ad4;i=4ece7;b=6c7c60;m=4fc72436e;t=4c508a72423d9;x=d3e5610681098c10",
    "__REALTIME_TIMESTAMP": "1700000000000001",
    "_SYSTEMD_UNIT": "ch@1.service",
    "SYSLOG_IDENTIFIER": "cloud-hypervisor",
    "_PID": "77",
    "_HOSTNAME": "gamma",
    "_MACHINE_ID": "machine",
}


@both
def test_entries_of_the_journal(encode: Encode) -> None:
    """The journal's sequence number is the offset, its id and the boot the epoch; an entry names its own machine.

    Its time is cut to microseconds: the line was written before the next one.
    """
    record = one(ENTRY, encode=encode)
    assert record == LogRecord(
        "cloud-hypervisor: 1.0s: hello",
        FileKey("machine", "journald:ch@1.service"),
        Host(name="gamma", id="machine"),
        offset=0x4ECE7,
        size=29,
        received_ns=1_700_000_000_000_002_000,
        writer="gamma/cloud-hypervisor[77]",
        epoch="739ad4/6c7c60",
    )


def test_a_time_that_was_taken_out_of_an_entry() -> None:
    """The journald receiver makes it the record's own: the entry says the same as with it."""
    entry = {name: value for name, value in ENTRY.items() if name != "__REALTIME_TIMESTAMP"}
    assert one(entry, time_unix_nano=1_700_000_000_000_001_000) == one(ENTRY)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"_SYSTEMD_UNIT": None}, {"file": FileKey("machine", "journald:cloud-hypervisor")}),
        ({"MESSAGE": [99.0, 97.0, 255.0]}, {"text": "ca\\xff", "size": 3}),
        ({"_MACHINE_ID": None}, {"host": Host(name="gamma"), "file": FileKey("gamma", "journald:ch@1.service")}),
        ({"_MACHINE_ID": "id-of-alpha"}, {"host": ALPHA}),
        ({"_MACHINE_ID": None, "_HOSTNAME": "alpha"}, {"host": ALPHA}),
        ({"_MACHINE_ID": None, "_HOSTNAME": None, "__CURSOR": "i=1"}, {"host": ALPHA}),
        ({"__CURSOR": "i=zz;s"}, {"offset": None, "epoch": ""}),
        ({"__CURSOR": 5}, {"offset": None, "epoch": ""}),
    ],
)
def test_entries_that_say_less(changed: dict[str, Any], expected: dict[str, Any]) -> None:
    """What an entry does not say is not known, or known from elsewhere; bytes that are no text are an array."""
    record = one(ENTRY | changed)
    assert {name: getattr(record, name) for name in expected} == expected


@both
def test_other_maps_are_read_as_stores_are(encode: Encode) -> None:
    """A body with fields has one for the line; others say who wrote it, and deeper ones are named by dots."""
    body = {"log": "hello\n", "kubernetes": {"pod_name": "p"}, "pid": 5, "time": "2026-01-01T00:00:00.000000001Z"}
    record = one(body, {"log.file.path": "/a"}, encode)
    assert (record.text, record.size, record.writer) == ("hello", 5, "5/p")
    assert record.received_ns == 1_767_225_600_000_000_001


@pytest.mark.parametrize(
    ("body", "attributes", "reason"),
    [
        (None, {"log.file.path": "/a"}, PassedOver.NO_TEXT),
        (5, {"log.file.path": "/a"}, PassedOver.NO_TEXT),
        (["a"], {"log.file.path": "/a"}, PassedOver.NO_TEXT),
        ({"level": "info"}, {"log.file.path": "/a"}, PassedOver.NO_TEXT),
        ({"__CURSOR": "i=1"}, {}, PassedOver.NO_TEXT),
        ("text", {}, PassedOver.NO_FILE),
        ({"message": "text"}, {}, PassedOver.NO_FILE),
        ("text", {"log.file.path": "/a", "event.name": "vm.migration.guest.fate"}, PassedOver.ANOTHER_EVENT),
    ],
)
def test_what_is_no_line_is_counted(body: Any, attributes: dict[str, Any], reason: PassedOver) -> None:
    """A record that is no line of a file is accepted, and counted by the reason."""
    assert why(body, attributes) == {reason: 1}


@both
@pytest.mark.parametrize("by_attribute", [False, True])
def test_announcements(encode: Encode, *, by_attribute: bool) -> None:
    """A record whose event says that a migration was asked for keeps the span that it was emitted in."""
    attributes = {"url": "tcp:10.0.0.2:4444", "limits": {"n": [1, 2.5, True]}}
    attributes |= {"event.name": "vm.migration.announced"} if by_attribute else {}
    record = log_record(
        "Migrating",
        attributes,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        flags=0x101,
        time_unix_nano=3,
        observed_time_unix_nano=4,
        event_name="" if by_attribute else "vm.migration.announced",
    )
    received = decoded(request([record]), encode)
    assert (received.records, received.passed_over) == ((), {})
    (announcement,) = received.announcements
    assert announcement == (
        "vm.migration.announced",
        bytes(range(16)).hex(),
        bytes(range(8)).hex(),
        0x101,
        3,
        4,
        attributes,
        HOST,
        ALPHA,
    )


def test_an_announcement_outside_of_any_span() -> None:
    """Ids of zeros, or of another length, are none; the announcement stands."""
    for trace_id, span_id in ((b"", b""), (bytes(16), bytes(8)), (b"\1" * 16, b""), (b"\1" * 15, b"\1" * 8)):
        record = log_record(None, event_name="vm.migration.returned", trace_id=trace_id, span_id=span_id)
        (announcement,) = decoded(request([record])).announcements
        assert announcement[:4] == ("vm.migration.returned", "", "", 0)


@pytest.mark.parametrize(("body", "is_json"), [(b"", False), (b"{}", True), (b'{"resourceLogs": []}', True)])
def test_empty_requests(body: bytes, *, is_json: bool) -> None:
    """A request without anything in it is one."""
    assert decode_logs(body, is_json=is_json) == ReceivedLogs((), (), decode_logs(b"", is_json=False).passed_over)


@pytest.mark.parametrize(
    ("body", "is_json"),
    [
        (b"\x0a\xff", False),
        (b"hello, world", False),
        (b"\x00\x00", False),
        (b"\x0b", False),
        (b"\xff" * 11, False),
        (b"hello", True),
        (b"[]", True),
        (b"\xff", True),
        (b'{"resourceLogs": 5}', True),
        (b'{"a":' * 100_000, True),
        (b'{"a": ' + b"9" * 10_000 + b"}", True),
        (b"\x0a\x00" * 300_000, False),
        (b'{"resourceLogs": [' + b"{}," * 600_000 + b"{}]}", True),
    ],
)
def test_what_is_no_request(body: bytes, *, is_json: bool) -> None:
    """Only what is no request as a whole, or has more parts than any, is refused; the reason quotes nothing."""
    with pytest.raises(MalformedRequestError) as error:
        decode_logs(body, is_json=is_json)
    assert error.value.reason == str(error.value)
    assert "hello" not in error.value.reason


def test_a_damaged_part_costs_itself_alone() -> None:
    """Records beside one that cannot be read, and batches beside such a one, are taken."""
    good = request([file_record("a", 0, 1), file_record("b", 2, 2)]).SerializeToString()
    damaged = good.replace(b"\x2a\x03\x0a\x01a", b"\x2a\x03\x0a\x7fa")
    assert damaged != good
    received = decode_logs(b"\x0a\x03abc" + damaged + good, is_json=False)
    assert [record.text for record in received.records] == ["b", "a", "b"]
    assert received.passed_over == {PassedOver.DAMAGED: 2}
    parts = b'{"resourceLogs": [5, {"scopeLogs": 5}, {"resource": 5, "scopeLogs": [{"logRecords": [5, {}]}]}]}'
    assert decode_logs(parts, is_json=True).passed_over == {PassedOver.DAMAGED: 3, PassedOver.NO_TEXT: 1}


def test_requests_of_other_signals_are_counted() -> None:
    """Spans sent to the wrong path hold no line; nothing is raised."""
    span = Span(name="migration", trace_id=bytes(range(16)), kind=Span.SPAN_KIND_CLIENT)
    spans = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])])
    assert sum(decode_logs(spans.SerializeToString(), is_json=False).passed_over.values()) == 1
    assert decode_logs(b'{"resourceSpans": []}', is_json=True).passed_over == {PassedOver.ANOTHER_SIGNAL: 1}


def test_values_that_lie_deep_cost_themselves_alone() -> None:
    """Protobuf refuses what is nested a hundred times; here only the value is left out."""
    deep = message(0x0A, b"x")
    for _ in range(300):
        deep = message(0x32, message(0x0A, message(0x12, deep)))
    for extra, texts in ((message(0x32, message(0x12, deep)), ["a"]), (message(0x2A, deep), [])):
        record = file_record("a", 0, 1).SerializeToString() + extra
        received = decode_logs(message(0x0A, message(0x12, message(0x12, record))), is_json=False)
        assert [line.text for line in received.records] == texts
        assert received.passed_over == ({} if texts else {PassedOver.NO_TEXT: 1})


def test_a_record_of_many_attributes() -> None:
    """A large record of nothing but attributes is no line; a line that is long is one."""
    record = file_record("x" * 100_000, 0, 1)
    assert decoded(request([record])).records[0].size == 100_000
    record.attributes.extend(record.attributes[0] for _ in range(2_000))
    assert decoded(request([record])).passed_over == {PassedOver.LARGE: 1}
    record.body.string_value = "x"
    assert decoded(request([record])).passed_over == {PassedOver.LARGE: 1}
    record.ClearField("attributes")
    record.attributes.extend(log_record(None, {"": None}).attributes[0] for _ in range(2_000))
    assert len(record.SerializeToString()) < 20_000
    assert decoded(request([record])).passed_over == {PassedOver.LARGE: 1}


@both
@pytest.mark.parametrize("body", ["x" * 3_000_000, b"\xff" * 3_000_000], ids=["text", "bytes"])
def test_what_is_longer_than_any_line_is_cut(encode: Encode, body: str | bytes) -> None:
    """A text takes a few times the limit in memory, whatever it is; what it had is known."""
    record = one(body, {"log.file.path": "/a"}, encode)
    assert record.size == 3_000_000
    assert record.text == ("x" * (1 << 20) if isinstance(body, str) else "\\xff" * (1 << 18))


def test_memory_is_bounded() -> None:
    """Records as small as can be, each of a file and a machine of its own, take less than a kilobyte each."""
    records = [log_record("a", {"log.file.path": f"/{at}", "host.name": f"{at}"}) for at in range(10_000)]
    body = request(records).SerializeToString()
    tracemalloc.start()
    received = decode_logs(body, is_json=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(received.records) == 10_000
    assert peak < 10_000 << 10


def test_control_characters_stay() -> None:
    """What may be shown is decided where it is shown."""
    assert one("a\x00\x1b[1m\x85\u202eb", {"log.file.path": "/a"}).text == "a\x00\x1b[1m\x85\u202eb"


def test_json_numbers_in_any_form() -> None:
    """Integers come as text, or as numbers; what is neither is not known."""
    record = {"body": {"stringValue": "a"}, "timeUnixNano": 3, "observedTimeUnixNano": "x"}
    for value, offset in (
        ({"intValue": "7"}, 7),
        ({"intValue": 7}, 7),
        ({"intValue": 7.0}, 7),
        ({"intValue": "7.5"}, None),
    ):
        pairs = [{"key": "log.file.path", "value": {"stringValue": "/a"}}]
        pairs += [{"key": "log.file.record_offset", "value": value}]
        document = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record | {"attributes": pairs}]}]}]}
        (line,) = decode_logs(json.dumps(document).encode(), is_json=True).records
        assert (line.offset, line.received_ns) == (offset, 3)
