"""Lines that wait for lines before them: each is written to the state once, and waits on after any restart."""

from __future__ import annotations

import http.client
import json
import sqlite3
import time
from contextlib import closing, suppress
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING

import fork_server
import pytest
from intake_client import PROTOBUF_HEADERS
from live_run import LiveRun, without_times_and_hosts
from otlp_receiver import free_port
from sent_files import SentFile, in_one_batch, protobuf_bodies, recording_requests
from trace_invariants import CORPUS

from otelmig.otlp.payload import Payload
from otelmig.pipeline import trace_migrations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sent_files import Request

    from otelmig.live.state.changes import Changes

_RECORDING = CORPUS / "v53.0-basicv"
_LONG_S = 30.0


def _requests() -> list[Request]:
    """The lines of a migration, the first ones of each file at the end."""
    requests = recording_requests(_RECORDING, {"source": "host-a", "destination": "host-b"}, 3)
    requests = [request for request in requests if request[0].file.path.endswith((".log", ".events.json"))]
    firsts = [request for request in requests if request[0].offset == 0]
    return [*(request for request in requests if request[0].offset), *firsts]


def _afterwards() -> list[str]:
    paths = [path for path in _RECORDING.iterdir() if path.name.endswith((".log", ".events.json"))]
    return sorted(without_times_and_hosts(Payload.of_trace(trace).line) for trace in trace_migrations(paths))


def _in_order(records: Request) -> Request:
    return records


def _backwards(records: Request) -> Request:
    return records[::-1]


def _shuffled(records: Request) -> Request:
    return Random(5).sample(records, len(records))


def _written(directory: Path, order: Callable[[Request], Request], count: int) -> tuple[int, int, int]:
    """Let so many lines wait, one request each; return the rows written for them, all bytes, and the rows in the end.

    The line that they wait for comes last, and then none of them is in the state any more.
    """
    first, *rest = SentFile(data=b"".join(b"line %d of a file\n" % number for number in range(count + 1))).records
    with LiveRun(directory=directory) as run:
        rows = size = 0
        write = run.state.write

        def counted(changes: Changes) -> None:
            nonlocal rows, size
            saved = [held for _, held in changes.held.values() if held is not None]
            rows += len(saved)
            size += sum(map(len, (*saved, *changes.files.values())))
            size += sum(len(line.text) for line in changes.lines.values())
            write(changes)

        run.state.write = counted  # type: ignore[method-assign] # counts, and writes
        for record in order(rest):
            run.take([record])
        waiting = len(run.state.held_of("id-of-host-a\n/var/log/ch.log"))
        run.take([first])
        assert run.assembly.files.held == 0
        assert run.state.last_held() == 0
        return rows, size, waiting


@pytest.mark.parametrize("order", [_in_order, _backwards, _shuffled])
def test_what_is_written_does_not_grow_with_what_waits(order: Callable[[Request], Request], tmp_path: Path) -> None:
    """Twice as many lines behind a gap cost twice as much, and not four times: each is a row of its own."""
    small, large = (_written(tmp_path / str(count), order, count) for count in (150, 300))
    for (rows, _, waiting), count in ((small, 150), (large, 300)):
        assert waiting == count
        assert count <= rows <= 2 * count, "a line that another one turns out to come before is written once more"
    assert large[1] < 2.2 * small[1]


@pytest.mark.parametrize("restarts", [1, 3, 20])
def test_what_waited_waits_on_after_a_restart(restarts: int, tmp_path: Path) -> None:
    """However often the service is started anew before the first lines come."""
    with LiveRun(directory=tmp_path / "state") as run:
        for number, request in enumerate(_requests()):
            run.take(request)
            if not number % restarts:
                held = run.assembly.files.held
                run.restart()
                assert run.assembly.files.held == held
        run.wait(100.0)
        assert sorted(map(without_times_and_hosts, run.lines)) == _afterwards()
        assert run.state.last_held() == 0


def test_lines_of_two_files_of_one_name_wait_apart(tmp_path: Path) -> None:
    """Those that one batch left out lines between stay together, those of another file stay apart."""
    one = SentFile(data=b"".join(b"first file %d\n" % number for number in range(12))).records
    two = SentFile(
        data=b"".join(b"%d: of the other file\n" % number for number in range(12)), began_ns=1_790_000_000 * 10**9
    ).records
    expected = None
    for restarts in (False, True):
        with LiveRun(directory=tmp_path / str(restarts)) as run:
            for request in (one[4:6], in_one_batch([two[3], two[5]]), one[6:8], two[8:10], one[2:4]):
                run.take(request)
                if restarts:
                    run.restart()
            # the same lines wait together, in the same order
            (names,) = run.assembly.files._names.values()  # noqa: SLF001 - what waits
            waiting = [([record.text for record in waits.records], waits.is_filtered) for waits in names.waiting]
            assert len(waiting) > 1
            assert expected is None or waiting == expected
            expected = waiting


def test_a_state_of_the_format_before(tmp_path: Path) -> None:
    """It had what waits in the file's document, and no table for it."""
    requests = _requests()
    with LiveRun(directory=tmp_path / "state") as run:
        run.feed(requests[:-4])
        held = run.assembly.files.held
        assert held > 10
        documents = {log: json.loads(run.state.files_of(log)[0]) for log in run.state.logs()}
        waiting = {log: [json.loads(saved) for _, saved in run.state.held_of(log)] for log in documents}
    with closing(sqlite3.connect(tmp_path / "state" / "state.sqlite")) as database:
        for log, document in documents.items():
            runs = [([fields[1:] for fields in waiting[log]], False)]
            old = document | {"format": 1, "runs": runs if waiting[log] else []}
            saved = json.dumps(old).encode()
            database.execute("UPDATE file SET saved = ? WHERE key = ?", (saved, f"{log}\n{document['generation']}"))
        for each in ("TABLE held", "TABLE beside", "INDEX done_by_identity", "INDEX done_by_trace"):
            database.execute(f"DROP {each}")
        database.execute("PRAGMA user_version=1")
        database.commit()
    with LiveRun(directory=tmp_path / "state") as run:
        assert run.assembly.files.held == held
        run.flush()
        run.restart()
        assert run.assembly.files.held == held
        run.feed(requests[-4:])
        run.wait(100.0)
        assert sorted(map(without_times_and_hosts, run.lines)) == _afterwards()


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """What the service answers; 0 while it does not listen."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        with suppress(OSError):
            connection.request(method, path, body, PROTOBUF_HEADERS)
            answer = connection.getresponse()
            return answer.status, answer.read()
        return 0, b""


def _send(port: int, bodies: Sequence[bytes]) -> None:
    """Send requests until each was taken."""
    until_s = time.monotonic() + _LONG_S
    for body in bodies:
        while _ask(port, "POST", "/v1/logs", body)[0] != HTTPStatus.OK:
            assert time.monotonic() < until_s
            time.sleep(0.05)


def _counted(state: Path) -> tuple[int, int]:
    """How many requests are not worked off, and how many lines wait, by what is on the disk."""
    with closing(sqlite3.connect(f"file:{state / 'state.sqlite'}?mode=ro", uri=True)) as database:
        ((requests,),) = database.execute("SELECT count(*) FROM request")
        ((held,),) = database.execute("SELECT count(*) FROM held")
        return requests, held


def test_what_waits_survives_a_kill(tmp_path: Path) -> None:
    """Nothing but the rows has it when the service is killed: its requests are worked off."""
    port, requests = free_port(), _requests()
    bodies = protobuf_bodies(requests)
    cut = next(at for at, request in enumerate(requests) if request[0].offset == 0)
    records = sum(map(len, requests[:cut]))
    command = ["serve", "-q", "--listen", f"127.0.0.1:{port}", "--state", str(tmp_path / "state")]
    command += ["-o", str(tmp_path / "traces.jsonl")]
    with fork_server.start(*command, cwd=tmp_path, environ={}) as service:
        _send(port, bodies[:cut])
        until_s = time.monotonic() + _LONG_S
        while _counted(tmp_path / "state") != (0, records):
            assert time.monotonic() < until_s
            time.sleep(0.05)
        service.kill()
    with fork_server.start(*command, cwd=tmp_path, environ={}):
        _send(port, bodies[cut:])
        until_s = time.monotonic() + _LONG_S
        while not (tmp_path / "traces.jsonl").read_bytes().endswith(b"\n"):
            assert time.monotonic() < until_s
            time.sleep(0.05)
    lines = (tmp_path / "traces.jsonl").read_bytes().splitlines()
    assert sorted(map(without_times_and_hosts, lines)) == _afterwards()
