"""The message table: every row is there for a line, and every line that is known to be printed is understood."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from near_misses import named_pattern, slow_methods
from trace_invariants import CORPUS

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.log_format import KNOWN_FORMS
from otelmig.hypervisors.cloud_hypervisor.messages import TABLE
from otelmig.hypervisors.cloud_hypervisor.reading.message_form import _matcher
from otelmig.hypervisors.cloud_hypervisor.reading.message_index import is_family, meaning_of, wanted
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES

_RENDERED = Path(__file__).parent / "rendered_lines.txt"


@cache
def _rendered() -> tuple[tuple[str, str, bool], ...]:
    """Each line of the catalogue: releases, message, and whether it is marked as saying nothing of a migration."""
    found = []
    irrelevant = False
    for text in _RENDERED.read_text().splitlines():
        if text.startswith("#"):
            irrelevant = "irrelevant" in text
        elif text:
            releases, _, _, _, message = text.split(" | ", 4)
            found.append((releases, message.replace("\\n", "\n").replace("\\s", " "), irrelevant))
    return tuple(found)


@cache
def _recorded() -> frozenset[str]:
    """Every message of the recordings."""
    found = set()
    for path in CORPUS.glob("*/*.log"):
        for line in path.read_bytes().decode("utf-8", "replace").split("\r\n"):
            match = next((match for form in KNOWN_FORMS if (match := form.pattern.match(line))), None)
            if match is not None:
                found.add(match["msg"])
    return frozenset(found)


def _is_understood(releases: str, message: str, *, irrelevant: bool) -> bool:
    meaning = meaning_of(message)
    if irrelevant:
        return meaning is not None or not is_family(message)
    if meaning is None or releases in ("fork", "draft", "after-HEAD"):
        return meaning is not None
    first, _, last = releases.partition("..")
    printed = range(RELEASES.index(_main(first)), RELEASES.index(_main(last or first)) + 1)
    return meaning.releases.first <= printed[0] and printed[-1] <= meaning.releases.last


def test_every_known_line_is_understood() -> None:
    """A line of the catalogue has a row that names the releases; what says nothing of a migration looks like none."""
    lines = _rendered()
    assert len(lines) > 500
    assert not [
        (releases, message)
        for releases, message, irrelevant in lines
        if not _is_understood(releases, message, irrelevant=irrelevant)
    ]


def _main(release: str) -> str:
    """The main release that a point release counts as."""
    return release if release == "HEAD" else release.partition(".")[0] + ".0"


def test_every_row_is_there_for_a_line() -> None:
    """Each row of the table explains a recorded message, or one of the catalogue."""
    used = set()
    for message in {message for _, message, _ in _rendered()} | _recorded():
        meaning = meaning_of(message)
        if meaning is not None and meaning.row is not None:
            used.add(id(meaning.row))
    assert [row.form for row in TABLE if id(row) not in used] == []


def test_every_row_takes_linear_time() -> None:
    """Whatever nearly has its form, the text between two of its values over and over included."""
    patterns = {row.form: _matcher(row.form)[0] for row in TABLE}
    slow = {
        form: verdicts
        for form, pattern in patterns.items()
        if (verdicts := list(slow_methods(named_pattern(pattern, form, {"fullmatch"}))))
    }
    assert slow == {}


def test_a_scan_stops_at_every_line_that_says_something() -> None:
    """Each message of the catalogue and of the recordings that has a meaning passes the filter, whatever precedes it.

    What tells of nothing is let by now and then, since the filter does not tell which two letters begin a message.
    """
    messages = {message for _, message, _ in _rendered()} | _recorded()
    telling = {text for text in messages if (meaning := meaning_of(text)) and meaning.kind is not Kind.IRRELEVANT}
    for literals in (("-- ",), ("-- ", "] ")):
        matches = wanted(literals).matches
        passing = {text for text in messages if matches(f"stamp {literals[-1]}{text}".encode())}
        assert telling <= passing
        assert len(passing - telling) < len(messages - telling) // 20


def test_the_first_row_of_a_dirty_table_begins_a_run() -> None:
    """The group that says so stands at the beginning of the message, and takes part for no other line."""
    search = wanted(("-- ",)).pattern.search
    match = search(b"stamp -- GPA: 1000 size: 4 (KiB)")
    assert match is not None
    assert (match.lastgroup, match["many"], match.start("many")) == ("many", b"GPA: ", len("stamp -- "))
    other = search(b"stamp -- GPU: -- API request event: VmPause")
    assert other is not None
    assert other.lastgroup is None


def test_values_end_where_the_text_after_them_begins() -> None:
    """A value may be anything but what ends it; the last one may be anything at all."""
    (row,) = (row for row in TABLE if "net_fds" in row.form)
    text = "Receiving migration: receiver_url = unix:/a,b c, net_fds=Some([1, 2]), tcp_url=None, zones=x, zones=y"
    assert row.values(text) == {"url": "unix:/a,b c"}
    assert row.values(text.replace(", tcp_url", "; tcp_url")) is None


def test_every_event_is_there_for_a_line() -> None:
    """Each event of the vocabulary is in the catalogue as the line that announces it."""
    messages = [message for _, message, _ in _rendered()]
    missing = [
        key
        for key in EVENTS
        if not any(text.startswith(f"Event: source = {key[0]} event = {key[1]}") for text in messages)
    ]
    assert missing == []
