"""What a hypervisor package offers: it reads its own logs, and it knows what must happen before what.

A :class:`Reader` is fed line by line, by whoever has lines: a scan of finished files, a tailer, a service that
receives log records. It knows no timer and no file system.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping, Sequence

    from otelmig.hypervisors.diagnosis import Diagnosis
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import Head, InputLog, Line, LineFilter, Stream
    from otelmig.migration.constraint import Constraint
    from otelmig.migration.side import Role, Side
    from otelmig.migration.stamp import Stamp
    from otelmig.migration.vmm import Vmm

__all__ = ["EndedProcess", "Hypervisor", "Incompatibility", "Reader", "ReadingReport"]


class EndedProcess(Struct, frozen=True, kw_only=True):
    """A process that is over, as it was known at its end."""

    vmm: Vmm
    began: Stamp
    """The first time in its log that says something of a migration or of the process, on its clock."""
    fingerprint: str
    """A digest of what it said, and when, as printed: copies of one process have the same."""
    evidence: int
    """How many observations it was read from."""


class ReadingReport(Struct):
    """What a reader has to say besides sides; whoever feeds the reader may take things out of it at any time."""

    processes: list[EndedProcess] = field(default_factory=list)
    """The processes that are over, in the order in which they ended, those without a migration included."""
    notes: list[str] = field(default_factory=list)
    """Sentences: what a person should know about an input that no process came of."""
    not_understood: Counter[str] = field(default_factory=Counter)
    """How many lines looked like a migration's and were not understood, by reason."""
    lines_lost: int = 0
    """How many lines were said to be missing."""


class Incompatibility(Struct, frozen=True, kw_only=True):
    """Why a source and a destination do not speak to each other."""

    reason: str
    """In a few words."""
    impossible: bool
    """Whether they cannot; else it is not supported, and somebody may have tried all the same."""


class Reader(Protocol):
    """Makes sides of the lines of all streams of one hypervisor, which come in any interleaving.

    The lines of one stream come in the order in which they were written; where that is not the order of their times by
    little, they are put in order. A side is emitted when its state changes and with every line that may be the last
    word of its attempt, or that belongs before one that was, or that tells what became of its guest after it; it is
    emitted with ``final`` set once its process is over and no later line of its log can change it. Of a finished file
    (``Stream.mtime_ns`` is set) sides are emitted in their final form only. The last final form in which a side (a
    process's key, a role, a number) was emitted holds: an event stream that comes in after its log ended may still add
    to a side that was final. A side that is never final was taken back: its process turned out to be another one's
    event stream.
    """

    report: ReadingReport

    def take(self, line: Line) -> Sequence[Side]:
        """Read one line; return the sides whose state changed with it, and those that became final."""

    def end(self, stream: Stream, tail: Iterable[Line] = ()) -> Sequence[Side]:
        """Return, in their final form, the sides that no line of ``stream`` can change any more: it is over.

        The file is finished, or the process that writes it is known to be gone. ``tail`` is its last lines, the last
        one first, filtered by nothing: they tell until when its process wrote.
        """

    def open(self) -> Sequence[Side]:
        """Return the sides that a later line may still change, as they stand."""

    def again(self, side: Side) -> Side | None:
        """Return a side that was emitted as it stands now; None if nothing is known of it any more.

        What came in beside its log since it was emitted is part of it.
        """

    def under_way(self, key: str) -> frozenset[str]:
        """Return the keys (``Vmm.key``) of the processes that the stream with this key may get more lines of.

        There is none where the last one was killed or said that it ends, nor in a stream that stands beside a log: what
        may come of both, the log says.
        """

    def fitting(self, side: Side) -> Mapping[str, str]:
        """Return what else was read of the processes of the host of ``side``, however it is named.

        These are the keys of streams that were read by themselves until now, each with the key of the one log of the
        host that it fits: by what both tell, it is of the process that writes this log.
        """

    def forget(self, stream: Stream) -> None:
        """Forget everything that was read of ``stream``: its lines will be given once more, or it is put aside."""

    def finish(self) -> Sequence[Side]:
        """End every stream; return the sides that are not final yet, in their final form."""


class Hypervisor(Protocol):
    """A hypervisor whose logs otelmig reads."""

    system: str
    """As ``vm.migration.system.name`` names it."""
    line_begin: re.Pattern[str]
    """Matches where one of its lines begins, if that can be told whatever stands before it."""

    def recognises(self, head: Head, options: LogOptions) -> bool:
        """Return whether this hypervisor wrote a stream that begins like this.

        Raises:
            InputError: it did, but the form of its lines is not known, or they do not say when they were written.
        """

    def line_filter(self, head: Head, options: LogOptions, role: Role | None = None) -> LineFilter | None:
        """Return which lines of a stream that begins like this a reader must be given; None for every line.

        With a ``role``: lines that only a source, or only a destination, writes.
        """

    def reader(self, options: LogOptions) -> Reader:
        """Return a reader that has read nothing yet."""

    def diagnose(self, log: InputLog, sides: Sequence[Side], options: LogOptions) -> Diagnosis:
        """Return what ``log`` is and tells, given the attempts found in it, and which flags would tell more."""

    def constraints(self, source: Side, destination: Side, drift_ppb: int) -> Sequence[Constraint]:
        """Return what causality says about the offset between the two sides' clocks, if they are one migration.

        Which lines belong together may depend on the offset, too: on clocks that drift by at most ``drift_ppb``.
        """

    def no_offset_fits(self, source: Side, destination: Side, drift_ppb: int) -> bool:
        """Return whether :meth:`constraints` surely contradict each other, told faster than by making them.

        False is always allowed: what is not sure is left to the constraints.
        """

    def length_ns(self, side: Side) -> int | None:
        """Return how long a side took, for finding partners; None if its lines do not tell.

        Of a destination what it surely took, of a source the most that anything of its partner can have taken: where
        the first is longer, drift set aside, :meth:`constraints` contradict each other.
        """

    def incompatibility(self, source: Side, destination: Side) -> Incompatibility | None:
        """Return why these two, by their releases and what they use, do not speak to each other; None if they may."""

    def clock_advice(self, source: Side, destination: Side) -> Iterable[str]:
        """Return sentences: which of its flags would add to what can be proved of these two sides' clocks."""
