"""Two migrations that one listener took one after the other, of which logs were lost: none gets the other's partner."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from fleet import Move, lasts_ns
from fleet_lines import fleet_requests
from live_run import LiveRun
from trace_invariants import CORPUS

from otelmig.inputs.line import Host
from otelmig.inputs.record import FileKey, LogRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_S = 10**9
_MS = 10**6
_WALL = CORPUS / "v53.0-wallclock"
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?=Z )")
_LOST = [("source 0", "destination 1"), ("destination 0", "source 1")]
"""The logs that nobody sends: the one side of the first migration, and the other side of the second."""
Timed = tuple[int, list[LogRecord]]


def _boot_clocks(recording: str, apart_ms: int) -> list[tuple[str, Timed]]:
    """The requests of both migrations, each with whose it is; their logs say how long their processes ran."""
    begin_ns = lasts_ns(recording) + apart_ms * _MS
    moves = [Move(begin_ns=0, source=0, destination=1), Move(begin_ns=begin_ns, source=2, destination=1)]
    requests = []
    for at_ns, records in fleet_requests(recording, moves):
        number = records[0].file.path[len("/var/log/ch/vm")]
        role = "destination" if records[0].file.host == "host1" else "source"
        requests.append((f"{role} {number}", (at_ns, records)))
    return requests


def _wall_clocks(apart_ms: int) -> list[tuple[str, Timed]]:
    """The requests of both migrations, each with whose it is; their logs say what time it was on their hosts."""
    requests = []
    lasted = timedelta(seconds=4)  # 3.8 s from the first line about it to the last one
    for number, host_of in enumerate(({"source": 0, "destination": 1}, {"source": 2, "destination": 1})):
        for role, host in host_of.items():
            ahead = timedelta(milliseconds=(3, -2, 5)[host])
            later = number * (lasted + timedelta(milliseconds=apart_ms)) + ahead
            requests += [(f"{role} {number}", timed) for timed in _sent(role, number, host, later)]
    return sorted(requests, key=lambda request: request[1][0])


def _sent(role: str, number: int, host: int, later: timedelta) -> list[Timed]:
    """The lines of one log, that much later, a request each second."""
    machine = Host(name=f"host{host}", id=f"host{host}", ips=(f"10.0.0.{host}",))
    key = FileKey(f"host{host}", f"/var/log/ch/vm{number}.log")
    by_second: dict[int, list[LogRecord]] = {}
    offset = at_ns = 0
    for line, raw in enumerate((_WALL / f"{role}.log").read_text().splitlines(), start=1):
        text = raw.replace("tcp:127.0.0.1:4444", "tcp:10.0.0.1:4444")
        stamp = _STAMP.match(text)
        if stamp is not None:
            at = datetime.fromisoformat(f"{stamp[0]}+00:00") + later
            at_ns = int(at.timestamp() * 10**6) * 1000
            text = f"{at:%Y-%m-%dT%H:%M:%S.%f}{text[stamp.end() :]}"
        size = len(text.encode())
        batch = by_second.setdefault(at_ns // _S, [])
        if text:
            batch.append(
                LogRecord(
                    text, key, machine, offset=offset, number=line, size=size, received_ns=at_ns, is_sequel=bool(batch)
                )
            )
        offset += size + 1
    return [((second + 1) * _S, records) for second, records in by_second.items()]


def _play(run: LiveRun, requests: Sequence[tuple[str, Timed]]) -> list[list[str]]:
    """Send requests at their times; return which sides each trace was made of."""
    begin_ns = requests[0][1][0]
    for _, (at_ns, records) in requests:
        run.wait(max((at_ns - begin_ns) / _S - run.now_s, 0.0))
        run.take(records)
    run.wait(100.0)
    return sorted(
        sorted(f"{side.role} {side.vmm.inputs[0][-len('0.log')]}" for side in finished.migration.sides)
        for finished in run.finished
    )


@pytest.mark.parametrize("lost", [(), *_LOST])
@pytest.mark.parametrize(
    ("clock", "apart_ms"),
    [
        *((clock, apart_ms) for clock in ("wall clocks", "v53.0-linux") for apart_ms in (50, 200, 1000)),
        *(("v53.0-postcopy", apart_ms) for apart_ms in (200, 1000)),  # it takes a second
    ],
)
def test_none_gets_the_other_s_partner(clock: str, apart_ms: int, lost: Sequence[str], tmp_path: Path) -> None:
    """What is left of each stands alone, and says who migrated beside it; if nothing is lost, both are paired."""
    requests = _wall_clocks(apart_ms) if clock == "wall clocks" else _boot_clocks(clock, apart_ms)
    with LiveRun(directory=tmp_path / "state") as run:
        sides = _play(run, [request for request in requests if request[0] not in lost])
        if not lost:
            assert sides == [["destination 0", "source 0"], ["destination 1", "source 1"]]
            return
        left = [[f"{role} {number}"] for role in ("destination", "source") for number in (0, 1)]
        assert sides == [each for each in left if each[0] not in lost]
        assert run.assembly.waiting.late == 0
        for finished in run.finished:
            assert not finished.trace.root.links
            (reason,) = finished.migration.reasons
            assert reason.endswith(": migrated at another time")


def test_a_clock_that_is_wrong_does_not_part_a_pair(tmp_path: Path) -> None:
    """One host is two seconds ahead: both sides were migrating at one time for most of five seconds all the same."""
    requests = _boot_clocks("v53.0-linux", 60_000)
    requests = [request for request in requests if request[0].endswith("0")]
    ahead = [
        (
            who,
            (
                at_ns,
                [
                    record._replace(received_ns=(record.received_ns or 0) + 2 * _S)
                    if who.startswith("source")
                    else record
                    for record in records
                ],
            ),
        )
        for who, (at_ns, records) in requests
    ]
    with LiveRun(directory=tmp_path / "state") as run:
        assert _play(run, ahead) == [["destination 0", "source 0"]]
