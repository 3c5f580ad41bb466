"""What a log is, what a trace from it can and cannot tell, and what would tell it, at which cost."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.inputs.line import Where

__all__ = ["Diagnosis", "Gap", "LineAccount", "Sample"]


class Sample(Struct, frozen=True, kw_only=True):
    """One line that was not understood: where it stands, and what it says, redacted."""

    where: Where
    text: str


class LineAccount(Struct):
    """What became of every line of an input; the three numbers add up to all lines."""

    used: int = 0
    """Say something that traces are made of."""
    irrelevant: Counter[str] = field(default_factory=Counter)
    """Understood, and about something else, by what they are."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Not understood, by reason."""
    samples: dict[str, Sample] = field(default_factory=dict)
    """The first line for each reason."""

    @property
    def total(self) -> int:
        """All lines."""
        return self.used + self.irrelevant.total() + self.unknown.total()

    def not_understood(self, reason: str, sample: Sample) -> None:
        """Count one line that was not understood."""
        self.unknown[reason] += 1
        self.samples.setdefault(reason, sample)


class Gap(Struct, frozen=True, kw_only=True):
    """Something that a trace from this input does not tell."""

    missing: str
    remedy: str | None
    """The hypervisor's flags (or the option of otelmig) that would tell it; None where nothing would."""
    cost: str | None = None
    """What the remedy costs."""


class Diagnosis(Struct, frozen=True, kw_only=True):
    """One input, examined."""

    name: str
    kind: str
    """``log`` or ``event stream``."""
    release: str
    """The hypervisor's version as printed, else the releases that print what is there."""
    line_format: str | None
    framing: str | None
    """What wraps every line, such as journald's JSON; None if nothing does."""
    verbosity: str | None
    """The flag that gives what is there, such as ``-v``."""
    clock: str
    """Which clock the lines are stamped with."""
    resolution_ns: int | None
    """Width of the coarsest stamp."""
    uptime_ns: int | None
    """The latest time since the process's start, where that is what the stamps say."""
    attempts: Mapping[str, int]
    """Migration attempts found in it, by role."""
    events: tuple[str, ...]
    """The events that it carries."""
    account: LineAccount
    tells: tuple[str, ...]
    gaps: tuple[Gap, ...]
    recommendation: str
    """How to run this release of the hypervisor so that traces are good and logging is cheap."""
