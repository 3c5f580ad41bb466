"""Lines of the handshake are missing: what is printed again later is not taken for what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, RECORDINGS

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

    from otelmig.clock.proof import ClockProof

_CPUID = b"Generating guest CPUID"
_CONNECTING = b"Connecting to"


def _proof(folder: Path, recording: str, text: bytes, *, after: bytes) -> ClockProof:
    """What the logs prove without the source's first line of that ``text`` after the one that says ``after``."""
    for name in ("source.log", "destination.log"):
        lines = (CORPUS / recording / name).read_bytes().splitlines(keepends=True)
        if name == "source.log":
            begin = next(at for at, line in enumerate(lines) if after in line)
            del lines[next(at for at, line in enumerate(lines) if at > begin and text in line)]
        (folder / name).write_bytes(b"".join(lines))
    (migration,) = read_findings([folder / "source.log", folder / "destination.log"]).migrations
    assert migration.proof is not None
    assert migration.proof.conflict is None
    return migration.proof


_TWICE = [name for name in RECORDINGS if (CORPUS / name / "source.log").read_bytes().count(_CPUID) == 3]
"""Recordings of migrations that came as far as the snapshot: two of the lines, and one at boot."""


@pytest.mark.parametrize("name", [name for name in _TWICE if name not in ("v53.0-retry", "v53.0-twodestinations")])
def test_the_cpuid_of_the_snapshot_is_not_that_of_the_start(name: str, tmp_path: Path) -> None:
    """It is printed at both; without the first, nothing before Config may rest on the second."""
    proof = _proof(tmp_path, name, _CPUID, after=b"VmSendMigration")
    early = [each for each in proof.constraints if each.rule.startswith("start-read->")]
    assert all(each.first.kind != "cpuid_generated" for each in early)


@pytest.mark.parametrize("name", ["head-conn4", "v52.0-twohosts-connections", "v53.0-conn4"])
def test_a_further_connect_is_not_the_first(name: str, tmp_path: Path) -> None:
    """Four connections carry memory; their connects come after Start, and say nothing of when it was accepted."""
    proof = _proof(tmp_path, name, _CONNECTING, after=b"VmSendMigration")
    assert {each.first.kind for each in proof.constraints if each.rule.startswith("connecting->")} == {"send_announced"}
