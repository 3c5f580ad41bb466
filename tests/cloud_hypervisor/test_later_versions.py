"""Versions after the last known release, in which an event of one name means something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from accidents import files_of
from trace_invariants import traced

from otelmig.hypervisors.cloud_hypervisor.releases import ALL, may_be_after_head, since, until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("version", "later"),
    [
        (None, True),
        ("v52.0", False),
        ("v53.0", False),
        ("v53.1", False),
        ("v53.0-246-gae44c2971", False),
        ("v53.0-247-gae44c2971", True),
        ("v54.0", True),
        ("v53.0-dirty", False),
        ("v53.0-acme", True),
    ],
)
def test_versions_by_number_and_commits(version: str | None, *, later: bool) -> None:
    """A version that cannot be read may be any; v53.0 and 246 commits are HEAD."""
    assert may_be_after_head(ALL, version) is later
    assert may_be_after_head(since("v53.0"), version) is later
    assert not may_be_after_head(until("v53.0"), version)


def test_an_event_of_two_meanings_proves_nothing_backwards(tmp_path: Path) -> None:
    """Without the events that come first since HEAD, the next ones may be receipts of Start, or come before it."""
    paths = []
    for name, data in files_of("scenario:next-tcp").items():
        path = tmp_path / name
        path.write_bytes(b"".join(line for line in data.splitlines(keepends=True) if b"-starting" not in line))
        paths.append(path)
    (trace,) = traced(paths)
    receive = trace.first("receive")
    assert receive is not None
    low, high = (receive.attributes[f"otelmig.clock.offset.{end}"] for end in ("min", "max"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low <= -1.25 <= high
    used = {str(value) for value in receive.attributes.values()}
    assert not any("migration-receive-started" in each for each in used)
