"""Lines -> records: stamp, thread, level, message, by whichever form the process writes.

The form is found per line, the one that matched last being tried first: a file may go on in another form after an
upgrade, and several processes may write to one journal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec import field
from msgspec.structs import replace

from otelmig.errors import InputError
from otelmig.hypervisors.cloud_hypervisor.log_format import (
    BEFORE_V36,
    DEFAULT_BEGIN,
    KNOWN_FORMS,
    Clock,
    LineForm,
    compile_log_format,
)
from otelmig.hypervisors.cloud_hypervisor.messages import FAMILIES
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted
from otelmig.hypervisors.cloud_hypervisor.reading.reasons import first_of_no_form
from otelmig.hypervisors.cloud_hypervisor.reading.stamps import (
    boottime_stamp,
    calendar_stamp,
    f32_stamp,
    fields_time,
    glog_time,
    wallclock_stamp,
)
from otelmig.hypervisors.cloud_hypervisor.releases import ALL
from otelmig.migration.stamp import ClockDomain, Stamp
from otelmig.structs import Struct
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from otelmig.hypervisors.cloud_hypervisor.reading.stamps import CalendarTime
    from otelmig.hypervisors.cloud_hypervisor.releases import Releases
    from otelmig.hypervisors.log_options import LogOptions
    from otelmig.inputs import Head

__all__ = ["Record", "RecordReader", "reader_for", "reader_of_any_form"]

_LEVELS: Final = {"E": "ERROR", "W": "WARN", "I": "INFO", "D": "DEBUG", "T": "TRACE"}
_SECOND: Final = timedelta(seconds=1)
_LEEWAY: Final = timedelta(days=1)
"""A log that was copied may be a little older than its last line, and zones differ."""
_FIRST_AMBIGUOUS_NS: Final = 100 * SECOND_NS
"""From here on the old and the new default line print the same."""


class Record(Struct, frozen=True):
    """One log record; ``stamp`` is its wall-clock time where the form prints one, else its time since start."""

    stamp: Stamp
    thread: str
    level: str
    message: str
    text: str
    pid: str
    releases: Releases
    """The releases that print such a line."""


class RecordReader(Struct, kw_only=True):
    """Reads the records of one log."""

    forms: list[LineForm]
    """In the order in which they are tried; changes as lines come in."""
    options: LogOptions
    latest_ns: int | None
    """When the log was last written, or the line that comes next was received: no line is from after that."""
    assumed: set[str] = field(default_factory=set)
    """What its times left out and had to be assumed, in words."""
    impossible: bool = False
    """Whether the last line had a known form and a time that no process can have printed."""
    forms_used: set[str] = field(default_factory=set)
    """The forms that lines were found to have."""

    @property
    def literals(self) -> tuple[str, ...]:
        """What stands right before the messages of the forms that are tried: what a scan looks for."""
        literals = {form.before_message[-_LITERAL:].lstrip() or form.before_message[-_LITERAL:] for form in self.forms}
        return tuple(sorted(literals))

    def record(self, text: str) -> Record | None:
        """Return the record in ``text``, or None if it has no form that we know (a panic, a stray print)."""
        self.impossible = False
        for position, form in enumerate(self.forms):
            if position and form.before_message not in text:
                continue  # its pattern may not have to be compiled at all
            match = form.pattern.match(text)
            if match is None:
                continue
            if form is _DEFAULT:
                printed, thread, level, _, message = match.groups()
                stamp = f32_stamp(printed)
            else:
                stamp = self._stamp(form, match)
            if stamp is None:
                self.impossible = True
                continue
            if position or not self.forms_used:
                self.forms.insert(0, self.forms.pop(position))
                self.forms_used.add(form.text)
            if form is _DEFAULT:
                releases = form.releases if stamp.ns < _FIRST_AMBIGUOUS_NS else ALL
                return Record(stamp, thread, level, message, text, "", releases)
            return _record(form, match, stamp, text)
        return None

    def _stamp(self, form: LineForm, match: re.Match[str]) -> Stamp | None:
        clock = form.clock
        if clock is _ADAPTIVE_CLOCK:
            text = match["adaptive"]
            value = text.rstrip("nµms")
            return boottime_stamp(value, text[len(value) :])
        if clock is _WALLCLOCK:
            return wallclock_stamp(match["wallclock"])
        match clock:
            case Clock.BOOTTIME:
                return f32_stamp(match["boottime"])
            case Clock.GLOG | Clock.LOCAL_GLOG:
                time = glog_time(match[str(clock)])
            case Clock.FIELDS | Clock.LOCAL_FIELDS:
                time = fields_time(match.groupdict(), "" if clock is Clock.FIELDS else "local")
            case _:
                return None
        local = clock in (Clock.LOCAL_GLOG, Clock.LOCAL_FIELDS)
        return self._calendar(time, self.options.zone if local else UTC)

    def _calendar(self, time: CalendarTime, zone: tzinfo | None) -> Stamp | None:
        """Return a calendar time with what it lacks put in: from the options, else from the file's last write."""
        year, month, _ = time.date
        if self.latest_ns is None:
            latest = datetime.max.replace(tzinfo=UTC) - 2 * _LEEWAY
        else:
            latest = datetime.fromtimestamp(self.latest_ns / SECOND_NS, UTC) + (_SECOND if month is None else _LEEWAY)
        if zone is None and time.zone is None:
            self.assumed.add("no time zone: UTC assumed (`LogOptions.zone`)")
        if year is None and month is not None and self.options.year is not None:
            time = replace(time, date=(self.options.year, *time.date[1:]))
        elif year is None and self.latest_ns is None:
            return None
        elif year is None:
            missing, remedy = ("no date", "") if month is None else ("no year", " (`LogOptions.year`)")
            self.assumed.add(f"{missing}: taken from when the file was last written{remedy}")
        return calendar_stamp(time, latest, zone or UTC)


def _record(form: LineForm, match: re.Match[str], stamp: Stamp, text: str) -> Record:
    fields = match.groupdict("")
    if "boottime" in fields and stamp.domain is _REALTIME:
        stamp = Stamp(stamp.ns, stamp.error_ns, stamp.text, _REALTIME, f32_stamp(fields["boottime"]))
    thread = fields.get("thread") or fields.get("tid", "")
    level = fields.get("level") or _LEVELS.get(fields.get("levelchar", ""), "")
    return Record(stamp, thread, level, fields["msg"], text, fields.get("pid", ""), form.releases)


# looked at for every line: as attributes of their enumerations they take eight times as long to look up
_ADAPTIVE_CLOCK: Final = Clock.ADAPTIVE
_WALLCLOCK: Final = Clock.WALLCLOCK
_REALTIME: Final = ClockDomain.REALTIME
_DEFAULT: Final = KNOWN_FORMS[0]
_ADAPTIVE: Final = KNOWN_FORMS[1]
_WIDEST: Final = 512
"""Columns in which a line may begin that something stands before."""
_SIX_DIGITS: Final = re.compile(r"cloud-hypervisor: [0-9]{1,12}\.[0-9]{6}s: <")
_LITERAL: Final = 8
"""Characters before the message that are searched for."""


def reader_for(head: Head, options: LogOptions, mtime_ns: int | None) -> RecordReader | None:
    """Return a reader for a log that begins like this, or None if no line at its beginning has a known form.

    ``mtime_ns`` is when the log was last written, if it is finished.

    Raises:
        InputError: the lines say nothing of when they were written, or have a form that nobody named.
        UsageError: a given ``--log-format`` is none that Cloud Hypervisor would take.
    """
    forms = _all_forms(options.log_formats)
    known = _forms_of_head(head.lines, options.log_formats)
    if not known and head.search is not None:  # a journal of everything on a host: the first line of ours may be late
        literals = tuple(sorted({form.before_message for form in forms}))
        known = _forms_of(islice(head.search(wanted(literals)), _TRIED), forms)
    if not known and any(DEFAULT_BEGIN.match(text) and " -- " not in text for text in head.lines):
        known = [KNOWN_FORMS[0]]  # lines of it that are cut before their message, all of them
    if _is_too_old(head, known):
        why = "lines of Cloud Hypervisor before v36.0 (nine digits of a second): not supported"
        raise InputError(f"{head.name}: {why}")
    if not known:
        if any(text.encode() in head.data for text in FAMILIES) and not _is_document(head.lines):
            why = "speaks of migrations in lines of no known form; give theirs with `LogOptions.log_formats`"
            raise InputError(f"{head.name}: {why}{first_of_no_form(head.lines)}")
        return None
    if all(form.clock is None for form in known):
        raise InputError(f"{head.name}: the lines of {known[0].text!r} do not say when they were written")
    return RecordReader(forms=_tried(known), options=options, latest_ns=mtime_ns)


def _is_document(lines: Iterable[str]) -> bool:
    """Return whether a file that begins like this is one JSON document over several lines, and no log."""
    return next((text for line in lines if (text := line.strip())), "") in ("{", "[")


def reader_of_any_form(head: Head, options: LogOptions, mtime_ns: int | None, notes: list[str]) -> RecordReader:
    """Return a reader for a log whatever its beginning tells of its form; ``notes`` gets why that is not known."""
    try:
        reader = reader_for(head, options, mtime_ns)
    except InputError as error:  # its beginning alone has lines of no known form: what comes may have one
        notes.append(str(error))
        reader = None
    if reader is not None:
        return reader
    timed = [form for form in _all_forms(options.log_formats) if form.clock is not None]
    return RecordReader(forms=timed, options=options, latest_ns=mtime_ns)


def _is_too_old(head: Head, known: Sequence[LineForm]) -> bool:
    """Return whether a log begins with lines of a release before v36.0, more than of a later one.

    Below a second both may print six digits, so lines from the first second on decide.
    """
    return all(form is _ADAPTIVE for form in known) and _has_old_lines(head.lines, head.data)


@lru_cache(maxsize=16)
def _has_old_lines(lines: tuple[str, ...], data: bytes) -> bool:
    texts = (*lines, *data.decode("utf-8", "replace").splitlines())
    old, later = (
        sum(pattern.search(text, 0, _WIDEST) is not None for text in texts) for pattern in (BEFORE_V36, _SIX_DIGITS)
    )
    return old > later


_TRIED: Final = 200
"""At most this many lines that look like ours are looked at before a file is given up."""


def _all_forms(log_formats: Sequence[str]) -> Sequence[LineForm]:
    return [*(compile_log_format(text) for text in log_formats), *KNOWN_FORMS]


@lru_cache(maxsize=16)
def _forms_of_head(lines: tuple[str, ...], log_formats: tuple[str, ...]) -> Sequence[LineForm]:
    """Return the forms of a log's first lines; it is asked for several times of each of a few logs."""
    return _forms_of(lines, _all_forms(log_formats))


def _forms_of(texts: Iterable[str], forms: Sequence[LineForm]) -> list[LineForm]:
    known: list[LineForm] = []
    last: re.Pattern[str] | None = None
    for text in texts:
        if last is not None and last.match(text):
            continue
        # most forms are never compiled: the text before their message stands nowhere in a stranger's line
        form = next(
            (form for form in (*known, *forms) if form.before_message in text and form.pattern.match(text)), None
        )
        if form is not None:
            last = form.pattern
            if form not in known:
                known.append(form)
    return known


def _tried(known: Sequence[LineForm]) -> list[LineForm]:
    """Return the forms that were found, and those that a scan for the same literals finds for free."""
    literals = {form.before_message for form in known}
    texts = {form.text for form in known}
    return [*known, *(form for form in KNOWN_FORMS if form.before_message in literals and form.text not in texts)]
