"""JSON from outside: whatever it says, its texts can be encoded."""

from __future__ import annotations

import json

import pytest

from otelmig.inputs.framing.json_text import decoded


@pytest.mark.parametrize("as_bytes", [False, True])
def test_halves_of_pairs_are_escaped_and_pairs_are_not(*, as_bytes: bool) -> None:
    """In texts, keys and lists; everything else is as it was."""
    document = {"a\ud800": ["\udc80x", "\U0001f600", "\\ud800", 1, None, {"k": "\udfff"}], "plain": "é"}
    text = json.dumps(document)
    value = decoded(text.encode() if as_bytes else text)
    assert value == {
        "a\\ud800": ["\\udc80x", "\U0001f600", "\\ud800", 1, None, {"k": "\\udfff"}],
        "plain": "é",
    }
    assert json.dumps(value, ensure_ascii=False).encode()


def test_what_is_no_json() -> None:
    """It is an error, as it was."""
    with pytest.raises(ValueError, match="Expecting"):
        decoded("{")
    with pytest.raises(RecursionError):
        decoded("[" * 200_000)
