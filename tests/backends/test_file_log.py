"""The hypervisor's log through the Collector with the shipped file_log.yaml: what arrives, and what must not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from forest import CORPUS

from backends.log_receiver import log_receiver
from backends.patience import eventually
from otelmig.hypervisors.cloud_hypervisor.lexicon import meaning_of
from otelmig.hypervisors.cloud_hypervisor.log_format import KNOWN_FORMS
from otelmig.observation import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from backends.log_receiver import LogReceiver
    from backends.site import Site

pytestmark = pytest.mark.backend

_RECORDINGS = ("v48.0-basic", "v51.1-killdst", "v53.0-twohosts", "v53.0-wallclock", "v53.0-localseccomp", "head-conn4")
"""The default lines of old and new releases, two with wall clocks, chains of errors, stray lines."""
_WITHHELD = re.compile(r"API request event: (?:VmCreate|VmRestore|VmSnapshot)|GPA: ")


def _wanted(path: Path) -> list[str]:
    """The records of a log that speak of a migration and may leave, chains of errors with all their lines."""
    found: list[str] = []
    goes_on = False
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        match = next((match for form in KNOWN_FORMS if (match := form.pattern.match(line))), None)
        if match is None:
            if goes_on:
                found[-1] += "\n" + line
            continue
        meaning = meaning_of(match["msg"])
        wanted = meaning is not None and meaning.kind not in (Kind.KNOWN, Kind.VM_CONFIG)
        wanted = wanted and not _WITHHELD.match(match["msg"])
        goes_on = wanted and meaning is not None and meaning.goes_on
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


def test_only_what_the_message_table_has_leaves_the_host(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of a migration arrives, whole and once; no other does, above all no configuration of a VM."""
    logs = site.folder("/var/log/cloud-hypervisor")
    logs.mkdir(parents=True)
    wanted, secrets = {}, set()
    for name in _RECORDINGS:
        for path in (CORPUS / name).glob("*.log"):
            (logs / f"{name}-{path.name}").write_bytes(path.read_bytes())
            wanted[f"{name}-{path.name}"] = _wanted(path)
            secrets |= set(re.findall(rb'(?:path|kernel|cmdline|socket): Some\(\W*"([^"]{6,})"', path.read_bytes()))
    assert secrets
    monkeypatch.setenv("HOSTNAME", "alpha")
    with log_receiver() as receiver:
        endpoint = {"http://127.0.0.1:3100/otlp": receiver.url.replace("127.0.0.1", "localhost")}
        site.collector(site.place("agent.yaml"), site.place("file_log.yaml", endpoint))
        count = sum(map(len, wanted.values()))
        arrived = eventually(lambda: _bodies(receiver), lambda found: sum(map(len, found.values())) >= count)
        assert {name: sorted(bodies) for name, bodies in arrived.items()} == {
            name: sorted(bodies) for name, bodies in wanted.items() if bodies
        }
        assert not [secret for secret in secrets if secret in receiver.bytes]
        assert b"VmConfig" not in receiver.bytes
        resource = {each.key: each.value.string_value for each in receiver.received[0].resource.attributes}
    assert resource == {"host.name": "alpha", "service.namespace": "vm-migration", "service.name": "cloud-hypervisor"}
