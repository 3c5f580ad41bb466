"""Hypervisors that log to the journal of their hosts: through live_journald.yaml to `otelmig serve`."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from backends.journal import NO_JOURNAL, UNIT, Journal, JournalPlayer, find_journal_writer
from backends.live_hosts import AHEAD_NS, BEGIN_NS, HOSTS, SPEED, migration_steps
from backends.live_traces import Spans, documents, of_lines
from backends.log_receiver import log_receiver
from backends.otlp_spans import spans_by_id
from backends.retry import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from conftest import Otelmig

    from backends.backend_stack import BackendStack
    from backends.log_receiver import LogReceiver
    from backends.server import Server

pytestmark = pytest.mark.backend

_MACHINES: Final = {"alpha": "a1" * 16, "beta": "b2" * 16}
"""What /etc/machine-id says on each host."""
_LINES: Final = 600


@pytest.fixture
def journals(stack: BackendStack) -> Iterator[dict[str, Journal]]:
    """The journals of both hosts, empty; a machine on which none can be written is a failure where CI is set."""
    writer = find_journal_writer()
    if writer is None:
        if os.environ.get("CI"):
            pytest.fail(NO_JOURNAL)
        pytest.skip(NO_JOURNAL)
    with ExitStack() as entered:
        yield {
            host: entered.enter_context(Journal(stack.folder(f"/var/journal/{host}"), host, machine, writer))
            for host, machine in _MACHINES.items()
        }


def _player(stack: BackendStack, journals: Mapping[str, Journal]) -> JournalPlayer:
    folders = {stack.folder(f"/var/log/{host}"): role for role, host in HOSTS.items()}
    clocks = {folder: BEGIN_NS + AHEAD_NS[role] for folder, role in folders.items()}
    return JournalPlayer({folder: journals[HOSTS[role]] for folder, role in folders.items()}, clocks, SPEED)


def _host(stack: BackendStack, journal: Journal, host: str) -> Server:
    settings = [f"receivers::journald::directory: {journal.folder}"]
    return stack.host(host, "live_journald.yaml", machine=_MACHINES[host], settings=settings)


def _afterwards(stack: BackendStack, journals: Mapping[str, Journal], otelmig: Otelmig) -> Spans:
    """What `otelmig trace` makes of the finished journals."""
    inputs = []
    for host, journal in journals.items():
        path = stack.folder(f"/exported/{host}/journald:{UNIT}")  # as it is called where a service names its lines
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(journal.printed())
        inputs.append(path)
    written = stack.folder("/afterwards.jsonl")
    done = otelmig("trace", "-q", "-o", written, *inputs)
    assert done.returncode == 0, done.stderr
    (document,) = documents(written)
    return spans_by_id(document["resourceSpans"])


@pytest.mark.parametrize("recording", ["v53.0-twohosts", "v53.0-twohosts-boottime"])
def test_the_trace_is_that_of_the_journals(
    recording: str, stack: BackendStack, journals: dict[str, Journal], otelmig: Otelmig
) -> None:
    """The live trace is the one that `otelmig trace` makes of both journals afterwards; wall clocks or none.

    It stays the only one when Collector and service were killed, and the Collectors read their journals once more.
    """
    servers = [stack.service(), *(_host(stack, journal, host) for host, journal in journals.items())]
    written = stack.folder("/migrations.jsonl")
    with ThreadPoolExecutor() as pool:
        playing = pool.submit(_player(stack, journals).play, migration_steps(stack, recording))
        for server in servers:
            server.stop(signal.SIGKILL)
            server.start()
        playing.result()
    wanted = _afterwards(stack, journals, otelmig)
    assert eventually(lambda: documents(written), bool)
    lines = sum(journal.printed().count(b"\n") for journal in journals.values())
    for server in servers:
        server.stop(signal.SIGKILL)
        server.start()
    status = eventually(stack.status, lambda status: status["records"]["copies"] >= lines)
    records, replayed = status["records"], status["requests"]["replayed"]
    assert records["copies"] == records["taken"] == lines or replayed, "what was not worked off is taken once more"
    (document,) = documents(written)
    assert of_lines(spans_by_id(document["resourceSpans"])) == of_lines(wanted)


def _messages(receiver: LogReceiver) -> list[str]:
    """The messages of all entries that came."""
    records = [each for logs in receiver.received for scope in logs.scope_logs for each in scope.log_records]
    bodies = [{each.key: each.value for each in record.body.kvlist_value.values} for record in records]
    return [body["MESSAGE"].string_value for body in bodies]


def test_every_line_of_the_journal_arrives(stack: BackendStack, journals: dict[str, Journal]) -> None:
    """Long ones, with a CR, from before the last boot, and of a unit that came later; in order, and once."""
    journal = journals["alpha"]
    journal.add(UNIT, b"before the boot\r", BEGIN_NS, boot="0b" * 16)
    with log_receiver(stack.port(4319)) as receiver:
        _host(stack, journal, "alpha")
        long = "configuration " * 1000
        for number, text in enumerate(["begin\r", long, "  indented", "cafe\u0301"]):
            journal.add(UNIT, text.encode(), BEGIN_NS + (1 + number) * 1_000_000)
        journal.add("another.service", b"end\r", BEGIN_NS + 10_000_000)
        wanted = ["before the boot\r", "begin\r", long, "  indented", "cafe\u0301", "end\r"]
        assert eventually(lambda: _messages(receiver), lambda messages: len(messages) >= len(wanted)) == wanted


def test_a_killed_collector_loses_nothing(stack: BackendStack, journals: dict[str, Journal]) -> None:
    """Killed again and again while lines are written: each of them arrives, and all once more after each start."""
    journal = journals["alpha"]
    texts = [f"line {number}\r" for number in range(_LINES)]
    with log_receiver(stack.port(4319)) as receiver:
        server = _host(stack, journal, "alpha")
        for number, text in enumerate(texts):
            journal.add(UNIT, text.encode(), BEGIN_NS + number * 1_000_000)
            if number % (_LINES // 4) == _LINES // 8:
                server.stop(signal.SIGKILL)
                server.start()
        arrived = eventually(lambda: set(_messages(receiver)), lambda arrived: len(arrived) >= _LINES)
    assert arrived == set(texts)
