"""What a live service keeps, row by row, and what a step of its work changes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import field

from otelmig.structs import Struct

if TYPE_CHECKING:
    from otelmig.live.announced.announced import Announced

__all__ = ["Changes", "Done", "StoredLine", "StoredRequest"]


class StoredRequest(NamedTuple):
    """A request that is not worked off."""

    ident: int
    at_ns: int
    """When it came in (Unix epoch)."""
    body: bytes
    is_json: bool


class StoredLine(NamedTuple):
    """A line that is still needed."""

    file: str
    """The key of its file."""
    position: int
    number: int
    text: str
    received_ns: int | None
    writer: str
    lost_before: int
    arrived_ns: int
    """When it came in (Unix epoch)."""


class Done(NamedTuple):
    """A side that a trace was made of."""

    file: str
    role: str
    identity: bytes
    attempt: int
    trace_id: str
    span_id: str
    """Of the trace's root."""
    at_ns: int
    """When it was made (Unix epoch)."""
    fate: str | None
    """What had become of the guest by then, or was told since."""


class Changes(Struct):
    """What a step of the work changed: written together, or not at all."""

    files: dict[str, bytes] = field(default_factory=dict)
    held: dict[int, tuple[str, bytes | None]] = field(default_factory=dict)
    """Records that wait for lines before them, each with the key of its log; None for one that waits no more."""
    gone_logs: list[str] = field(default_factory=list)
    """Logs of which all files are forgotten, and what waits for lines of them."""
    lines: dict[tuple[str, int], StoredLine] = field(default_factory=dict)
    gone_lines: list[tuple[str, int, int]] = field(default_factory=list)
    """Of a file, from one position up to another."""
    done: dict[tuple[str, str, bytes], Done] = field(default_factory=dict)
    gone_done: list[int] = field(default_factory=list)
    """What was made before these times is forgotten."""
    aside: dict[str, bool] = field(default_factory=dict)
    """Whether logs wait for nothing, so that nobody needs to read them after a restart before a line of them comes."""
    announced: dict[tuple[str, str], str] = field(default_factory=dict)
    """Announcements as they were saved, by the ids of their spans."""
    gone_announced: dict[tuple[str, str], None] = field(default_factory=dict)
    beside: dict[str, str | None] = field(default_factory=dict)
    """Which streams stand beside which logs, though they are named otherwise; None for one that does not any more."""
    tails: dict[str, str] = field(default_factory=dict)
    """How far files and the journal of this machine were read, as it was saved, by their keys."""
    gone_tails: list[str] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    """Worked off."""

    @property
    def _parts(self) -> tuple[dict[Any, Any] | list[Any], ...]:
        return (
            self.files,
            self.held,
            self.gone_logs,
            self.lines,
            self.gone_lines,
            self.done,
            self.gone_done,
            self.aside,
            self.announced,
            self.gone_announced,
            self.beside,
            self.tails,
            self.gone_tails,
            self.requests,
        )

    def __bool__(self) -> bool:
        return any(map(bool, self._parts))

    def announce(self, announced: Announced) -> None:
        """Write an announcement as it is now, with the next step."""
        self.announced[announced.key] = announced.saved()
        self.gone_announced.pop(announced.key, None)

    def forget_announced(self, key: tuple[str, str]) -> None:
        """Delete an announcement with the next step."""
        self.announced.pop(key, None)
        self.gone_announced[key] = None

    def clear(self) -> None:
        """Forget everything: it was written."""
        for part in self._parts:
            part.clear()
