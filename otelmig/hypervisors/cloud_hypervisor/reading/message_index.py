"""The message table and the events, made ready for looking up: what a message means, and what is worth reading."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.messages import FAMILIES, TABLE
from otelmig.hypervisors.cloud_hypervisor.releases import since
from otelmig.inputs import LineFilter
from otelmig.migration.observation import NO_VALUES
from otelmig.migration.side import Role
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otelmig.hypervisors.cloud_hypervisor.reading.message_form import Row
    from otelmig.hypervisors.cloud_hypervisor.releases import LastWord, Releases
    from otelmig.migration.observation import Value

__all__ = ["PANICKED", "SECCOMP", "Meaning", "is_family", "meaning_of", "wanted", "written_by"]

_V50: Final = since("v50.0")
_KEY: Final = 5
"""Rows are found by so many characters of their beginning."""
_LONG: Final = 1024
"""Characters of a message from which on what it means is not remembered, so that memory does not grow."""
_EVENT: Final = re.compile(r"Event: source = (\S{1,64}) event = (\S{1,64}) ?(.{0,4096})", re.DOTALL)
SECCOMP: Final = "==== Possible seccomp violation ===="
"""What the SIGSYS handler prints; no record, so nothing stands before it."""
PANICKED: Final = " panicked at "
"""What Rust prints of a thread that panics, after its name; no record, either."""
_PROPERTY: Final = re.compile(r"(\w{1,64}) = ([^,]{0,256})")


class Meaning(Struct, frozen=True, kw_only=True):
    """What a message says, and which releases say it so."""

    kind: Kind
    values: Mapping[str, Value]
    releases: Releases
    event: str | None = None
    """The event's name, if the message is an ``Event:`` line."""
    variant: str | None = None
    multiline: bool = False
    """Whether what follows on the next lines belongs to it."""
    row: Row | None = None
    last_word: LastWord | None = None
    """Whose last word it is, if it is one."""


def _heads(row: Row) -> tuple[str, ...]:
    return row.search_prefixes or ((row.head,) if row.head else ())


def _index() -> dict[str, tuple[Row, ...]]:
    """Return rows by the beginning of their text; those that begin with a value, or are shorter, under no text."""
    by_key: dict[str, list[Row]] = {}
    for row in TABLE:
        keys = {head[:_KEY] if len(head) >= _KEY else "" for head in _heads(row)} or {""}
        for key in keys:
            by_key.setdefault(key, []).append(row)
    return {key: tuple(rows) for key, rows in by_key.items()}


_BY_KEY: Final = _index()


@cache
def _fixed() -> dict[str, Meaning]:
    """Return the meaning of every message that prints no value, events without properties included."""
    meanings: dict[str, Meaning] = {}
    for row in TABLE:
        if row.head == row.form:
            meanings.setdefault(row.form, _meaning(row, row.constants or NO_VALUES))
    for (source, name), form in EVENTS.items():
        text = f"Event: source = {source} event = {name}"
        meaning = Meaning(
            kind=form.kind,
            values=NO_VALUES,
            releases=form.releases & _V50 or _V50,
            event=name,
            variant=form.variant,
            last_word=form.last_word,
        )
        meanings[text] = meanings[text + " "] = meaning
    return meanings


def _meaning(row: Row, values: Mapping[str, Value]) -> Meaning:
    return Meaning(
        kind=row.kind,
        values=values,
        releases=row.releases,
        variant=row.variant,
        multiline=row.multiline,
        row=row,
        last_word=row.last_word,
    )


def meaning_of(message: str) -> Meaning | None:
    """Return what ``message`` says about a migration, or None if no row explains it."""
    return _remembered_meaning(message) if len(message) < _LONG else _meaning_of(message)


def _meaning_of(message: str) -> Meaning | None:
    fixed = _fixed().get(message)
    if fixed is not None:
        return fixed
    if message.startswith("Event: "):
        return _event_meaning(message)
    for row in _candidates(message):
        values = row.values(message)
        if values is not None:
            return _meaning(row, values)
    return None


_remembered_meaning: Final = lru_cache(maxsize=4096)(_meaning_of)


def _candidates(message: str) -> Iterator[Row]:
    for row in _BY_KEY.get(message[:_KEY], ()):
        if row.search_prefixes or message.startswith(row.head):
            yield row
    yield from _BY_KEY.get("", ())


def _event_meaning(message: str) -> Meaning | None:
    """Return what an ``Event:`` line (v50.0 on) says: the same as the event monitor's JSON."""
    match = _EVENT.fullmatch(message)
    if match is None:
        return None
    form = EVENTS.get((match[1], match[2]))
    if form is None:
        return None
    return Meaning(
        kind=form.kind,
        values=form.values(dict(_PROPERTY.findall(match[3]))),
        releases=form.releases & _V50 or _V50,
        event=match[2],
        variant=form.variant,
        last_word=form.last_word,
    )


def is_family(message: str) -> bool:
    """Return whether ``message`` speaks of a migration, understood or not."""
    return message.startswith(FAMILIES)


@cache
def wanted(literals: tuple[str, ...], kinds: frozenset[Kind] | None = None) -> LineFilter:
    """Return what makes a line worth parsing: the text before a message, and the beginning of one of the table.

    ``kinds`` restricts the table to rows that mark these moments.

    The literal head lets the regular expression engine skip to it with a plain search. Behind it stand two letters that
    any of the beginnings has in these places, whatever goes with which; from the third one on they branch like a tree.
    So a few lines too many are let by, and most are left after a character or two.
    """
    of = frozenset(Kind) - {Kind.IRRELEVANT} if kinds is None else kinds
    heads = {head for row in TABLE if row.kind in of for head in _heads(row)}
    heads |= {f"Event: source = {source} event = {name}" for (source, name), form in EVENTS.items() if form.kind in of}
    if kinds is None:
        heads |= set(FAMILIES) | set(_SPECIAL)
    rests: list[str] = []
    for rest in sorted(text[_FIRST:] for text in heads):  # what begins with another one comes right after it
        if not rests or not rest.startswith(rests[-1]):
            rests.append(rest)
    before = b"|".join(sorted(re.escape(text.encode()) for text in literals))
    head = before if len(literals) == 1 else b"(?:%b)" % before
    first = b"".join(_any_of({text[at] for text in heads}) for at in range(_FIRST))
    pattern = re.compile(head + first + _tree(rests))
    return LineFilter(pattern=pattern, markers=(SECCOMP.encode(), PANICKED.encode()), run_pattern=_table_rows)


def written_by(role: Role) -> frozenset[Kind]:
    """Return what only a source writes, or only a destination, of every migration that it logs."""
    return _OF_SOURCE if role is Role.SOURCE else _OF_DESTINATION


_OF_SOURCE: Final = frozenset(
    {
        Kind.SEND_REQUESTED,
        Kind.SEND_STARTED,
        Kind.SEND_ANNOUNCED,
        Kind.ITERATION_SENT,
        Kind.DIRTY_ROUND,
        Kind.FINAL_DELTA_SENT,
        Kind.COMPLETED,
        Kind.SEND_FAILED,
    }
)
_OF_DESTINATION: Final = frozenset(
    {
        Kind.RECEIVE_REQUESTED,
        Kind.RECEIVE_STARTED,
        Kind.RECEIVE_READY,
        Kind.ACCEPTED,
        Kind.COMMAND_RECEIVED,
        Kind.STATE_RECEIVED,
        Kind.RECEIVE_ABORTED,
    }
)


def _any_of(characters: Iterable[str]) -> bytes:
    """Return a class of ``characters``; it turns lines away faster than a branch."""
    return b"[%b]" % b"".join(re.escape(character).encode() for character in sorted(characters))


_FIRST: Final = 2
"""Letters of a message that classes look for."""
_SPECIAL: Final = {
    # one line per run of dirty pages, thousands of them: the group says that the lines after it may be of its kind
    "GPA: ": rb"A: (?<=(?P<many>GPA: ))",
    # a version, by its first digit: no other message has the NUL that stands for the rest
    **{f"v{digit}\0": rb"[\d.+-][\w.+-]{0,62} starting" for digit in range(10)},
}
"""Beginnings whose rest, from the third letter on, is a pattern of its own."""
_REST: Final = {text[_FIRST:]: pattern for text, pattern in _SPECIAL.items()}


@cache
def _table_rows(column: int) -> re.Pattern[bytes]:
    """Return a pattern for a row of a dirty table whose message stands at ``column``; it captures the size in KiB."""
    return re.compile(rb"(?s:.{%d}+)GPA: [0-9a-f]{1,16}+ size: ([0-9]{1,12}+) \(KiB\)\r?+\n|(?s:.+)" % column)


def _tree(texts: Iterable[str]) -> bytes:
    """Return a pattern for any of ``texts`` that decides character by character."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text if text in _REST else text[:1], []).append(text)
    branches = [_REST.get(first) or _branch(group) for first, group in sorted(groups.items())]
    return branches[0] if len(branches) == 1 else b"(?:%b)" % b"|".join(branches)


def _branch(group: Sequence[str]) -> bytes:
    """Return a pattern for texts that begin with the same character."""
    if len(group) == 1:
        return re.escape(group[0]).encode()
    first, last = min(group), max(group)
    common = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    if common == len(first):
        return re.escape(first).encode()
    return re.escape(first[:common]).encode() + _tree(text[common:] for text in group)
