"""What a live service tells the receiver of its traces besides: records of what is under way, and metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from otelmig.cli.console import say
from otelmig.live.sides import phase_of
from otelmig.migration.side import Role, SideState
from otelmig.otlp.telemetry.log_records import LogRecords
from otelmig.otlp.telemetry.names import ServiceMetric, ServiceRecord
from otelmig.trace import attributes as names
from otelmig.version import __version__
from otelmig.views.units import plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.live.drawing import Finished
    from otelmig.live.past import LateFate
    from otelmig.live.receiving.service import Service
    from otelmig.migration.side import Side
    from otelmig.otlp.receiver.settings import Settings
    from otelmig.trace.span import AttributeValue

__all__ = ["LiveTelemetry"]

_RESOURCE = {names.SERVICE_NAME: "otelmig", names.SERVICE_VERSION: __version__}


class LiveTelemetry:
    """Log records and metrics of one service; each only where somebody takes them."""

    def __init__(
        self,
        *,
        records: Settings | None,
        metrics: Settings | None,
        progress_s: float | None,
        heartbeat_s: float | None,
    ) -> None:
        """Prepare; ``records`` and ``metrics``: where they go, or None for nowhere."""
        self._records = None if records is None else LogRecords(records, _RESOURCE)
        self._progress_s, self._heartbeat_s = progress_s, heartbeat_s
        self._told_s: dict[str, float] = {}
        self._said_s = time.monotonic()
        self._observed: dict[ServiceMetric, int] = {}
        self._metrics = None
        if metrics is not None:
            from otelmig.otlp.telemetry.metrics import Metrics

            self._metrics = Metrics(metrics, _RESOURCE, lambda: self._observed)

    def start(self) -> None:
        """Begin to send."""
        if self._records is not None:
            self._records.start()

    def stop(self, timeout_s: float) -> None:
        """Send what there is, within a time."""
        if self._records is not None:
            self._records.stop(timeout_s)
        if self._metrics is not None:
            self._metrics.stop(timeout_s)

    def on_traced(self, finished: Finished) -> None:
        """Measure how long it took until a trace was safe."""
        if self._metrics is not None:
            trace = finished.trace
            self._metrics.traced(time.monotonic() - finished.last_word_s, trace.trace_id, trace.root.span_id)

    def on_fate(self, fate: LateFate) -> None:
        """Tell what became of a guest after its migration."""
        text = f"the guest was {fate.fate} after its migration ({fate.evidence})"
        say(f"trace {fate.trace_id}: {text}")
        if self._records is not None:
            attributes = {names.VM_MIGRATION_GUEST_FATE: fate.fate, names.OTELMIG_EVIDENCE_FATE: fate.evidence}
            self._records.put(
                ServiceRecord.FATE,
                attributes,
                text,
                at_ns=time.time_ns(),
                is_warning=True,
                trace_id=fate.trace_id,
                span_id=fate.span_id,
            )

    def on_tick(self, service: Service) -> None:
        """Observe the service, tell of what is under way, say the heartbeat: each at its time."""
        now_s = time.monotonic()
        waiting = service.work.assembly.waiting.reasons(now_s)
        tally, announcements = service.work.assembly.tally, service.work.assembly.announcements
        self._observed = {
            ServiceMetric.ACTIVE: sum(
                side.role is Role.SOURCE and side.state is not SideState.OVER for side, _, _ in waiting
            ),
            ServiceMetric.WAITING: sum(side.state is SideState.OVER for side, _, _ in waiting),
            ServiceMetric.UNPAIRED: tally.alone,
            ServiceMetric.LOST: service.work.assembly.files.lost,
            ServiceMetric.CONFLICTS: tally.conflicts,
            ServiceMetric.UNSAFE: service.work.outlet.backlog,
            ServiceMetric.ANNOUNCED: len(announcements),
            ServiceMetric.UNMATCHED: announcements.unmatched,
            ServiceMetric.LATE: announcements.late,
            ServiceMetric.EVICTED: announcements.evicted,
        }
        if self._heartbeat_s is not None and now_s - self._said_s >= self._heartbeat_s:
            self._said_s = now_s
            given_up = 0 if self._records is None else self._records.given_up
            say(service.status.heartbeat(now_s) + (f", {plural(given_up, 'log record')} given up" if given_up else ""))
        if self._progress_s is None or self._records is None:
            return
        told, self._told_s = self._told_s, {}
        for side, age_s, _ in waiting:
            if side.role is not Role.SOURCE or side.state is SideState.OVER:
                continue
            last_s = told.get(side.vmm.key, 0.0)
            self._told_s[side.vmm.key] = last_s
            if now_s - last_s >= self._progress_s and age_s >= self._progress_s:
                self._told_s[side.vmm.key] = now_s
                now = service.work.assembly.logs.again(side)
                text = f"{phase_of(now)} for {age_s:.0f} s ({now.name})"
                self._records.put(ServiceRecord.PROGRESS, _progress(now), text, at_ns=time.time_ns())


def _progress(side: Side) -> Mapping[str, AttributeValue]:
    """Return how far a source has come."""
    attributes: dict[str, AttributeValue] = {names.VM_MIGRATION_PHASE: phase_of(side)}
    if side.vm is not None and side.vm.id is not None:
        attributes[names.VM_ID] = side.vm.id
    iterations = side.sent.memory.iterations
    attributes[names.VM_MIGRATION_MEMORY_ITERATION_COUNT] = len(iterations)
    host = None if side.vmm.host is None else side.vmm.host.name
    if host is not None:
        attributes[names.VM_MIGRATION_SOURCE_HOST_NAME] = host
    return attributes
