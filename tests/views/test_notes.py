"""Notes: what is said of many logs or processes is said once, and nothing else is left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from command_run import run_command

from otelmig.views.notes import summarized

if TYPE_CHECKING:
    from pathlib import Path


def test_few_notes_stay_as_they_are() -> None:
    """Three that say the same, and any that say something else, are shown one by one and in order."""
    notes = [
        "a.log: empty",
        "b.log#2 is not paired: several partners are possible: c.log, d.log",
        "b.log: empty",
        "c.log: its times have no year",
        "c.log: its times have no time zone",
    ]
    assert sorted(summarized(notes)) == sorted(notes)
    assert next(summarized(notes)) == notes[0]


def test_many_notes_that_say_the_same_are_one() -> None:
    """They differ in the names and numbers that they say it of; how many there are is said."""
    notes = [f"ch.log#{number} is not paired: several partners are possible: a.log@{number}" for number in range(2, 50)]
    notes += [f"ch.log#{number} is not paired: nobody answered, a.log, b.log, c.log@2" for number in range(50, 90)]
    first, second = summarized(notes)
    assert first == f"{notes[0]} (47 more notes say the same of others)"
    assert second == f"{notes[48]} (39 more notes say the same of others)"


def test_the_document_has_every_note(tmp_path: Path) -> None:
    """What a person is told in one line, a script gets in full."""
    for number in range(10):
        (tmp_path / f"{number}.log").touch()
    files = [str(tmp_path / f"{number}.log") for number in range(10)]
    result = run_command(["doctor", "--json", *files])
    assert result.stderr.splitlines()[0] == "otelmig: 0.log: empty (9 more notes say the same of others)"
    assert json.loads(result.stdout)["notes"] == [f"{number}.log: empty" for number in range(10)]
