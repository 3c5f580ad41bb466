"""Units of the journal that are followed: each entry once, whatever happens to `journalctl` and to the journal."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from journal_host import JournalHost, entry, remote, running
from journal_run import journal_of

from otelmig.errors import InputError
from otelmig.inputs.tailing import FileGone, Journal, check_journal, unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from otelmig.inputs.record import LogRecord

_LONG_S = 30.0


@pytest.fixture(
    params=[
        "stand-in",
        pytest.param("real", marks=pytest.mark.skipif(remote() is None, reason="no systemd-journal-remote")),
    ]
)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalHost]:
    """A host whose `journalctl` is the one that is found."""
    with JournalHost(folder=tmp_path / "host", is_real=request.param == "real") as made:
        monkeypatch.setenv("PATH", made.path)
        yield made


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournalHost]:
    """A host whose journal can do what is hard to have a real one do."""
    with JournalHost(folder=tmp_path / "host") as made:
        monkeypatch.setenv("PATH", made.path)
        yield made


class _Reading:
    """One unit, or a pattern, that is followed; what was read and said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now_s = 0.0
        self.records: list[LogRecord] = []
        self.gone: list[FileGone] = []
        self.said: list[str] = []
        self.saved: dict[str, str] = {}
        self.journal = self._opened()

    def _opened(self) -> Journal:
        journal = journal_of(self.name, self.said)
        journal.restore(self.saved)
        return journal

    def until(self, is_so: Callable[[], bool]) -> None:
        """Read until something is so."""
        until = time.monotonic() + _LONG_S
        while not is_so():
            assert time.monotonic() < until, f"read: {self.texts}; said: {self.said}"
            tailed = self.journal.poll(self.now_s)
            self.records += tailed.records
            self.gone += tailed.gone
            time.sleep(0.002)

    def until_read(self, *texts: str) -> None:
        """Read until these are the lines that were read, and no others."""
        self.until(lambda: len(self.texts) >= len(texts))
        assert self.texts == list(texts)

    @property
    def texts(self) -> list[str]:
        """The lines that were read, those only once that were read twice."""
        return list({(record.epoch, record.offset): record.text for record in self.records}.values())

    def restart(self) -> None:
        """Lose everything that was not saved."""
        self.journal.close()
        self.journal = self._opened()
        self.records.clear()

    def save(self) -> None:
        """Note how far it was read."""
        self.saved |= self.journal.changed()


@pytest.fixture
def reading() -> Iterator[Callable[[str], _Reading]]:
    """Begins to follow what is named; ends it with the test."""
    begun: list[_Reading] = []

    def begin(name: str) -> _Reading:
        begun.append(_Reading(name))
        return begun[-1]

    yield begin
    for each in begun:
        each.journal.close()


@pytest.mark.parametrize("name", ["ch@1", "ch@?.service"])
def test_past_and_future(name: str, host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """What the journal has of all boots, then what comes; of other units nothing."""
    host.write([entry("an earlier boot", at_us=1, _BOOT_ID="4" * 32), entry("another unit", "b.service", 2)])
    host.write([entry("this boot", at_us=3)])
    host.until_shown("ch@1.service", 2)
    read = reading(name)
    read.until_read("an earlier boot", "this boot")
    for number in range(3):
        host.write([entry(f"new {number}", at_us=4 + number)])
        read.until_read("an earlier boot", "this boot", *(f"new {each}" for each in range(number + 1)))
    first, second = read.records[:2]
    assert (first.file.path, first.file.host) == ("journald:ch@1.service", "1" * 32)
    assert first.epoch != second.epoch
    assert first.writer == f"alpha/cloud-hypervisor[77]/{'4' * 32}"
    assert first.received_ns == 1_780_000_000_000_002_000
    assert not read.said


@pytest.mark.parametrize("name", ["ch@1", "ch@*"])
def test_after_a_restart(name: str, host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """It goes on behind the entry whose cursor was saved, and says nothing of a hole, in the next boot, too."""
    host.write([entry("one", at_us=1), entry("two", at_us=2)])
    read = reading(name)
    read.until_read("one", "two")
    read.save()
    host.write([entry("three", at_us=3)])
    read.until_read("one", "two", "three")
    read.restart()
    read.until_read("three")
    read.save()
    host.write([entry("a new boot", at_us=4, _BOOT_ID="5" * 32), entry("goes on", at_us=5, _BOOT_ID="5" * 32)])
    read.restart()
    read.until_read("a new boot", "goes on")
    assert not read.said


def test_a_unit_that_comes_later(host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """`journalctl` resolves a pattern once; a unit that begins after that is followed all the same."""
    read = reading("ch@*")
    host.write([entry("one", "ch@1.service", 1)])
    read.until_read("one")
    host.write([entry("no", "chx.service", 2), entry("two", "ch@2.service", 3)])
    read.until_read("one", "two")
    assert not read.said


@pytest.mark.parametrize("name", ["ch@1", "ch@*"])
def test_journalctl_ends(name: str, host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """It is started again, after pauses that grow until something comes, and goes on where it was."""
    host.offers("exit 7")
    read = reading(name)
    pauses = []
    for _ in range(3):
        read.until(lambda: read.journal.fileno() is None and read.journal.next_due_s > read.now_s)
        pauses.append(read.journal.next_due_s - read.now_s)
        read.now_s = read.journal.next_due_s
    assert pauses == [1.0, 2.0, 4.0]
    host.serve()
    for number in range(2):
        host.write([entry(f"line {number}", at_us=number + 1)])
        read.until_read(*(f"line {each}" for each in range(number + 1)))
        read.until(lambda: bool(running("--follow")))
        (child,) = running("--follow")
        os.kill(child, signal.SIGKILL)
        read.until(lambda: read.journal.fileno() is None)
        read.now_s = read.journal.next_due_s
    ended = f"{read.journal.unit.key}: journalctl ended"
    assert set(read.said) == {f"{ended} ({why}); it is started again" for why in ("exit code 7", "SIGKILL")}
    host.write([entry("line 2", at_us=3)])
    read.until_read("line 0", "line 1", "line 2")


@pytest.mark.parametrize("name", ["ch@1", "ch@*"])
@pytest.mark.parametrize(
    ("kept", "others", "said"),
    [
        (0, 0, ""),
        (3, 0, "at most 1 were lost, those of all units counted"),
        (4, 2, "at most 3 were lost, those of all units counted"),
    ],
)
def test_the_journal_has_forgotten(  # noqa: PLR0917 - fixtures and parameters
    name: str, kept: int, others: int, said: str, stand_in: JournalHost, reading: Callable[[str], _Reading]
) -> None:
    """If the entry that was read last is gone, it says how many may be lost; nothing that is there is passed over."""
    stand_in.write([entry("one", at_us=1)])
    read = reading(name)
    read.until_read("one")
    read.save()
    stand_in.write([entry(f"other {each}", "b.service", 2 + each) for each in range(others)])
    stand_in.write([entry("two", at_us=10), entry("three", at_us=11)])
    stand_in.vacuum(kept + others // 2 * (kept > 3))
    read.restart()
    expected = [each["MESSAGE"] for each in stand_in.entries if each["_SYSTEMD_UNIT"] == "ch@1.service"]
    read.until_read(*(text for text in expected if text != "one"))
    assert read.said == [
        f"{read.journal.unit.key}: the journal has not kept the entry that was read last: {said}"
    ] * bool(said)


def test_another_journal(stand_in: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """It goes on by the time of what was read last, and says that nobody knows what is missing."""
    stand_in.write([entry("one", at_us=1)])
    read = reading("ch@1")
    read.until_read("one")
    read.save()
    stand_in.begin_journal()
    stand_in.write([entry("two", at_us=2)])
    read.restart()
    read.until_read("two")
    (said,) = read.said
    assert said.endswith(": the journal has not kept the entry that was read last: it is not known how many were lost")


def test_a_unit_is_over(host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """The service manager says so; that is believed when its last lines had time to come."""
    host.write([entry("one", at_us=1)])
    read = reading("ch@1")
    read.until_read("one")
    over = {"UNIT": "ch@1.service", "_PID": "1", "MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c"}
    host.write([entry("ch@1.service: Failed with result 'signal'.", "init.scope", 2, **over), entry("two", at_us=3)])
    read.until_read("one", "two")
    assert not read.gone
    assert 0.0 < read.journal.next_due_s < 1.0
    read.now_s = 1.0
    read.until(lambda: bool(read.gone))
    assert read.gone == [FileGone(read.records[0].file, "journald:ch@1.service")]
    forged = over | {"_PID": "77"}
    host.write([entry("not the manager's", "evil.service", 4, **forged), entry("three", at_us=5)])
    read.until_read("one", "two", "three")
    read.now_s = 2.0
    read.journal.poll(read.now_s)
    assert len(read.gone) == 1


def test_lines_that_journald_left_out(host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """Its rate limit is named, with how many lines it cost."""
    left_out = {"OBJECT_SYSTEMD_UNIT": "ch@1.service", "_UID": "0", "_TRANSPORT": "driver", "N_DROPPED": "12"}
    host.write([entry("Suppressed 12 messages", "systemd-journald.service", 1, **left_out), entry("one", at_us=2)])
    read = reading("ch@1")
    read.until_read("one")
    assert read.said == ["journald:ch@1.service: journald left out 12 lines that came too fast (its rate limit)"]


def test_messages_that_are_no_text(host: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """A CR, bytes that are no UTF-8, long lines, what looks like JSON."""
    messages: list[str | bytes] = ["ü", b"CR\r", b"\xff\x00", "x" * 100_000, '{"_SYSTEMD_UNIT":"b.service"}', "a\nb"]
    host.write([entry(message, at_us=number) for number, message in enumerate(messages, 1)])
    read = reading("ch@1")
    read.until_read("ü", "CR", "\\xff\0", "x" * 100_000, '{"_SYSTEMD_UNIT":"b.service"}', "a\nb")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
            "the journal: No journal files were opened due to insufficient permissions.",
        ),
        ("exit 3", "the journal: exit code 3"),
        ("kill -9 $$", "the journal: SIGKILL"),
        (None, "the journal: journalctl: No such file or directory"),
    ],
)
def test_a_journal_that_cannot_be_read(
    script: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is known at the start, in one line."""
    made = JournalHost(folder=tmp_path / "host")
    monkeypatch.setenv("PATH", str(made.programs))
    if script is None:
        (made.programs / "journalctl").unlink()
    else:
        made.offers(script)
    with pytest.raises(InputError) as raised:
        check_journal()
    assert str(raised.value) == said


def test_a_journal_that_shows_less(stand_in: JournalHost) -> None:
    """What `journalctl` remarks is told, but for what comes after its first line."""
    assert not check_journal()
    stand_in.offers("echo 'Hint: You are currently not seeing messages from the system.' >&2; echo more >&2")
    assert check_journal() == "Hint: You are currently not seeing messages from the system."


def test_what_is_printed_and_is_no_entry(stand_in: JournalHost, reading: Callable[[str], _Reading]) -> None:
    """It is passed over, and that is said once."""
    stand_in.offers("""echo '-- Boot --'; echo '{}'; echo '{"__CURSOR":5}'; exec sleep 60""")
    read = reading("ch@1")
    read.until(lambda: bool(read.said))
    assert read.said == ["journald:ch@1.service: what journalctl prints cannot be read, and is passed over"]
    assert not read.texts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("journald:ch", "ch.service"),
        ("journald:ch@a\\x2db.service", "ch@a\\x2db.service"),
        ("journald:machine-ch.scope", "machine-ch.scope"),
        ("journald:--help", "--help.service"),
        ("journald:ch@*.service", "ch@*.service"),
        ("./journald:ch", None),
        ("/var/log/ch.log", None),
    ],
)
def test_names_of_units(text: str, name: str | None) -> None:
    """A unit without a type is a service, as systemd's own commands take it; what has no prefix is a file."""
    unit = unit_of(text)
    assert (None if unit is None else unit.name) == name


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a\n", "a;b", "$(a)", "ä", "a\0", "a" * 256, "*" * 256, "a*;b"])
def test_names_that_no_unit_has(name: str) -> None:
    """They are refused before anything is started."""
    with pytest.raises(InputError, match="want the name of a unit"):
        unit_of(f"journald:{name}")
