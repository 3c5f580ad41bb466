"""``otelmig explain``: what it says of the proof is what the proof rests on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from command_run import run_command
from trace_invariants import CORPUS, RECORDINGS, inputs

from otelmig.clock.drift import TIERS
from otelmig.hypervisors import hypervisors
from otelmig.pairing.explanation import Explanation, explain
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from otelmig.pairing.migration import Migration

_TWO_HOSTS = [CORPUS / "v53.0-twohosts" / name for name in ("source.log", "destination.log")]


def _explained(name: str) -> list[tuple[Migration, Explanation | None]]:
    (hypervisor,) = hypervisors()
    return [(found, explain(found, hypervisor)) for found in read_findings(inputs(name)).migrations]


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_width_is_made_of_its_parts(name: str) -> None:
    """Drift, rounding and messages add up to the interval at the end; what binds leaves room on its own side."""
    for found, explanation in _explained(name):
        if explanation is None:
            assert len(found.sides) == 1
            continue
        end = explanation.offsets[-1]
        assert end.lo_ns is not None
        assert end.hi_ns is not None
        parts = (explanation.drift_ns, explanation.rounding_ns, explanation.message_ns)
        assert sum(parts) == end.hi_ns - end.lo_ns
        assert min(parts[:2]) >= 0
        drift = TIERS["ntp-slew"]
        assert found.proof is not None
        for each in explanation.binding:
            at = each.constraint.at_ns
            lo, hi = found.proof.bounds.lo_ns(at), found.proof.bounds.hi_ns(at)
            assert lo is not None
            assert hi is not None
            assert each.slack_ns == hi - lo
        assert explanation.least_drift_ppb is not None
        assert explanation.least_drift_ppb <= drift
        assert not explanation.contradicting


def _json(*arguments: str) -> dict[str, Any]:
    ended = run_command(["explain", "--json", *arguments])
    assert ended.code == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["schema"] == "otelmig.explain/1"
    return found


def test_json_says_what_the_text_says() -> None:
    """Bounds with their lines, in seconds; the text prints the same in milliseconds."""
    paths = [str(path) for path in _TWO_HOSTS]
    (migration,) = _json(*paths)["migrations"]
    end = migration["proof"]["offsets"][-1]
    text = run_command(["explain", *paths]).stdout
    assert f"{end['min_s'] * 1e3:.3f}" in text
    assert f"{end['max_s'] * 1e3:.3f}" in text
    for bound in ("min_evidence", "max_evidence"):
        found = end[bound]
        assert f"{found['first']} before {found['second']}" in text
        assert found["rule"] in text
    assert migration["clock"]["offset_min_s"] == end["min_s"]


def test_less_drift_is_a_narrower_interval() -> None:
    """What ``--max-drift`` is told is what is assumed."""
    paths = [str(path) for path in _TWO_HOSTS]
    widths = []
    for drift in ("0", "steady", "ntp-slew", "chrony-slew"):
        (migration,) = _json(*paths, "--max-drift", drift)["migrations"]
        end = migration["proof"]["offsets"][-1]
        widths.append(end["max_s"] - end["min_s"])
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


@pytest.mark.parametrize(
    ("name", "sides"), [("v53.0-basicv", {"source", "destination"}), ("v51.1-twohosts", {"destination"})]
)
def test_advice_names_the_flag_that_adds_rules(name: str, sides: set[str]) -> None:
    """More verbosity is advised on the side whose lines the rules lack, and only there."""
    paths = [str(path) for path in inputs(name) if path.suffix == ".log"]
    (migration,) = _json(*paths)["migrations"]
    advised = [each for each in migration["proof"]["advice"] if each.startswith("-v")]
    assert {side for side in ("source", "destination") if any(f"on the {side}" in each for each in advised)} == sides


def test_one_side_has_nothing_to_prove() -> None:
    """A source alone is explained without a proof, and nothing found is nothing found."""
    (migration,) = _json(str(_TWO_HOSTS[0]))["migrations"]
    assert migration["proof"] is None
    assert run_command(["explain", "/dev/null"]).code == 4


def test_a_conflict_lists_what_contradicts() -> None:
    """Two migrations by force: exit 1 under ``--strict``, and every constraint that excludes another is listed."""
    paths = [CORPUS / "v53.0-wallclock" / "source.log", CORPUS / "v53.0-basicv" / "destination.log"]
    forced = ("--pair", "source.log=destination.log")
    ended = run_command(["explain", "--json", "--strict", *forced, *map(str, paths)])
    assert ended.code == 1
    (migration,) = json.loads(ended.stdout)["migrations"]
    conflict = migration["clock"]["conflict"]
    assert len(migration["proof"]["contradicting"]) == conflict["constraints"] >= 2
    assert migration["blackout"] is None
    text = run_command(["explain", *forced, *map(str, paths)]).stdout
    assert "CONFLICT: no offset fits" in text
    assert "constraints that exclude another" in text
    assert run_command(["trace", "--strict", "-q", *forced, *map(str, paths)]).code == 1
    assert run_command(["trace", "-q", *forced, *map(str, paths)]).code == 0
