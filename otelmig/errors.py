"""What can go wrong, as one tree, and what the shell is told: exit codes stand here and nowhere else.

```
OtelmigError
├─ UsageError      an option or a parameter is wrong, or contradicts the evidence       USAGE
├─ InputError      a file cannot be read, or is no log that otelmig knows               USAGE
│  └─ FaultError   otelmig itself failed over one input, migration or output            INTERNAL_ERROR
├─ StateError      the state of a live service cannot be used                           USAGE
│  └─ StateFullError     there is no space for more of it                               NOT_EXPORTED
└─ ExportError     a trace was found, but not delivered                                 NOT_EXPORTED
   └─ SpoolError   the spool cannot be used; traces are delivered without it            NOT_EXPORTED
      ├─ SpoolFullError     there is no space for it
      └─ SpoolVersionError  a newer otelmig wrote it
```

Every error is one line for a person. Where it concerns a parameter it names it in backticks, as ``Class.field`` or as a
parameter of :func:`otelmig.trace_migrations`; the command line puts its own option in that place.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Self

__all__ = [
    "ExitCode",
    "ExportError",
    "FaultError",
    "InputError",
    "OtelmigError",
    "SpoolError",
    "SpoolFullError",
    "SpoolVersionError",
    "StateError",
    "StateFullError",
    "UsageError",
    "suggestion",
    "unread_inputs_noted",
]


_LEAST_LIKENESS: Final = 0.7
"""The ratio of difflib from which on two words are nearly the same."""


class ExitCode(IntEnum):
    """How a command ended, as the shell is told; ``meaning`` says it in a few words."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Make a member of a number and its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "done"
    CHECK_FAILED = 1, "a requested check failed"
    USAGE = 2, "wrong usage, or an input that cannot be read"
    NOT_EXPORTED = 3, "not everything that was found was written or exported"
    NOTHING_FOUND = 4, "nothing was found"
    INTERNAL_ERROR = 70, "an internal error"
    """EX_SOFTWARE of BSD's ``sysexits.h``."""
    INTERRUPTED = 130, "interrupted"
    """What shells report for a command that SIGINT ended."""


class OtelmigError(Exception):
    """Base of all errors that a user can cause or act upon; ``str()`` is one line."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL_ERROR


class UsageError(OtelmigError):
    """An option or a parameter is malformed, or contradicts what the logs prove."""

    exit_code = ExitCode.USAGE

    def __init__(
        self, text: str, *, unknown: str | None = None, known: Iterable[str] = (), malformed: bool = False
    ) -> None:
        """Say ``text``; where a word is ``unknown``, the ``known`` word that is most like it is suggested.

        A value that is ``malformed`` is wrong by itself, whatever the logs say.
        """
        super().__init__(text if unknown is None else text + suggestion(unknown, known))
        self.is_miswritten = malformed or unknown is not None
        """Whether it helps to see how the call is written."""


class InputError(OtelmigError):
    """A file cannot be read, or nothing in it is a form that any supported hypervisor writes."""

    exit_code = ExitCode.USAGE


class FaultError(InputError):
    """A fault of otelmig itself, met over one input, migration or output: it costs that one, and the rest goes on."""

    exit_code = ExitCode.INTERNAL_ERROR

    @classmethod
    def of(cls, name: str, error: Exception) -> Self:
        """Return the error that ``error`` is for whatever is called ``name``."""
        fault = cls(f"{name}: internal error: {type(error).__name__}: {error} (OTELMIG_DEBUG=1 shows where)")
        fault.__cause__ = error
        return fault


class ExportError(OtelmigError):
    """The receiver did not accept the spans, or its answer does not prove that it did."""

    exit_code = ExitCode.NOT_EXPORTED


class SpoolError(ExportError):
    """The spool cannot be read or written."""


class SpoolFullError(SpoolError):
    """The spool's file system has no space, or the spool's size limit leaves no room for what should be kept."""


class SpoolVersionError(SpoolError):
    """A newer version wrote the spool: this one must not touch it."""


class StateError(OtelmigError):
    """The state of a live service cannot be used: another process's, a newer release's, damaged, or not writable."""

    exit_code = ExitCode.USAGE


class StateFullError(StateError):
    """There is no space for more of the state, or its size limit leaves none."""

    exit_code = ExitCode.NOT_EXPORTED


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'source'?"`` for a ``word`` that is nearly one of the ``known`` ones, else ``""``.

    A word that is the beginning of one of them alone is nearly that one. Neither capitals nor the dashes of an option
    make a difference, and among words that differ in nothing else the first one is meant. A word that is known is not
    misspelt: something else is wrong.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    words = [str(name) for name in known]
    if word in words:
        return ""
    by_letters: dict[str, str] = {}
    for name in words:
        by_letters.setdefault(_letters(name), name)
    letters = _letters(word)
    begun = [name for name in by_letters if letters and name.startswith(letters)]
    matches = begun if len(begun) == 1 else get_close_matches(letters, by_letters, n=1, cutoff=_LEAST_LIKENESS)
    if not matches:
        return ""
    meant = by_letters[matches[0]]
    return f"; did you mean {meant if meant.startswith('-') else repr(meant)}?"


def _letters(word: str) -> str:
    return word.lower().lstrip("-")


@contextmanager
def unread_inputs_noted(errors: Sequence[InputError]) -> Iterator[None]:
    """Note which inputs could not be read on an error of the caller's: a side that is missing may be in one."""
    try:
        yield
    except UsageError as error:
        for unread in errors:
            error.add_note(str(unread))
        raise
