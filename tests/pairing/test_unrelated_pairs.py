"""Logs of different migrations that fit each other: what is proved of them is said to rest on an assumption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from framings import cri
from restamp import on_port, shifted
from scenarios import SCENARIOS
from trace_invariants import CORPUS
from unrelated_pairs import unrelated_pairs

from otelmig.hypervisors.cloud_hypervisor.causality.compatibility import incompatibility
from otelmig.hypervisors.cloud_hypervisor.releases import releases_of
from otelmig.pairing.agreement import PairingBasis, doubt_of
from otelmig.pipeline import read_findings
from otelmig.trace.options import TraceOptions
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.migration.side import Side
    from otelmig.trace.span import Trace

_DOUBT = "nothing names this pair; proved only if these two belong together"


def test_every_unrelated_pair_is_in_doubt() -> None:
    """All recordings use one port, so many fit; none of them claims that something names it."""
    count, pairs = unrelated_pairs()
    assert count > 2_000
    assert pairs
    for pair in pairs:
        assert (pair.migration.doubt or "").startswith(_DOUBT), pair
        assert pair.migration.basis in (PairingBasis.ENDPOINT, PairingBasis.CLOCKS, PairingBasis.ASSUMED), pair


def test_no_unrelated_pair_migrates_to_an_older_release() -> None:
    """Nobody supports that, so it takes more than one port to believe it."""
    for pair in unrelated_pairs()[1]:
        first, last = (releases_of(side.vmm.releases_text) for side in pair.migration.sides)
        assert first.first <= last.last, pair


def test_fewer_unrelated_recordings_pair_than_there_are_of_one_shape() -> None:
    """84 did before releases were compared; whoever adds a recording may have to add to this number."""
    assert len(unrelated_pairs()[1]) <= 43


def _sides(one: str, other: str) -> tuple[Side, Side]:
    source = read_findings([CORPUS / one / "source.log"]).migrations[-1].source
    destination = read_findings([CORPUS / other / "destination.log"]).migrations[-1].destination
    assert source is not None
    assert destination is not None
    return source, destination


@pytest.mark.parametrize(
    ("one", "other", "why", "impossible"),
    [
        ("v53.0-dirty", "v53.0-tls", "one encrypts, the other does not", True),
        ("v53.0-tls", "v52.0-basic", "one encrypts, the other does not", True),
        ("v52.0-oomkilled", "v53.0-conn4", "their releases use further connections differently", True),
        ("v53.0-conn4", "v52.0-twohosts-connections", "their releases use further connections differently", True),
        ("v53.0-conn4", "v48.0-basic", "their releases use further connections differently", True),
        ("head-postcopy", "v52.0-killdst", "its release knows no postcopy", True),
        ("head-basic", "v53.0-dirty", "of HEAD, the destination of v53.0: nobody migrates to an older", False),
        ("v53.0-dirty", "v51.1-basic", "of v53.0, the destination of v51.0: nobody migrates to an older", False),
    ],
)
def test_releases_that_do_not_speak_to_each_other(one: str, other: str, why: str, *, impossible: bool) -> None:
    """What the protocol excludes, and what is only not supported."""
    answer = incompatibility(*_sides(one, other))
    assert answer is not None
    assert why in answer.reason
    assert answer.impossible == impossible


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v48.0-basic", "v53.0-dirty"),
        ("v51.1-basic", "head-basic"),
        ("v52.0-basic", "v53.0-dirty"),
        ("v53.0-conn4", "head-conn4"),
        ("v52.0-oomkilled", "v52.0-twohosts-connections"),
        ("v53.0-postcopy", "head-postcopy"),
    ],
)
def test_a_newer_release_takes_the_migration_of_an_older_one(one: str, other: str) -> None:
    """A release before v53.0 sends zeros where the protocol's version stands: that is version 0."""
    assert incompatibility(*_sides(one, other)) is None


def _protocol(folder: Path, version: bytes) -> list[Path]:
    """Both logs of a migration whose destination prints another version of the protocol."""
    paths = []
    for role in ("source", "destination"):
        log = (CORPUS / "v53.0-dirty" / f"{role}.log").read_bytes()
        if role == "destination":
            log = log.replace(b"Using migration protocol 0", b"Using migration protocol " + version)
        path = folder / f"{role}.log"
        path.write_bytes(log)
        paths.append(path)
    return paths


@pytest.mark.parametrize(("version", "paired"), [(b"0", True), (b"1", False)])
def test_both_print_the_protocol_that_the_source_speaks(version: bytes, tmp_path: Path, *, paired: bool) -> None:
    """The destination prints the version that it was asked for: another one is another migration's."""
    findings = read_findings(_protocol(tmp_path, version))
    assert (len(findings.migrations) == 1) == paired
    assert any("another version of the migration protocol" in note for note in findings.notes) != paired


def test_the_caller_may_name_a_migration_to_an_older_release() -> None:
    """Not supported is not impossible: what the caller names is taken, and said to be the caller's word."""
    paths = [CORPUS / "v52.0-killdst" / "source.log", CORPUS / "v51.1-killdst" / "destination.log"]
    assert len(read_findings(paths).migrations) == 2
    (migration,) = read_findings(paths, pairs=[("source.log", "destination.log")]).migrations
    assert migration.basis is PairingBasis.ASSERTED
    assert (migration.doubt or "").startswith("only the caller says")


_WALL = SCENARIOS["v52.0-wallclock"].files
_BOOT = SCENARIOS["v52.0-tcp"].files
_BEGAN_NS = 1_780_000_000 * 10**9


def _traced(folder: Path, source: bytes, destination: bytes) -> Trace:
    paths = [folder / "source.log", folder / "destination.log"]
    for path, log in zip(paths, (source, destination), strict=True):
        path.write_bytes(log)
    (trace,) = read_findings(paths).traces(TraceOptions())
    return trace


def test_a_wall_clock_and_a_boot_clock_are_not_bounded_on_that_ground(tmp_path: Path) -> None:
    """They fit at any offset: the numbers stand, and the status says what they rest on."""
    for name, source, destination in (
        ("wall", _WALL["source.log"], _BOOT["destination.log"]),
        ("boot", _BOOT["source.log"], _WALL["destination.log"]),
    ):
        folder = tmp_path / name
        folder.mkdir()
        trace = _traced(folder, source, destination)
        assert trace.root.attributes["otelmig.clock.status"] == "assumed"
        assert trace.root.attributes["otelmig.pairing.basis"] == "endpoint"
        receive = trace.first("receive")
        assert receive is not None
        assert receive.attributes["otelmig.clock.status"] == "assumed"
        assert "otelmig.clock.offset.min" in receive.attributes
        assert "started is known, if these two belong together, to within" in render_waterfall(
            trace, width=200, color=False
        )
        text = render_waterfall(trace, width=200, color=False)
        assert text.startswith(
            f"pair       not certain: {_DOUBT} (same port 4444, but others may use it, too)\nmigration  "
        )
        document = summary(trace)
        assert document["pairing_basis"] == "endpoint"
        assert document["clock"]["status"] == "assumed"  # type: ignore[index] # an object
        assert str(document["pairing_doubt"]).startswith(_DOUBT)


@pytest.mark.parametrize(("later_ms", "named"), [(1_250, True), (3_601_250, False)])
def test_times_of_receipt_name_a_pair_as_wall_clocks_do(tmp_path: Path, later_ms: int, *, named: bool) -> None:
    """Boot clocks whose lines were stamped when they came in: one port at one time, or at different ones."""
    source = cri(_BOOT["source.log"], began_ns=_BEGAN_NS)
    trace = _traced(tmp_path, source, cri(_BOOT["destination.log"], began_ns=_BEGAN_NS + later_ms * 10**6))
    assert ("otelmig.pairing.doubt" not in trace.root.attributes) == named


def test_one_vm_needs_no_other_name(tmp_path: Path) -> None:
    """Both print the same configuration with a name of its own: the port may be any."""
    recording = CORPUS / "v53.0-linux"
    trace = _traced(
        tmp_path,
        (recording / "source.log").read_bytes(),
        on_port(shifted((recording / "destination.log").read_bytes(), 250_000), 4444),
    )
    assert trace.root.attributes["otelmig.pairing.basis"] == "identity"
    assert "otelmig.pairing.doubt" not in trace.root.attributes
    assert render_waterfall(trace, width=200, color=False).startswith("migration  ")
    assert summary(trace)["pairing_doubt"] is None


@pytest.mark.parametrize(
    ("basis", "endpoint", "at_one_time", "doubt"),
    [
        (PairingBasis.IDENTITY, None, False, None),
        (PairingBasis.ENDPOINT, "same socket", True, None),
        (PairingBasis.ASSERTED, "same socket", True, None),
        (PairingBasis.ENDPOINT, "same socket", False, f"{_DOUBT} (same socket, but others may use it, too)"),
        (PairingBasis.CLOCKS, None, True, f"{_DOUBT} (their clocks agree, but so may those of others)"),
        (PairingBasis.ASSUMED, None, False, _DOUBT),
    ],
)
def test_it_takes_the_vm_or_an_endpoint_at_one_time(
    basis: PairingBasis, endpoint: str | None, doubt: str | None, *, at_one_time: bool
) -> None:
    """A port alone is used again and again, and clocks alone agree with those of everybody."""
    assert doubt_of(basis, endpoint, at_one_time=at_one_time) == doubt
