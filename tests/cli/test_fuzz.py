"""A short run of the fuzzer: whatever the inputs are, an account, sound traces, and time that grows with the size.

`make fuzz` runs it longer, and these tests with all cases and with longer texts.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import fuzz
import mutations
import near_misses
import pytest
from mutations import Case, Mutations
from sample import FULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _Mutation = Callable[[Mutations, bytes], bytes]

_LENGTH = near_misses.LENGTH if FULL else 3_000
"""Characters of the texts that nearly match."""
_CASES = range(1, 61) if FULL else (*range(1, 15), 24, 27, 40, 50, 54)
"""Number 40 is also four times as long."""


def _found(seeds: Iterable[int], kinds: tuple[str, ...] = mutations.KINDS) -> list[str]:
    return [
        f"{fault.command}: {fault.what} (python {fuzz.__file__} {fault.repeat})"
        for _, faults in fuzz.run_cases(seeds, kinds)
        for fault in faults
    ]


def test_mutated_logs() -> None:
    """Nineteen mutated sets of files, a sample of sixty."""
    assert not _found(_CASES)


def test_every_kind_of_mutation_is_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is left to the long run."""
    seen = set()

    def noting(own: _Mutation) -> _Mutation:
        def noted(self: Mutations, data: bytes) -> bytes:
            seen.add(own.__name__)
            return own(self, data)

        return noted

    for kind in mutations.KINDS:
        monkeypatch.setattr(Mutations, kind, noting(getattr(Mutations, kind)))
    for seed in _CASES:
        Case.of(seed)
    assert seen == {*mutations.KINDS}


def test_lines_of_10_mb() -> None:
    """They are read or reported, in bounded memory; one case, a sample of two."""
    assert not _found(range(1 if FULL else 2, 3), ("long_line",))


@pytest.mark.parametrize("text", [r"\d+x", r"(?=[\w/]*\d)[\w/]{16,64}"])
def test_regular_expressions_that_do_not_are_found(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The near misses are near enough to show what grows too fast."""
    monkeypatch.setattr(near_misses, "_PATIENCE_S", 0.1)
    named = near_misses.named_pattern(re.compile(text), "here", set())
    assert [name for name, _ in near_misses.slow_methods(named, _LENGTH)] == ["search"]


def test_regular_expressions_take_linear_time() -> None:
    """Long texts that nearly match cost as much per character as short ones; in a process that has matched nothing."""
    command = [sys.executable, fuzz.__file__, "--patterns", "--length", str(_LENGTH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
