"""Short logs of both sides of one v53.0 migration, to which a test adds what happens besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trace_invariants import check_traces, traced

from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from otelmig.trace.span import Trace

__all__ = ["DESTINATION", "SOURCE", "event", "line", "one_trace", "told", "written"]

_Stamped: TypeAlias = tuple[float, str]


def line(at_s: float, message: str, *, thread: str = "vmm", level: str = "INFO") -> _Stamped:
    """One line of a log at ``at_s`` of its process's clock."""
    return at_s, f"cloud-hypervisor: {at_s:>10.6f}s: <{thread}> {level}:vmm/src/lib.rs:1 -- {message}\r\n"


def event(at_s: float, name: str, *, thread: str = "vmm", source: str = "vm") -> _Stamped:
    """The log's line of an event."""
    return line(at_s, f"Event: source = {source} event = {name} ", thread=thread)


_WORKER: Final = "migration-worker"
SOURCE: Final = (
    line(0.006, "v53.0 starting", thread="main"),
    line(
        5.5,
        'API request event: VmSendMigration VmSendMigrationData { destination_url: "tcp:192.0.2.20:4444", local: '
        "false, downtime_ms: 300, timeout_s: 3600, timeout_strategy: Cancel, connections: 1, tls_dir: None, "
        "memory_mode: Precopy }",
    ),
    line(
        5.501,
        "Sending migration: destination_url=tcp:192.0.2.20:4444,local=false,tls=false,downtime=300ms,timeout=3600s,"
        "timeout_strategy=Cancel",
    ),
    event(5.502, "migration-started", thread=_WORKER),
    line(5.503, "Connecting to TCP socket at 192.0.2.20:4444", thread=_WORKER),
    line(5.51, "Generating guest CPUID with physical address size: 46", thread=_WORKER),
    event(8.1, "migration-memory-iteration id = 0", thread=_WORKER),
    event(8.11, "pausing", thread=_WORKER),
    event(8.12, "paused", thread=_WORKER),
    event(8.15, "snapshotting", thread=_WORKER),
    event(8.16, "snapshotted", thread=_WORKER),
    line(8.26, "Migration completed after 2.7s with a downtime of 150ms (goal was 300ms)", thread=_WORKER),
    event(8.27, "migration-finished", thread=_WORKER),
    line(8.28, "VM check migration event"),
)
"""A source that hands its guest over."""
DESTINATION: Final = (
    line(0.009, "v53.0 starting", thread="main"),
    line(
        1.0,
        'API request event: VmReceiveMigration VmReceiveMigrationData { receiver_url: "tcp:0.0.0.0:4444", tls_dir: '
        "None, memory_mode: Precopy }",
    ),
    line(1.001, "Receiving migration: receiver_url=tcp:0.0.0.0:4444,tls=false"),
    event(1.01, "migration-receive-ready"),
    event(1.905, "migration-receive-started"),
    line(1.95, "No CPU incompatibility detected."),
    line(4.57, "Booting VM from config: Mutex { data: VmConfig { cpus: CpusConfig { boot_vcpus: 1, max_vcpus: 1 } } }"),
    event(4.6, "restoring"),
    event(4.63, "restored"),
    event(4.64, "resuming"),
    event(4.65, "resumed"),
    event(4.655, "migration-receive-finished"),
)
"""A destination that resumes the guest at 4.65 s."""


def told(base: Iterable[_Stamped], *more: _Stamped, until: float = 1e9) -> str:
    """The lines of ``base`` before ``until``, and ``more``, in order of time."""
    kept = [each for each in base if each[0] < until]
    return "".join(text for _, text in sorted([*kept, *more], key=lambda each: each[0]))


def written(folder: Path, **logs: str) -> list[Path]:
    """Write each log as ``NAME.log``."""
    paths = []
    for name, text in logs.items():
        path = folder / f"{name}.log"
        path.write_bytes(text.encode())
        paths.append(path)
    return paths


def one_trace(folder: Path, **logs: str) -> tuple[Trace, dict[str, Any], str]:
    """The one trace of these logs, its summary, and its waterfall."""
    (trace,) = traced(written(folder, **logs))
    check_traces([trace])
    return trace, summary(trace), render_waterfall(trace, width=300, color=False)
