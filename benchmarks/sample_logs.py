"""Large logs for benchmarks, made of the recordings in ``tests/corpus``."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CORPUS", "Source", "write_dirty_tables", "write_few", "write_journal", "write_many"]

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
_STAMP = re.compile(rb"(?m)^cloud-hypervisor: +(\d+)\.(\d{6})s: ")
_RECORD = re.compile(
    rb"(?m)^cloud-hypervisor: +[\d.]+s: (?P<rest><[^>\r\n]+> [A-Z]+:(?P<place>[^ \r\n]+) -- [^\r\n]*\r\n)"
)
_TOLD = b"API request event: VmSendMigration"
_TELLING = tuple(
    b"migrat|precopy|postcopy|downtime|dirty|gpa: |command|paus|resuming|restor|event|api request|incoming|mapping at"
    b"|starting vcpus|starting\r|exited|booting vm|guest cpuid|incompatib|accepting|connect|uffd|nested|tls".split(b"|")
)
"""What lines that otelmig may want to read have in them, in small letters, and then some."""
_MOST_OF_A_KIND = 150
"""Lines printed at one place of the hypervisor's source, so that a chatty one does not crowd out the others."""
_SHUFFLES = 16
_BETWEEN_LINES_US = 1_000, 20_000
_WITH_TABLES = "v53.0-linux"
"""A recording at ``-vv`` of a guest that writes to its memory."""
_TABLE = b"Dirty Memory Range Table:"
_ROW = re.compile(rb"<[^>\r\n]+> DEBUG:\S+ -- GPA: [0-9a-f]+ size: (\d+) \(KiB\)\r\n")
_BETWEEN_ROWS_US = 20
_MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
_AT_ONCE = 1_000
_MOST_BETWEEN_ENTRIES_US = 10_000
_OF_OTHERS = (
    (b"systemd[1]", b"Started session-%d.scope - Session of user operator."),
    (b"sshd[8112]", b"Accepted publickey for operator from 10.0.0.5 port %d ssh2: ED25519 SHA256:3m1H7bJ2"),
    (b"kernel", b"br0: port 3(tap%d) entered forwarding state"),
    (b"containerd[711]", b'level=info msg="shim disconnected" id=4f%x namespace=default'),
    (b"CRON[4021]", b"(root) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly # %d)"),
    (b"chronyd[655]", b"System clock wrong by -0.%05d seconds"),
    (b"dhclient[733]", b"DHCPACK of 10.0.0.7 from 10.0.0.1 (xid=0x%x)"),
)
"""Who else writes to a journal, and what, with a place for a number."""


class Source:
    """A real source log that can be told again at other times, which makes it another migration."""

    def __init__(self, recording: str = "v53.0-basicv") -> None:
        """Read the log of ``recording``."""
        log = (CORPUS / recording / "source.log").read_bytes()
        self._between = _STAMP.split(log)[3::3]
        self._stamps = [int(match[1]) * 10**6 + int(match[2]) for match in _STAMP.finditer(log)]

    def migration(self, number: int) -> bytes:
        """Return the log of a process that did everything ``number`` microseconds later."""
        return b"".join(_line(stamp + number, rest) for stamp, rest in self.records())

    def records(self) -> Iterator[tuple[int, bytes]]:
        """Yield each record: its time in microseconds, and the text from there up to the next record."""
        yield from zip(self._stamps, self._between, strict=True)


def _line(stamp_us: int, rest: bytes) -> bytes:
    return b"cloud-hypervisor: %3d.%06ds: %b" % (*divmod(stamp_us, 10**6), rest)


def write_few(path: Path, size: int) -> None:
    """Write three processes, one after the other, each with a migration at its end.

    Between its start and its migration each goes on with real lines that say nothing of one, as if for hours.
    """
    records = list(Source().records())
    told = next(at for at, (_, rest) in enumerate(records) if _TOLD in rest)
    last_us = records[told - 1][0]
    padding = _padding()
    with path.open("wb") as file:
        for number in range(3):
            later_us = number
            file.writelines(_line(stamp_us + later_us, rest) for stamp_us, rest in records[:told])
            at = 0
            while at == 0 or file.tell() < size * (number + 1) // 3:
                for since_last_us, rest in padding[at % len(padding)]:
                    later_us += since_last_us
                    file.write(_line(last_us + later_us, rest))
                at += 1
            file.writelines(_line(stamp_us + later_us, rest) for stamp_us, rest in records[told:])


def _padding() -> list[list[tuple[int, bytes]]]:
    """Return real records of many kinds in several orders, from all v53 recordings; none speaks of a migration.

    Before each stands how many microseconds passed since the one before it.
    """
    kinds: dict[bytes, list[bytes]] = {}
    for log in sorted(CORPUS.glob("v53*/*.log")):
        for match in _RECORD.finditer(log.read_bytes()):
            text = match["rest"].lower()
            if not any(word in text for word in _TELLING):
                kinds.setdefault(match["place"], []).append(match["rest"])
    shuffle = random.Random(1)
    lines = [line for kind in kinds.values() for line in shuffle.sample(kind, min(len(kind), _MOST_OF_A_KIND))]
    orders = []
    for _ in range(_SHUFFLES):
        shuffle.shuffle(lines)
        orders.append([(shuffle.randint(*_BETWEEN_LINES_US), line) for line in lines])
    return orders


def write_journal(path: Path, size: int) -> None:
    """Write the journal of a host, as ``journalctl -o short-iso-precise`` prints it, in which three VMs migrate.

    Most lines are of other programs.
    """
    source, pick = Source(), random.Random(1)
    now_us = 0
    with path.open("wb") as file:
        for number in range(3):
            begun_us = now_us
            for stamp_us, rest in source.records():
                now_us = begun_us + stamp_us
                file.writelines(
                    _entry(now_us, b"cloud-hypervisor[%d]" % (900 + number), line)
                    for line in _line(stamp_us + number, rest).splitlines()
                )
            while file.tell() < size * (number + 1) // 3:
                for program, text in pick.choices(_OF_OTHERS, k=_AT_ONCE):
                    now_us += pick.randrange(_MOST_BETWEEN_ENTRIES_US)
                    file.write(_entry(now_us, program, text % pick.randrange(1 << 16)))


def _entry(now_us: int, program: bytes, text: bytes) -> bytes:
    moment = _MIDNIGHT + timedelta(microseconds=now_us)
    return b"%b host-a %b: %b\n" % (moment.isoformat(timespec="microseconds").encode(), program, text)


def write_many(path: Path, migrations: int, recording: str = "v53.0-basicv") -> None:
    """Write one process after the other into the same file, each with a migration of its own."""
    source = Source(recording)
    with path.open("wb") as file:
        for number in range(migrations):
            file.write(source.migration(number))


def write_dirty_tables(path: Path, size: int) -> None:
    """Write one migration at ``-vv`` whose dirty tables are so long that they have ``size`` bytes together.

    Their rows are those of the recording, in any order, each at an address of its own and a little later.
    """
    records = list(Source(_WITH_TABLES).records())
    rows = [match for _, rest in records if (match := _ROW.match(rest)) is not None]
    tables = sum(_TABLE in rest for _, rest in records)
    per_table = size // tables // len(_line(0, rows[0][0]))
    pick = random.Random(1)
    later_us = 0
    with path.open("wb") as file:
        for stamp_us, rest in records:
            file.write(_line(stamp_us + later_us, rest))
            if _TABLE not in rest:
                continue
            for number in range(per_table):
                later_us += _BETWEEN_ROWS_US
                row = re.sub(rb"GPA: [0-9a-f]+", b"GPA: %x" % (0x1000000 + (number << 16)), pick.choice(rows)[0])
                file.write(_line(stamp_us + later_us, row))
