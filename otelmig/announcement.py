"""What a program that starts a migration says of it: its span, its log records and its metrics, name by name.

Whoever announces (``instrument/``, or a program in another language) and whoever listens share these names and nothing
else. The attributes are rows of the attribute table; they are spelled again here, because importing that table costs
more than a program that only announces should pay. A test compares the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = [
    "ATTRIBUTES",
    "METRICS",
    "RECORDS",
    "REQUEST_SPAN",
    "ClientMetric",
    "ClientResult",
    "MetricRow",
    "RecordName",
    "RecordRow",
    "metric_table",
    "record_table",
]

REQUEST_SPAN: Final = "request migration"
"""The caller's span. The migration's own root is called differently, so that no query takes one for the other."""


class RecordName(StrEnum):
    """The ``event_name`` of a log record that is emitted inside the caller's span."""

    ANNOUNCED = "vm.migration.announced"
    """A migration is about to be started."""
    RETURNED = "vm.migration.returned"
    """The caller has done what it does for that migration; from some releases on, the migration may go on."""


class ClientMetric(StrEnum):
    """The name of a metric that the caller's side gives."""

    DURATION = "vm.migration.client.duration"
    ACTIVE = "vm.migration.client.active"


class ClientResult(StrEnum):
    """How the caller's part ended. It says nothing of the migration, whose end may come later or never."""

    RETURNED = "returned"
    """Without an error."""
    FAILED = "failed"
    """With an error that left the block, or that the caller told of."""
    CANCELLED = "cancelled"
    """The caller was cancelled, interrupted or told to exit."""


VM_ID: Final = "vm.id"
VM_NAME: Final = "vm.name"
MIGRATION_ID: Final = "vm.migration.id"
MODE: Final = "vm.migration.mode"
SYSTEM: Final = "vm.migration.system.name"
SOURCE_HOST: Final = "vm.migration.source.host.name"
DESTINATION_HOST: Final = "vm.migration.destination.host.name"
TRANSPORT: Final = "network.transport"
ADDRESS: Final = "server.address"
PORT: Final = "server.port"
RESULT: Final = "vm.migration.client.result"
ERROR_TYPE: Final = "error.type"

_OF_REQUEST: Final = (
    TRANSPORT,
    ADDRESS,
    PORT,
    VM_ID,
    VM_NAME,
    SOURCE_HOST,
    DESTINATION_HOST,
    MIGRATION_ID,
    MODE,
    SYSTEM,
)
_OF_END: Final = (RESULT, ERROR_TYPE)
ATTRIBUTES: Final = (*_OF_REQUEST, *_OF_END)
"""Every attribute of the caller's span; each is absent where the caller does not tell it."""


class RecordRow(NamedTuple):
    """One row of the table of log records."""

    name: RecordName
    attributes: tuple[str, ...]
    note: str


RECORDS: Final = (
    RecordRow(RecordName.ANNOUNCED, _OF_REQUEST, "a migration is about to be started, inside this record's span"),
    RecordRow(RecordName.RETURNED, ATTRIBUTES, "the caller's part of it is over; the same span, the same attributes"),
)
"""Every log record. Both carry trace id, span id and flags of the caller's span, and the caller's time."""


class MetricRow(NamedTuple):
    """One row of the table of metrics."""

    name: ClientMetric
    instrument: str
    unit: str
    attributes: tuple[str, ...]
    note: str


METRICS: Final = (
    MetricRow(ClientMetric.DURATION, "histogram", "s", (RESULT, MODE, SYSTEM), "how long the caller's part took"),
    MetricRow(
        ClientMetric.ACTIVE, "updowncounter", "{migration}", (MODE, SYSTEM), "migrations announced, not returned"
    ),
)
"""Every metric, with attributes that have few values each."""


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def record_table() -> str:
    """Return the table of log records in Markdown, as the documents show it."""
    lines = ["| event name | attributes | what it is |", "|---|---|---|"]
    lines += (f"| `{row.name}` | {_code(row.attributes)} | {row.note} |" for row in RECORDS)
    return "\n".join(lines)


def metric_table() -> str:
    """Return the table of metrics in Markdown, as the documents show it."""
    lines = ["| metric | instrument | unit | attributes | what it is |", "|---|---|---|---|---|"]
    lines += (
        f"| `{row.name}` | {row.instrument} | {row.unit} | {_code(row.attributes)} | {row.note} |" for row in METRICS
    )
    return "\n".join(lines)
