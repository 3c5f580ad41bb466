"""The hypervisor's log through the Collector with the shipped file_log.yaml: what arrives, and what must not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS
from trace_invariants import CORPUS

from backends.backend_stack import GATE
from backends.log_receiver import log_receiver
from backends.retry import eventually
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.log_format import KNOWN_FORMS
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import meaning_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from backends.backend_stack import BackendStack
    from backends.log_receiver import LogReceiver

pytestmark = pytest.mark.backend

_RECORDINGS = ("v48.0-basic", "v51.1-killdst", "v53.0-twohosts", "v53.0-wallclock", "v53.0-local", "head-conn4")
"""The default lines of old and new releases, two with wall clocks, stray lines."""
_SCENARIOS = ("v52.0-connections-break", "cyberus-failed")
"""Errors that go on for lines, one of them in the lines of a fork."""
_PLANTED = "oem_strings: Some([hunter2])"
_DUMP = f"""\
cloud-hypervisor:   0.300000s: <vmm> INFO:vmm/src/vm.rs:606 -- Booting VM from config: Mutex {{ data: VmConfig {{\r
    platform: PlatformConfig {{ {_PLANTED} }},\r
2026 was another year, -- INFO:of/a -- stray: {_PLANTED}\r
cloud-hypervisor:   0.400000s: <vmm> INFO:vmm/src/api/mod.rs:1 -- API request event: VmRestore {_PLANTED}\r
""".encode()
"""A configuration over several lines, as no release writes it (yet)."""
_WALL_CLOCK = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)")
_WITHHELD = re.compile(r"API request event: (?:VmCreate|VmRestore|VmSnapshot)|GPA: ")


def _wanted(path: Path) -> list[str]:
    """The records of a log that speak of a migration and may leave, chains of errors with all their lines."""
    found: list[str] = []
    multiline = False
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        match = next((match for form in KNOWN_FORMS if (match := form.pattern.match(line))), None)
        if match is None:
            if multiline:
                found[-1] += "\n" + line
            continue
        meaning = meaning_of(match["msg"])
        wanted = meaning is not None and meaning.kind not in (Kind.IRRELEVANT, Kind.VM_CONFIG)
        wanted = wanted and not _WITHHELD.match(match["msg"])
        multiline = wanted and meaning is not None and meaning.multiline
        if wanted:
            found.append(line)
    return [text.rstrip() for text in found]


def _records(receiver: LogReceiver) -> Iterator[LogRecord]:
    for resource in receiver.received:
        for scope in resource.scope_logs:
            yield from scope.log_records


def _bodies(receiver: LogReceiver) -> dict[str, list[str]]:
    """What arrived, by the file's name, in the order of the file."""
    found: dict[str, list[str]] = {}
    for record in _records(receiver):
        attributes = {each.key: each.value for each in record.attributes}
        found.setdefault(attributes["log.file.name"].string_value, []).append(
            record.body.string_value.replace("\r\n", "\n")
        )
    return found


def _put(stack: BackendStack) -> dict[str, list[str]]:
    """Write the logs where the file looks for them; the records that should arrive, by the log's name."""
    folder = stack.folder("/var/log/cloud-hypervisor")
    folder.mkdir(parents=True)
    logs = {f"{name}-{path.name}": path.read_bytes() for name in _RECORDINGS for path in (CORPUS / name).glob("*.log")}
    logs |= {
        f"{name}-{file}": content
        for name in _SCENARIOS
        for file, content in SCENARIOS[name].files.items()
        if file.endswith(".log")
    }
    wanted = {}
    for name, content in logs.items():
        path = folder / name
        path.write_bytes(_DUMP + content)
        wanted[name] = _wanted(path)
    return wanted


def test_only_what_the_message_table_has_leaves_the_host(stack: BackendStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of a migration arrives, whole and once, across a restart; no other does, no VM configuration."""
    wanted = _put(stack)
    assert any("\n" in body for bodies in wanted.values() for body in bodies)
    secrets = {_PLANTED.encode()}
    for path in stack.folder("/var/log/cloud-hypervisor").iterdir():
        secrets |= set(re.findall(rb'(?:path|file|kernel|cmdline): Some\("([^"]{6,})"', path.read_bytes()))
    assert len(secrets) > 3
    monkeypatch.setenv("HOSTNAME", "alpha")
    with log_receiver() as receiver:
        endpoint = {"http://127.0.0.1:3100/otlp": receiver.url.replace("127.0.0.1", "localhost")}
        server = stack.collector(stack.place("agent.yaml"), stack.place("file_log.yaml", endpoint), options=[GATE])
        count = sum(map(len, wanted.values()))
        arrived = eventually(lambda: _bodies(receiver), lambda found: sum(map(len, found.values())) >= count)
        assert {name: sorted(bodies) for name, bodies in arrived.items()} == {
            name: sorted(bodies) for name, bodies in wanted.items() if bodies
        }
        assert not [secret for secret in secrets if secret in receiver.content]
        assert b"VmConfig" not in receiver.content
        resource = {each.key: each.value.string_value for each in receiver.received[0].resource.attributes}
        records = list(_records(receiver))
        assert not re.findall(r"(?m)^\S+\terror\t.*", server.log)
        server.stop()
        server.start()
        with (stack.folder("/var/log/cloud-hypervisor") / "v53.0-local-source.log").open("ab") as file:
            file.write(b"cloud-hypervisor:  99.000000s: <vmm> INFO:vmm/src/lib.rs:1 -- Migration complete\r\n")
        assert len(eventually(lambda: list(_records(receiver)), lambda found: len(found) > count)) == count + 1
    assert resource == {"host.name": "alpha", "service.namespace": "vm-migration", "service.name": "cloud-hypervisor"}
    for record in records:
        clock = _WALL_CLOCK.search(record.body.string_value)
        assert record.time_unix_nano == (0 if clock is None else _unix_ns(clock[0]))
        assert record.severity_text in record.body.string_value
        assert record.severity_number > 0
        names = {each.key for each in record.attributes}
        assert names == {"thread.name", "log.file.name", "log.file.record_number"}


def _unix_ns(rfc3339: str) -> int:
    return (datetime.fromisoformat(rfc3339) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
