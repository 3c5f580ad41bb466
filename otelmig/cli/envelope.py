"""What every command does in the same way: notes, errors, results, the account line, the exit code.

A command keeps a :class:`RunReport` of what it has done and shows results through an :class:`Envelope`; the envelope
does the rest. The report can be asked at any time, so that an interrupt is answered, too.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from otelmig.cli.console import (
    colors_wanted,
    columns,
    encodes_everything,
    say,
    say_approximated,
    say_last,
    say_traceback,
)
from otelmig.cli.progress import Progress
from otelmig.cli.sink import Stdout
from otelmig.errors import ExitCode, FaultError
from otelmig.printable import printable_document
from otelmig.views.units import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from otelmig.errors import InputError

__all__ = ["Envelope", "RunReport"]


class RunReport(ABC):
    """What a run has found and done so far."""

    schema: ClassVar[str]
    """The name and version of the JSON document."""
    has_notes: ClassVar[bool] = True
    """Whether there can be notes, which are about the reading of logs."""

    def __init__(self) -> None:
        self.found = 0
        """How many there are of what the command looks for; if there are none, the exit code says so."""

    @property
    def complete(self) -> bool:
        """Whether everything that was found is where it was to go."""
        return True

    @property
    def check_failed(self) -> bool:
        """Whether the check that ``--strict`` asks for failed."""
        return False

    @property
    def nothing_found(self) -> bool:
        """Whether there was nothing to do."""
        return not self.found

    @abstractmethod
    def account(self) -> str:
        """Return the last line on stderr: what was found and what became of it."""

    def account_so_far(self) -> str:
        """Return the same for a run that was interrupted."""
        return self.account()

    @abstractmethod
    def document(self) -> Mapping[str, object]:
        """Return the JSON document without its schema, notes and errors."""


class Envelope:
    """What one run of a command says, prints and returns."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.report: RunReport | None = None
        """Set by the command before it begins to work."""
        self.stdout = Stdout()
        self.progress = Progress()
        self.as_json: bool = arguments.json
        self._width: int | None = getattr(arguments, "width", None)
        self.color = {"always": True, "never": False}.get(getattr(arguments, "color", "auto"), colors_wanted())
        self._strict: bool = getattr(arguments, "strict", False)
        self._notes: dict[str, None] = {}
        self._last_notes: list[str] = []
        self._errors: list[str] = []
        self._told: dict[int, InputError] = {}
        """By identity."""
        self._fault = False
        """Whether otelmig itself failed over something."""

    @cached_property
    def width(self) -> int:
        """How many columns there are to draw in."""
        return self._width or columns()

    def note(self, notes: Iterable[str]) -> None:
        """Tell the user ``notes`` that were not told before, many alike in one line; the JSON document has them all."""
        from otelmig.views.notes import summarized

        new = dict.fromkeys(text for text in notes if text not in self._notes)
        self._notes |= new
        for text in summarized(new):
            say(text)

    def note_last(self, notes: Iterable[str]) -> None:
        """Keep ``notes`` until the results are shown, or the run is interrupted: no result rests on what they say."""
        self._last_notes += notes

    def error(self, errors: Iterable[InputError]) -> None:
        """Tell the user which inputs could not be read, and why; an error that was told before is passed over."""
        for error in errors:
            if id(error) not in self._told:
                self._told[id(error)] = error
                self._errors.append(str(error))
                say(str(error))
                if isinstance(error, FaultError):
                    self._fault = True
                    say_traceback(error)

    def unread(self) -> str:
        """Return what the account line says of inputs that could not be read."""
        return f"; {plural(len(self._errors), 'input')} not read" if self._errors else ""

    def show(self, text: str) -> None:
        """Print a result for a person; with ``--json`` there is only the document at the end."""
        if not self.as_json:
            self.stdout.print(text, flush=sys.stdout.isatty(), styled=self.color)

    def finish(self) -> ExitCode:
        """Print the document, then the account line; return the exit code."""
        self.progress.close()
        report = self.report
        if report is None:
            return ExitCode.DONE
        self._tell_last_notes()
        if self.as_json:
            self._print_document(report)
        self.stdout.flush()
        say_approximated()
        say_last(report.account())
        if self._fault:
            return ExitCode.INTERNAL_ERROR
        if self.stdout.failed or not report.complete:
            return ExitCode.NOT_EXPORTED
        if self._errors:
            return ExitCode.USAGE
        if self._strict and report.check_failed:
            return ExitCode.CHECK_FAILED
        return ExitCode.NOTHING_FOUND if report.nothing_found else ExitCode.DONE

    def interrupt(self) -> ExitCode:
        """Say how far the run came. There is no document: a part of one could be taken for the whole."""
        self.progress.close()
        self._tell_last_notes()
        say_last(f"interrupted{'' if self.report is None else f': {self.report.account_so_far()}'}")
        return ExitCode.INTERRUPTED

    def _tell_last_notes(self) -> None:
        self.stdout.flush()
        self.note(self._last_notes)
        self._last_notes.clear()

    def _print_document(self, report: RunReport) -> None:
        import json

        notes = {"notes": list(self._notes)} if report.has_notes else {}
        document = {"schema": report.schema, **report.document(), **notes, "errors": self._errors}
        self.stdout.print(json.dumps(printable_document(document), indent=2, ensure_ascii=not encodes_everything()))
