"""Requests with something done to them: none is an exception, none keeps its sender waiting.

A short run of what `make fuzz` does with a million of them.
"""

from __future__ import annotations

from fuzz_intake import decode_all, send_all


def test_mutated_requests_are_decoded() -> None:
    """The decoder is total, and the same body always gives the same."""
    outcomes = decode_all(seed=1, first=0, count=10_000)
    assert sum(outcomes.values()) == 10_000
    assert all(outcomes[each] > 500 for each in ("taken", "passed over", "malformed"))


def test_mutated_requests_are_answered() -> None:
    """Over HTTP, each whole request has an answer that its sender does not repeat it for; each connection ends."""
    outcomes = send_all(seed=2, first=0, count=2_000)
    assert sum(outcomes.values()) == 2_000
    assert not [outcome for outcome in outcomes if outcome.startswith("fault")]
    assert all(outcomes[each] > 100 for each in ("200", "400"))
