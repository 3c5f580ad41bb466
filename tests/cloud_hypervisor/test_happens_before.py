"""The table of happens-before rules: what its columns say is what the recordings show."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS
from trace_invariants import CORPUS, RECORDINGS, inputs

from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import RULES
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BY_ID = {rule.id: rule for rule in RULES}


@cache
def _used(paths: tuple[Path, ...]) -> frozenset[str]:
    proofs = [found.proof for found in read_findings(paths).migrations]
    return frozenset(each.rule for proof in proofs if proof is not None for each in proof.constraints)


def _verbosity(paths: Iterable[Path]) -> int:
    """How many ``-v`` the logs were written with, by the levels that they print."""
    text = b"".join(path.read_bytes() for path in paths)
    return 3 if b" TRACE:" in text else 2 if b" DEBUG:" in text else 1


def test_ids_are_unique() -> None:
    """One row a rule."""
    assert len(_BY_ID) == len(RULES)


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("events", [True, False])
def test_rules_need_what_they_say(name: str, *, events: bool) -> None:
    """No rule is used in a recording whose release, verbosity or lack of an event stream rules it out."""
    paths = [path for path in inputs(name) if path.suffix == ".log" or events]
    release = RELEASES.index("HEAD" if name.startswith("head") else f"{name.split('.', maxsplit=1)[0]}.0")
    verbosity = _verbosity(path for path in paths if path.suffix == ".log")
    for rule in _used(tuple(paths)):
        need = _BY_ID[rule].need(release)
        assert need is not None, rule
        assert need.verbosity <= verbosity, rule
        assert events or not need.event_monitor, rule


def test_the_recordings_use_what_their_verbosity_gives() -> None:
    """At ``-v`` a migration over TCP gives every rule about a running precopy that the table promises for it."""
    paths = tuple(CORPUS / "v53.0-basicv" / name for name in ("source.log", "destination.log"))
    wanted = {
        rule.id for rule in RULES if (need := rule.need(RELEASES.index("v53.0"))) is not None and need.verbosity == 1
    }
    others = ("tls", "fault", "prefault", "drained", "lost", "paused->")  # the last: where lines are missing
    beside = {rule for rule in wanted if any(word in rule for word in others)}
    assert wanted - beside == _used(paths)


def test_every_rule_is_used_somewhere(tmp_path: Path) -> None:
    """A rule that no recording and no scenario uses would be a guess."""
    used = set().union(*(_used(tuple(inputs(name))) for name in RECORDINGS))
    for name, scenario in SCENARIOS.items():
        folder = tmp_path / name
        folder.mkdir()
        for file, content in scenario.files.items():
            (folder / file).write_bytes(content)
        used |= _used(tuple(sorted(folder.iterdir())))
    assert used == set(_BY_ID)
