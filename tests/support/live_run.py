"""A live service without threads, sockets and clocks: requests in, traces out, restarts at any time."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otelmig.hypervisors import hypervisors
from otelmig.live.assembly import Assembly
from otelmig.live.options import LiveOptions
from otelmig.live.state.database import State
from otelmig.otlp.intake.request import ReceivedLogs, decode_logs
from otelmig.otlp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import Self

    from otelmig.inputs.record import LogRecord
    from otelmig.live.drawing import Finished
    from otelmig.otlp.intake.announcement import Announcement

__all__ = ["LiveRun", "without_times_and_hosts"]

BEGIN_NS = 1_790_000_000 * 10**9
"""What time it is when a run begins."""


@dataclass(kw_only=True)
class LiveRun:
    """A service that is driven step by step; a context, which closes its state."""

    directory: Path
    options: LiveOptions = field(default_factory=LiveOptions)
    now_s: float = 0.0
    finished: list[Finished] = field(default_factory=list)
    """Every trace that was made and is safe, in order."""
    lines: list[bytes] = field(default_factory=list)
    """The same as lines of OTLP/JSON."""
    keeps_safe: bool = True
    """Whether traces become safe as soon as they were made."""
    _worked_off: list[int] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self.state = self._stack.enter_context(State(self.directory, most_bytes=self.options.state_bytes))
        # a restart in this process finds what the kernel has: nothing here is about a disk, so nothing waits for one
        self.state._database.execute("PRAGMA synchronous=OFF")  # noqa: SLF001 - users have no such choice
        systems = {each.system: each for each in hypervisors()}
        self.assembly = Assembly(hypervisors=systems, options=self.options, state=self.state)
        self.assembly.restore(self.now_s)
        for stored in self.state.requests():
            logs = decode_logs(stored.body, is_json=stored.is_json)
            self.assembly.take(logs, self.now_s, stored.at_ns)
            self.assembly.flush([stored.ident], self.at_ns)

    @property
    def at_ns(self) -> int:
        """What time it is (Unix epoch)."""
        return BEGIN_NS + int(self.now_s * 10**9)

    def restart(self) -> None:
        """Lose everything that is not in the state, and begin anew."""
        self._stack.close()
        self._stack = ExitStack()
        self._worked_off.clear()
        self._open()

    def take(self, records: Sequence[LogRecord], announcements: Sequence[Announcement] = ()) -> None:
        """Take what a request holds; look around."""
        self.now_s += 0.001
        logs = ReceivedLogs(tuple(records), tuple(announcements), Counter())
        self.assembly.take(logs, self.now_s, self.at_ns)
        self.look()
        self.flush()

    def feed_unflushed(self, records: Sequence[LogRecord]) -> None:
        """Take records; what comes of them is not in the state yet."""
        self.assembly.take(ReceivedLogs(tuple(records), (), Counter()), self.now_s, self.at_ns)

    def take_body(self, body: bytes, *, work_off: bool = True, flush: bool = True) -> None:
        """Take a request as it is sent, by way of the disk.

        A killed service leaves requests that were not worked off, or of which what they came to was not flushed.
        """
        self.now_s += 0.001
        idents = self.state.keep([(body, False)], self.at_ns)
        if work_off:
            self.assembly.take(decode_logs(body, is_json=False), self.now_s, self.at_ns)
            self.look()
            self._worked_off += idents
        if flush and work_off:
            self.flush()

    def flush(self) -> None:
        """Write to the state what was worked off."""
        self.assembly.flush(self._worked_off, self.at_ns)
        self._worked_off.clear()

    def look(self) -> None:
        """Do what is due."""
        self.assembly.tick(self.now_s)
        for each in self.assembly.finished(self.now_s, self.at_ns):
            self.finished.append(each)
            self.lines.append(Payload.of_trace(each.trace).line)
            if self.keeps_safe:
                self.assembly.safe(each)
        assert not self.assembly.errors

    def wait(self, seconds: float) -> None:
        """Let so much time pass, and do what is due in it at its time."""
        until_s = self.now_s + seconds
        while (due_s := self.assembly.next_due_s) is not None and due_s <= until_s:
            self.now_s = max(self.now_s + 1e-6, due_s)
            self.look()
            self.flush()
        self.now_s = until_s
        self.look()
        self.flush()

    def feed(self, requests: Iterable[Sequence[LogRecord]]) -> None:
        """Take requests one after the other."""
        for request in requests:
            self.take(request)


_ABOUT_HOSTS = ("host.", "otelmig.host.", "otelmig.pairing.", "service.instance.id", "otelmig.clock.epoch.")
_NAMES_OF_HOSTS = frozenset({"vm.migration.source.host.name", "vm.migration.destination.host.name"})
_PLACED = frozenset({"otelmig.clock.shift"})
"""Attributes that depend on where the epochs of logs without a wall clock are."""
_LATER = ("vm.migration.guest.fate", "otelmig.evidence.fate")


def without_times_and_hosts(line: bytes) -> str:
    """Return a trace without what a live one may have more of, or other: hosts, pairing, epoch, the guest's fate."""
    document = json.loads(line)
    starts = [
        int(span["startTimeUnixNano"])
        for resource in document["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    return json.dumps(_comparable(document, min(starts)), sort_keys=True)


def _comparable(value: Any, begin_ns: int) -> Any:
    match value:
        case dict():
            return {
                key: int(item) - begin_ns if key.endswith("imeUnixNano") else _comparable(item, begin_ns)
                for key, item in value.items()
            }
        case list():
            return [_comparable(item, begin_ns) for item in value if not _is_left_out(item)]
        case _:
            return value


def _is_left_out(item: object) -> bool:
    key = item.get("key", "") if isinstance(item, dict) else ""
    return key.startswith((*_ABOUT_HOSTS, *_LATER)) or key in _NAMES_OF_HOSTS | _PLACED
