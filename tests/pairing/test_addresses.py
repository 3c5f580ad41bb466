"""Whose address a source connects to, as far as the hosts' own addresses and names are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from short_logs import DESTINATION, SOURCE, told, written
from trace_invariants import check_traces

from otelmig.inputs.framing.stores import entry_line
from otelmig.inputs.line import Host, Where
from otelmig.migration.url import MigrationUrl
from otelmig.pairing.agreement import PairingBasis
from otelmig.pairing.traits.addresses import connects_to
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otelmig.migration.side import Side
    from otelmig.pipeline import Findings


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    """Both sides of a migration, of hosts that nobody names."""
    paths = written(tmp_path_factory.mktemp("logs"), source=told(SOURCE), destination=told(DESTINATION))
    (migration,) = read_findings(paths).migrations
    assert migration.source is not None
    assert migration.destination is not None
    return migration.source, migration.destination


_TWO = ("192.0.2.20", "2001:db8::20")


@pytest.mark.parametrize(
    ("url", "host", "there"),
    [
        ("tcp:192.0.2.20:4444", Host(ips=_TWO), True),
        ("tcp:[2001:DB8:0::20]:4444", Host(ips=_TWO), True),
        ("tcp:[::ffff:192.0.2.20]:4444", Host(ips=_TWO), True),
        ("tcp:192.0.2.21:4444", Host(ips=_TWO), False),
        ("tcp:192.0.2.21:4444", Host(name="b"), None),
        ("tcp:192.0.2.21:4444", Host(name="192.0.2.21"), True),
        ("tcp:192.0.2.21:4444", Host(name="192.0.2.20"), None),
        ("tcp:192.0.2.21:4444", None, None),
        ("tcp:[fe80::1%eth0]:4444", Host(ips=("fe80::1%eth0",)), None),
        ("tcp:[fe80::1]:4444", Host(ips=_TWO), None),
        ("tcp:127.0.0.1:4444", Host(ips=("127.0.0.1", "192.0.2.20")), None),
        ("tcp:[::1]:4444", Host(ips=_TWO), None),
        ("tcp:localhost:4444", Host(name="localhost", ips=_TWO), None),
        ("tcp:0.0.0.0:4444", Host(ips=_TWO), None),
        ("unix:/run/192.0.2.20:4444", Host(ips=_TWO), None),
        ("tcp:b:4444", Host(name="b"), True),
        ("tcp:B.example.org:4444", Host(name="b"), True),
        ("tcp:b:4444", Host(name="b.example.org."), True),
        ("tcp:b.example.org:4444", Host(name="B.EXAMPLE.ORG."), True),
        ("tcp:b.storage.example.org:4444", Host(name="b.example.org"), None),
        ("tcp:c:4444", Host(name="b.example.org"), False),
        ("tcp:c:4444", Host(ips=_TWO), None),
        ("tcp:c:4444", Host(name="192.0.2.20"), None),
        ("tcp:192.0.2.20:4444", Host(ips=("not an address", "")), False),
    ],
)
def test_whose_address_it_is(url: str, host: Host | None, sides: tuple[Side, Side], *, there: bool | None) -> None:
    """Addresses are compared as addresses, names without their domains; loopback says nothing across hosts."""
    source, destination = sides
    terms = replace(source.sent.terms, url=MigrationUrl.of(url))
    sender = replace(source, sent=replace(source.sent, terms=terms))
    assert connects_to(sender, replace(destination, vmm=replace(destination.vmm, host=host))) is there


@pytest.mark.parametrize(
    ("listening", "there"),
    [("tcp:192.0.2.20:4444", True), ("tcp:192.0.2.21:4444", None), ("tcp:0.0.0.0:4444", None), (None, None)],
)
def test_where_it_listens_is_its_own_address(
    listening: str | None, sides: tuple[Side, Side], *, there: bool | None
) -> None:
    """A destination told to listen on one address has it; translated addresses may lead from any other one to it."""
    source, destination = sides
    url = None if listening is None else MigrationUrl.of(listening)
    assert connects_to(source, replace(destination, received=replace(destination.received, url=url))) is there


_BEGAN_NS = 1_780_000_000 * 10**9


def _sent(path: Path, text: str, later_s: float, **resource: str | Sequence[str]) -> Path:
    """A log as a Collector sends it, received as it was written, ``later_s`` after another's zero."""
    attributes: list[dict[str, Any]] = []
    for name, value in resource.items():
        one = isinstance(value, str)
        values = [{"stringValue": each} for each in ([value] if one else value)]
        attributes.append(
            {"key": name.replace("_", "."), "value": values[0] if one else {"arrayValue": {"values": values}}}
        )
    records = []
    for line in text.splitlines():
        at_s = float(line.split(":", 2)[1].strip().rstrip("s")) + later_s
        records.append({"observedTimeUnixNano": str(_BEGAN_NS + round(at_s * 1e9)), "body": {"stringValue": line}})
    request = {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [{"logRecords": records}]}]}
    path.write_text(f"{json.dumps(request)}\n")
    return path


def _received(folder: Path, **host: str | Sequence[str]) -> Findings:
    source = _sent(folder / "source.jsonl", told(SOURCE), 0.0, host_name="a", host_ip=["192.0.2.10"])
    return read_findings([source, _sent(folder / "destination.jsonl", told(DESTINATION), 3.6, **host)])


@pytest.mark.parametrize("ips", [["2001:db8::20", "192.0.2.20"], "192.0.2.20"])
def test_its_own_address_and_port_at_one_time_name_a_pair(ips: str | list[str], tmp_path: Path) -> None:
    """The resource of a Collector lists the host's addresses, as one string or several."""
    findings = _received(tmp_path, host_name="b", host_id="0123", host_ip=ips)
    (migration,) = findings.migrations
    assert migration.destination is not None
    assert migration.destination.vmm.host == Host(
        name="b", id="0123", ips=(ips,) if isinstance(ips, str) else tuple(ips)
    )
    assert (migration.basis, migration.doubt) == (PairingBasis.ENDPOINT, None)
    assert {"same port 4444", "the address is the receiving host's"} <= set(migration.reasons)
    check_traces(list(findings.traces(TraceOptions())))


def test_another_host_listens_there(tmp_path: Path) -> None:
    """The URL's address is none of that host's: two traces, and a note says why; the caller may know better."""
    findings = _received(tmp_path, host_name="c", host_ip=["192.0.2.30", "10.0.0.30"])
    assert len(findings.migrations) == 2
    why = "source.jsonl is not paired: destination.jsonl: the destination listens on another host"
    assert why in findings.notes
    paths = [tmp_path / "source.jsonl", tmp_path / "destination.jsonl"]
    (migration,) = read_findings(paths, pairs=[("source.jsonl", "destination.jsonl")]).migrations
    assert migration.basis is PairingBasis.ASSERTED


_VM = 'platform: Some(PlatformConfig { uuid: Some("7c9e") }), memory: MemoryConfig { size: 1024 }'


def test_a_vm_that_both_name_was_sent_through_a_translated_address(tmp_path: Path) -> None:
    """Where an address is translated, no host lists it: the same VM says more."""
    config = f"Booting VM from config: Mutex {{ data: VmConfig {{ {_VM}, cpus: CpusConfig {{ boot_vcpus: 1 }} }} }}"
    named = [
        (at, text.replace(text.partition(" -- ")[2], f"{config}\r\n") if "Booting" in text else text)
        for at, text in DESTINATION
    ]
    booted = (0.01, SOURCE[0][1].replace("v53.0 starting", config).replace("0.006", "0.010"))
    source = _sent(tmp_path / "source.jsonl", told(SOURCE, booted), 0.0, host_name="a", host_ip=["192.0.2.10"])
    destination = _sent(tmp_path / "destination.jsonl", told(named), 3.6, host_name="c", host_ip=["10.0.0.30"])
    (migration,) = read_findings([source, destination]).migrations
    assert migration.basis is PairingBasis.IDENTITY


def test_a_host_without_a_name_is_a_host() -> None:
    """Its id or its addresses are kept; lines of two such hosts are of two writers."""
    named: list[dict[str, object]] = [
        {"host.id": "a"},
        {"host": {"id": "b", "ip": ["192.0.2.20", 7]}},
        {"host.ip": []},
    ]
    lines = [entry_line(json.dumps({"message": "x", **more}), Where("x", 1)) for more in named]
    assert [line and line.host for line in lines] == [Host(id="a"), Host(id="b", ips=("192.0.2.20",)), None]
    assert len({line and line.writer for line in lines}) == 3
