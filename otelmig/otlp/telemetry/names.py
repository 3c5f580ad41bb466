"""The table of what a live service says beside traces: log records and metrics."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = [
    "METRICS",
    "RECORDS",
    "MetricRow",
    "RecordRow",
    "ServiceMetric",
    "ServiceRecord",
    "metric_table",
    "record_table",
]


class ServiceRecord(StrEnum):
    """The ``event_name`` of a log record."""

    PROGRESS = "vm.migration.progress"
    FATE = "vm.migration.guest.fate"
    """It has the name of the attribute that it would have been."""


class ServiceMetric(StrEnum):
    """The name of a metric."""

    ACTIVE = "vm.migration.active"
    WAITING = "otelmig.serve.sides.waiting"
    UNPAIRED = "otelmig.serve.sides.unpaired"
    LOST = "otelmig.serve.lines.lost"
    CONFLICTS = "otelmig.serve.clock.conflicts"
    UNSAFE = "otelmig.serve.traces.unsafe"
    ANNOUNCED = "otelmig.serve.announcements.waiting"
    UNMATCHED = "otelmig.serve.announcements.unmatched"
    LATE = "otelmig.serve.announcements.late"
    EVICTED = "otelmig.serve.announcements.evicted"
    DELAY = "otelmig.serve.delay"


class RecordRow(NamedTuple):
    """One row of the table of log records."""

    name: ServiceRecord
    note: str


class MetricRow(NamedTuple):
    """One row of the table of metrics."""

    name: ServiceMetric
    instrument: str
    unit: str
    note: str


RECORDS: Final = (
    RecordRow(
        ServiceRecord.PROGRESS,
        "a migration is under way: its phase, its age, the memory iterations and bytes sent so far; in no trace yet",
    ),
    RecordRow(
        ServiceRecord.FATE,
        "what became of a guest after its migration's trace had been sent; in that trace's context",
    ),
)
"""Every log record."""

METRICS: Final = (
    MetricRow(ServiceMetric.ACTIVE, "updowncounter", "{migration}", "migrations under way: sources that are not over"),
    MetricRow(ServiceMetric.WAITING, "updowncounter", "{side}", "sides that are over and wait for their partner"),
    MetricRow(ServiceMetric.UNPAIRED, "counter", "{side}", "sides that were traced alone"),
    MetricRow(ServiceMetric.LOST, "counter", "{line}", "lines that are known to be missing"),
    MetricRow(ServiceMetric.CONFLICTS, "counter", "{migration}", "migrations whose clocks contradict each other"),
    MetricRow(ServiceMetric.UNSAFE, "updowncounter", "{trace}", "traces that are neither sent nor kept yet"),
    MetricRow(
        ServiceMetric.ANNOUNCED,
        "updowncounter",
        "{migration}",
        "migrations that were announced and that no trace was made of yet",
    ),
    MetricRow(
        ServiceMetric.UNMATCHED,
        "counter",
        "{migration}",
        "migrations that were announced and that no trace was found for",
    ),
    MetricRow(
        ServiceMetric.LATE,
        "counter",
        "{migration}",
        "announcements that came after a trace that may be that of their migration",
    ),
    MetricRow(
        ServiceMetric.EVICTED,
        "counter",
        "{migration}",
        "announcements that were forgotten because too many waited",
    ),
    MetricRow(
        ServiceMetric.DELAY, "histogram", "s", "from a migration's last line to its trace being safe, with exemplars"
    ),
)
"""Every metric; none has an attribute."""


def record_table() -> str:
    """Return the table of log records in Markdown, as the documents show it."""
    lines = ["| event name | what it says |", "|---|---|"]
    lines += (f"| `{row.name}` | {row.note} |" for row in RECORDS)
    return "\n".join(lines)


def metric_table() -> str:
    """Return the table of metrics in Markdown, as the documents show it."""
    lines = ["| metric | instrument | unit | what it is |", "|---|---|---|---|"]
    lines += (f"| `{row.name}` | {row.instrument} | {row.unit} | {row.note} |" for row in METRICS)
    return "\n".join(lines)
