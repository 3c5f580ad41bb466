"""`make test` takes samples of what is dear: a longer run takes the whole of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_REPOSITORY: Final = Path(__file__).parents[2]
_BACKENDS: Final = "tests/backends/"
"""Those are no part of `make test`."""


def test_whatever_is_sampled_is_tried_whole_by_a_longer_run() -> None:
    """The Makefile names each file of tests that tries more in a full run, in `make fuzz` or in `make faults`."""
    sampled = {
        str(path.relative_to(_REPOSITORY))
        for path in (_REPOSITORY / "tests").rglob("test_*.py")
        if re.search(r"^from sample import|OTELMIG_FULL\"", path.read_text(), re.MULTILINE)
    }
    makefile = (_REPOSITORY / "Makefile").read_text()
    longer = re.findall(r"^(?:SAMPLED :=|\tOTELMIG_FULL=1) (?:.*\\\n)*.*", makefile, re.MULTILINE)
    named = set(re.findall(r"tests/\S+\.py", "".join(longer)))
    assert {path for path in sampled if not path.startswith(_BACKENDS)} == named
