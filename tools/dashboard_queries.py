"""What the dashboards ask: PromQL about the gateway's metrics, TraceQL about the traces.

Variables of Grafana stand in them as they are: ``$host``, ``$version``, ``$trace``, ``$__range``.
"""

from __future__ import annotations

from typing import Final

from queries import Query, span_attribute

from otelmig.migration.side import Result, Role
from otelmig.otlp.telemetry.names import METRICS, ServiceMetric
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName

__all__ = ["LIVE", "MIGRATION", "OVERVIEW", "OVERVIEW_TRACES", "PAIRS", "SERVICE", "VARIABLES", "label"]

_CALLS: Final = "traces_span_metrics_calls_total"
_BUCKET: Final = "traces_span_metrics_duration_seconds_bucket"
_GRAPH: Final = "traces_service_graph_request_total"


def label(name: str) -> str:
    """Return how Prometheus calls an attribute."""
    return name.replace(".", "_")


_RESULT: Final = label(names.VM_MIGRATION_RESULT)
_ERROR: Final = label(names.ERROR_TYPE)
_MISSED: Final = label(names.VM_MIGRATION_DOWNTIME_TARGET_MISSED)
_HOST: Final = label(names.HOST_NAME)
_VERSION: Final = label(names.SERVICE_VERSION)


def _grew(metric: str, selector: str, window: str) -> str:
    """Return by how much each series grew in a window, its first count included; see downtime_slo.rules.yaml."""
    series = f"{metric}{{{selector}}}"
    grown = f"max_over_time({series}[{window}])"
    return f"({grown} - (last_over_time({series}[7d] offset {window}) or 0 * {grown}))"


def _of_span(span: SpanName, *conditions: str) -> str:
    chosen = (f'{_HOST}=~"$host"', f'{_VERSION}=~"$version"')
    return ", ".join((f'span_name="{span}"', *conditions, *chosen))


def _counted(span: SpanName, *conditions: str, window: str = "$__range", metric: str = _CALLS) -> str:
    return _grew(metric, _of_span(span, *conditions), window)


_UNSUCCESSFUL: Final = f'{_RESULT}!="{Result.SUCCESS}"'
_WITH_CAUSE: Final = f'{_ERROR}!=""'
_FROM_SOURCE: Final = f'client="migration-{Role.SOURCE}"'
_ALL_DOWNTIMES: Final = _counted(SpanName.DOWNTIME, f'{_MISSED}=~"true|false"')
_MISSED_DOWNTIMES: Final = _counted(SpanName.DOWNTIME, f'{_MISSED}="true"')


def _share(by: str = "") -> str:
    """Return the share of downtimes over target, which is 0, not absent, where there are none."""
    grouped = f" by ({by})" if by else ""
    every = f"sum{grouped} ({_ALL_DOWNTIMES})"
    return f"(sum{grouped} ({_MISSED_DOWNTIMES}) or 0 * {every}) / {every}"


OVERVIEW: Final = (
    Query(name="migrations", question="Migrations", text=f"sum({_counted(SpanName.MIGRATION)})"),
    Query(
        name="not successful",
        question="Not successful",
        text=f"sum({_counted(SpanName.MIGRATION, _UNSUCCESSFUL)}) or vector(0)",
    ),
    Query(name="missed", question="Target missed", text=f"sum({_MISSED_DOWNTIMES}) or vector(0)"),
    Query(name="share", question="Share of downtimes over their target", text=_share()),
    Query(
        name="rate",
        question="Migrations of the hour before, by result",
        text=f"sum by ({_RESULT}) ({_counted(SpanName.MIGRATION, window='1h')}) > 0",
    ),
    Query(
        name="errors",
        question="Failures by cause",
        text=f"sum by ({_ERROR}) ({_counted(SpanName.MIGRATION, _WITH_CAUSE)}) > 0",
    ),
    Query(
        name="lengths",
        question="Downtimes by length",
        text=f"sum by (le) ({_counted(SpanName.DOWNTIME, metric=_BUCKET)})",
    ),
    Query(
        name="by host",
        question="Migrations by host",
        text=f"sum by ({_HOST}) ({_counted(SpanName.MIGRATION)}) > 0",
    ),
    Query(name="share by host", question="Over target, by host", text=_share(_HOST)),
    Query(name="share by version", question="Over target, by version", text=_share(_VERSION)),
)
"""Panels of the overview that ask Prometheus for what gateway.yaml counts."""

PAIRS: Final = Query(
    name="pairs",
    question="Who migrates to whom",
    text=f"sum by (client_{_HOST}, server_{_HOST}) ({_grew(_GRAPH, _FROM_SOURCE, '$__range')}) > 0",
)
"""Of the metrics of tempo_metrics.yaml."""

_ACCEPTED: Final = 'otelcol_receiver_accepted_log_records{receiver="file_log"}'
_WAITING: Final = 'otelcol_exporter_queue_size{exporter=~"otlp_http/live|kafka"}'
_ROOM: Final = 'otelcol_exporter_queue_capacity{exporter=~"otlp_http/live|kafka"}'
_DROPPED: Final = 'otelcol_exporter_send_failed_log_records{exporter=~"otlp_http/live|kafka"}'
_STOPPED: Final = 'otelcol_receiver_failed_log_records{receiver="file_log"}'
LIVE: Final = (
    Query(name="hosts", question="Hosts that read logs", text=f"count({_ACCEPTED})"),
    Query(name="waiting", question="Waiting on all hosts", text=f"sum({_WAITING})"),
    Query(name="fullest", question="The fullest queue", text=f"max({_WAITING} / {_ROOM})"),
    Query(name="dropped", question="Lines dropped for good", text=f"sum(increase({_DROPPED}[$__range])) or vector(0)"),
    Query(name="lines", question="Lines a second, by host", text=f"sum by (instance) (rate({_ACCEPTED}[5m]))"),
    Query(name="queues", question="Waiting, by host", text=f"sum by (instance) ({_WAITING})"),
    Query(
        name="stopped",
        question="Lines that had to be read again, by host",
        text=f"sum by (instance) (increase({_STOPPED}[5m]))",
    ),
)
"""Panels about the Collectors of live.yaml, which say this of themselves on port 18888."""


def _of_service(metric: ServiceMetric) -> str:
    """Return how Prometheus calls a metric of the service."""
    (row,) = (row for row in METRICS if row.name is metric)
    unit = "_seconds" if row.unit == "s" else ""
    return f"{label(row.name)}{unit}{'_total' if row.instrument == 'counter' else ''}"


def _service_delay(share: float) -> str:
    buckets = f"sum by (le) (rate({_of_service(ServiceMetric.DELAY)}_bucket[1h]))"
    return f"histogram_quantile({share}, {buckets})"


SERVICE: Final = (
    Query(name="active", question="Migrations under way", text=f"sum({_of_service(ServiceMetric.ACTIVE)})"),
    Query(name="partners", question="Sides without a partner yet", text=f"sum({_of_service(ServiceMetric.WAITING)})"),
    Query(name="unsafe", question="Traces not safe yet", text=f"sum({_of_service(ServiceMetric.UNSAFE)})"),
    Query(name="lost", question="Lines lost", text=f"sum({_grew(_of_service(ServiceMetric.LOST), '', '$__range')})"),
    Query(
        name="alone", question="Traced alone", text=f"sum({_grew(_of_service(ServiceMetric.UNPAIRED), '', '$__range')})"
    ),
    Query(
        name="conflicts",
        question="Clocks that contradict each other",
        text=f"sum({_grew(_of_service(ServiceMetric.CONFLICTS), '', '$__range')})",
    ),
    Query(
        name="unmatched",
        question="Announcements without a migration",
        text=f"sum({_grew(_of_service(ServiceMetric.UNMATCHED), '', '$__range')})",
    ),
    Query(name="delay", question="Last line to trace, half of the hour's", text=_service_delay(0.5)),
    Query(name="long delay", question="Last line to trace, 95 % of the hour's", text=_service_delay(0.95)),
)
"""Panels about what `otelmig serve` says of itself by way of live_metrics.yaml."""


VARIABLES: Final = {
    "host": f'label_values({_CALLS}{{span_name="{SpanName.MIGRATION}"}}, {_HOST})',
    "version": f'label_values({_CALLS}{{span_name="{SpanName.MIGRATION}"}}, {_VERSION})',
}
"""What each variable offers."""


def _selected(condition: str, *attributes: str) -> str:
    chosen = ", ".join(f"resource.{name}" if name == names.HOST_NAME else span_attribute(name) for name in attributes)
    return f"{{ {condition} }} | select({chosen})"


_BLACKOUT: Final = f'{{ name = "{SpanName.BLACKOUT}" }}'

OVERVIEW_TRACES: Final = (
    Query(
        name="blackout min",
        question="Blackout: proved lower bound",
        text=f"{_BLACKOUT} | min_over_time({span_attribute(names.VM_MIGRATION_BLACKOUT_MIN)})",
    ),
    Query(
        name="blackout",
        question="Blackout: mean of the estimates",
        text=f"{_BLACKOUT} | avg_over_time({span_attribute(names.VM_MIGRATION_BLACKOUT_DURATION)})",
    ),
    Query(
        name="blackout max",
        question="Blackout: proved upper bound",
        text=f"{_BLACKOUT} | max_over_time({span_attribute(names.VM_MIGRATION_BLACKOUT_MAX)})",
    ),
    Query(
        name="missed",
        question="Migrations that missed their target",
        text=_selected(
            f'name = "{SpanName.DOWNTIME}" && {span_attribute(names.VM_MIGRATION_DOWNTIME_TARGET_MISSED)} = true',
            names.VM_MIGRATION_DOWNTIME_DURATION,
            names.VM_MIGRATION_DOWNTIME_TARGET,
            names.HOST_NAME,
        ),
    ),
    Query(
        name="failed",
        question="Migrations that did not succeed",
        text=_selected(
            f'name = "{SpanName.MIGRATION}" && {span_attribute(names.VM_MIGRATION_RESULT)} != "{Result.SUCCESS}"',
            names.VM_MIGRATION_RESULT,
            names.ERROR_TYPE,
            names.VM_MIGRATION_GUEST_LOCATION,
            names.HOST_NAME,
        ),
    ),
    Query(
        name="blackouts",
        question="Blackouts with their bounds",
        text=_selected(
            f'name = "{SpanName.BLACKOUT}"',
            names.VM_MIGRATION_BLACKOUT_MIN,
            names.VM_MIGRATION_BLACKOUT_DURATION,
            names.VM_MIGRATION_BLACKOUT_MAX,
            names.HOST_NAME,
        ),
    ),
)
"""Panels of the overview that ask Tempo."""


def _of_trace(span: SpanName, *attributes: str) -> str:
    return _selected(f'trace:id = "$trace" && name = "{span}"', *attributes)


MIGRATION: Final = (
    Query(name="trace", question="The trace", text="$trace"),
    Query(
        name="result",
        question="What happened",
        text=_of_trace(
            SpanName.MIGRATION,
            names.VM_MIGRATION_RESULT,
            names.VM_MIGRATION_GUEST_LOCATION,
            names.VM_MIGRATION_DOWNTIME_DURATION,
            names.VM_MIGRATION_DOWNTIME_TARGET,
            names.VM_MIGRATION_BLACKOUT_MIN,
            names.VM_MIGRATION_BLACKOUT_DURATION,
            names.VM_MIGRATION_BLACKOUT_MAX,
        ),
    ),
    Query(
        name="parts",
        question="The parts of the downtime",
        text=_of_trace(
            SpanName.DOWNTIME,
            names.VM_MIGRATION_DOWNTIME_FINAL_DELTA_DURATION,
            names.VM_MIGRATION_DOWNTIME_SNAPSHOT_DURATION,
            names.VM_MIGRATION_DOWNTIME_SEND_DURATION,
            names.VM_MIGRATION_DOWNTIME_COMPLETE_DURATION,
            names.VM_MIGRATION_DOWNTIME_UNACCOUNTED_DURATION,
        ),
    ),
    Query(
        name="iterations",
        question="Memory iterations",
        text=_of_trace(
            SpanName.MEMORY_ITERATION,
            names.VM_MIGRATION_MEMORY_ITERATION_INDEX,
            names.VM_MIGRATION_MEMORY_ITERATION_SIZE,
            names.VM_MIGRATION_MEMORY_BANDWIDTH,
            names.VM_MIGRATION_MEMORY_DIRTY_RATE,
            names.VM_MIGRATION_DOWNTIME_ESTIMATED,
        ),
    ),
    Query(
        name="clocks",
        question="The clocks: destination minus source",
        text=_of_trace(
            SpanName.RECEIVE,
            names.OTELMIG_CLOCK_STATUS,
            names.OTELMIG_CLOCK_OFFSET_MIN,
            names.OTELMIG_CLOCK_OFFSET_ESTIMATE,
            names.OTELMIG_CLOCK_OFFSET_MAX,
        ),
    ),
)
"""Panels of one migration."""
