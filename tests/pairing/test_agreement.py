"""What excludes that two sides are one migration, by what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from trace_invariants import CORPUS

from otelmig.migration.facts import Printed
from otelmig.pairing.agreement import contradiction
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from otelmig.migration.side import Side

_WHY = "the destination's work does not fit into the source's times"


@pytest.fixture
def sides() -> tuple[Side, Side]:
    """Both sides of a recorded migration that prints the parts of its downtime."""
    folder = CORPUS / "v53.0-twohosts"
    (migration,) = read_findings([folder / "source.log", folder / "destination.log"]).migrations
    assert migration.source is not None
    assert migration.destination is not None
    return migration.source, migration.destination


def test_the_recorded_pair_agrees(sides: tuple[Side, Side]) -> None:
    """What belongs together contradicts nothing."""
    assert contradiction(*sides) is None


def test_work_that_does_not_fit_excludes_a_pair_without_the_completion_line(sides: tuple[Side, Side]) -> None:
    """The printed parts of the downtime speak for themselves: the line of its end need not be there."""
    source, destination = sides
    restore = replace(destination.received.restore, restore=Printed(60 * 10**9, 10**6))
    slower = replace(destination, received=replace(destination.received, restore=restore))
    cut = replace(source, sent=replace(source.sent, downtime=None))
    assert contradiction(source, slower) == _WHY
    assert contradiction(cut, slower) == _WHY
    assert contradiction(cut, destination) is None
