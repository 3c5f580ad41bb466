"""All files that had one name, or the names of its rotations, one after the other: which record belongs to which.

Cloud Hypervisor never opens its log again: after a rotation the file goes on under another name, and a file of the old
name begins. So the names of one log share what waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.inputs.rebuilding.choice import best_file, latest_read, was_read_later
from otelmig.inputs.rebuilding.copied_lines import adjoins_copy, begins
from otelmig.inputs.rebuilding.known_lines import Known, digest_of
from otelmig.inputs.rebuilding.named_files import NamedFiles
from otelmig.inputs.rebuilding.succession import Succession
from otelmig.inputs.rebuilding.waiting import WaitingRun, is_next
from otelmig.inputs.record import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.inputs.rebuilding.copied_lines import CopiedRun
    from otelmig.inputs.rebuilding.rebuilt_file import Placed, RebuiltFile
    from otelmig.inputs.record import LogRecord

__all__ = ["Generations"]

_NUL: Final = "\0"


class Generations(NamedFiles, eq=False):
    """The files of one name: each record goes to the one that it belongs to, or waits until that is known."""

    _latest: tuple[LogRecord, RebuiltFile | WaitingRun] | None = None
    """The record that was taken last, and where it went."""

    def take(self, record: LogRecord, due_s: float) -> Sequence[Placed]:
        """Return the lines that are in order with ``record``, in their order; others are waited for until ``due_s``."""
        if record.offset is None or (record.number is None and record.file.path.startswith(JOURNAL)):
            return self._as_it_comes(record)
        if record.text.startswith(_NUL):
            record = _without_hole(record)
        latest, self._latest = self._latest, None
        placed = None
        digest = digest_of(record.text)
        if latest is not None and record.is_sequel and _goes_on(latest[0], record):
            placed = self._sequel(latest, record, digest)
        return self._routed(record, digest, due_s) if placed is None else placed

    def overdue(self, now_s: float) -> list[Placed]:
        """Return the lines that were waited for long enough, and those before them that waited, too."""
        placed: list[Placed] = []
        while run := next(
            (waiting for waiting in self.waiting if waiting.due_s is not None and waiting.due_s <= now_s), None
        ):
            placed += self.give_up(run)
        return placed

    def give_up(self, run: WaitingRun) -> list[Placed]:
        """Return the lines of ``run`` and of those that wait before it in its file: what is missing does not come."""
        file = best_file(self.files, run.first)
        placed: list[Placed] = []
        while run in self.waiting.runs:
            first = next(
                waiting for waiting in self.waiting if waiting is run or best_file(self.files, waiting.first) is file
            )
            self.release(first)
            target = best_file(self.files, first.first) or self._file_of_unplaced(first.first)
            placed += self.added(target, first.records, is_filtered=first.is_filtered)
            placed += self._drained(target)
        return placed

    def _file_of_unplaced(self, record: LogRecord) -> RebuiltFile:
        """Return the file that ``record`` is a copy of; else a new one, which begins with it."""
        digest = digest_of(record.text)
        known = [(file, file.knows(record, digest)) for file in self.files]
        for sure in (Known.SAME, Known.PAST):
            file = next((file for file, state in known if state is sure), None)
            if file is not None:
                return file
        self.counts.conflicts += any(state is Known.OTHER for _, state in known)
        return self.open(record)

    def _as_it_comes(self, record: LogRecord) -> Sequence[Placed]:
        """Return a line of which nobody can say what comes before it."""
        file = next((known for known in self.files if record.file.path in known.paths), None)
        if file is None:
            file = self.open(record)
        self.touched(file)
        placed = file.add_unordered(record) if record.offset is None else file.add_entry(record)
        self.counts.copies += placed is None
        return () if placed is None else (placed,)

    def _sequel(
        self, latest: tuple[LogRecord, RebuiltFile | WaitingRun], record: LogRecord, digest: str
    ) -> Sequence[Placed] | None:
        """Return the lines that are in order with ``record``, which follows the ``latest``; None if it does not."""
        before, file = latest
        if isinstance(file, WaitingRun):
            if file not in self.waiting.runs or (file.records[-1].offset or 0) >= (record.offset or 0):
                return None
            self.counts.hold(record)
            self._latest = record, self.waiting.extend(file, record)
            return ()
        known = file.knows(record, digest)
        if known in (Known.SAME, Known.PAST):
            return self._copy(file, record, before)
        if known is Known.OTHER:
            return None
        if file.succession(record)[0] is Succession.NONE:
            if file.gap_of(record) is None:
                return None
            file.is_filtered = True
        return self._put(file, record, digest, is_sequel=True)

    def _routed(self, record: LogRecord, digest: str, due_s: float) -> Sequence[Placed]:
        """Return the lines that are in order with ``record``, which may belong to any of the files."""
        known = [(file, file.knows(record, digest)) for file in self.files]
        unknown = [file for file, state in known if state is Known.UNKNOWN]
        following = [file for file in unknown if file.tail is not None and is_next(file.tail, record, file.line_end)]
        same = [file for file, state in known if state is Known.SAME]
        if same and not (following and all(was_read_later(record, file) for file in same)):
            return self._copy(same[0], record)
        if following:
            return self._put(latest_read(following, record), record, digest)
        beginning = self.copied.other_beginning(record)
        if beginning is not None:
            return self._promoted(beginning, record)
        file = self._surrounding(unknown, record)
        if file is None and begins(record):
            file = self.open(record)
        if file is not None:
            return self._put(file, record, digest)
        past = next((candidate for candidate, state in known if state is Known.PAST), None)
        if past is not None and (not was_read_later(record, past) or self.copied.follows(past, record)):
            return self._copy(past, record)
        filtered = best_file([candidate for candidate in unknown if candidate.is_filtered], record)
        if filtered is not None:
            return self._put(filtered, record, digest)
        return self._held(record, due_s)

    @staticmethod
    def _surrounding(files: Iterable[RebuiltFile], record: LogRecord) -> RebuiltFile | None:
        """Return the file in which ``record`` was missing, beyond doubt or by the time at which it was read."""
        for file in files:
            gap = file.gap_of(record)
            if gap is not None and (
                (gap.adjoins and not begins(record))
                or ((file.is_filtered or begins(record)) and not was_read_later(record, file))
            ):
                return file
        return None

    def _held(self, record: LogRecord, due_s: float) -> Sequence[Placed]:
        run = self.waiting.add(record, due_s)
        if run is None:
            self.counts.copies += 1
            return ()
        self.counts.hold(record)
        self._latest = record, run
        self.has_file(record)
        return ()

    def _copy(self, file: RebuiltFile, record: LogRecord, before: LogRecord | None = None) -> Sequence[Placed]:
        """Count ``record`` as a copy of a line of ``file``; return what turns out to be the lines of another one."""
        self.counts.copies += 1
        run = self.copied.add(file, record, before)
        placed: Sequence[Placed] = ()
        if run is not None:
            self.touched(file)
            placed = self._told_apart(run)
        self._latest = record, file
        return placed

    def _told_apart(self, run: CopiedRun) -> list[Placed]:
        """Return the lines of another file that ``run`` is the beginning of, by what waited for it."""
        placed: list[Placed] = []
        if not run.begins or not self.waiting:
            return placed
        for after in self.waiting.until(run.tail.end):
            record = after.behind(run.tail.offset)
            if run not in self.copied.runs or after not in self.waiting.runs or not record:
                continue  # another one before it settled that
            if adjoins_copy(run.tail, record) and not self.is_missing(run.original, record):
                self.release(after)
                due_s = after.due_s or 0.0
                placed += [
                    line for later in after.records for line in self._routed(later, digest_of(later.text), due_s)
                ]
        return placed

    def _promoted(self, beginning: CopiedRun, record: LogRecord) -> Sequence[Placed]:
        """Return what looked like copies, and ``record``, as the first lines of another file."""
        self.copied.runs.remove(beginning)
        self.counts.copies -= len(beginning.records)
        file = self.open(beginning.records[0])
        placed = self.added(file, (*beginning.records, record), is_filtered=False)
        placed += self._drained(file)
        self._latest = record, file
        return placed

    def _put(self, file: RebuiltFile, record: LogRecord, digest: str, *, is_sequel: bool = False) -> Sequence[Placed]:
        """Return ``record`` as a line of ``file``, and those that waited for it."""
        placed = self.line(file, record, digest, is_sequel=is_sequel)
        drained = self._drained(file) if self.waiting else ()
        self._latest = record, file
        return (placed, *drained)

    def _drained(self, file: RebuiltFile) -> list[Placed]:
        """Return the lines that waited for what ``file`` has now."""
        placed: list[Placed] = []
        while self.waiting and (run := self.fitting(file)) is not None:
            self.release(run)
            placed += self.added(file, run.records, is_filtered=run.is_filtered)
        for copied in [one for one in self.copied.runs if one.original is file]:
            placed += self._told_apart(copied)
        return placed


def _goes_on(before: LogRecord, record: LogRecord) -> bool:
    return before.file == record.file and (before.offset or 0) < (record.offset or 0)


def _without_hole(record: LogRecord) -> LogRecord:
    """Return ``record`` without the NULs before it: its writer went on where it was, in a file that was made empty."""
    text = record.text.lstrip(_NUL)
    hole = len(record.text) - len(text)
    return record._replace(text=text, offset=(record.offset or 0) + hole, size=record.size - hole, number=None)
