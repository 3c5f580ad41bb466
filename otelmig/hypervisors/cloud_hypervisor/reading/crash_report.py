"""The report of the handler of SIGSYS, as a death of the process whose last words it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.inputs.line import Where
    from otelmig.migration.observation import Observation, Value

__all__ = ["killed_after", "killed_values"]


def killed_after(last: Observation, where: Where, detail: str) -> Observation:
    """Return the death of a process: no time is printed, so it happened at its last line or after."""
    return last._replace(
        kind=Kind.PROCESS_KILLED,
        where=where,
        text="",
        values=killed_values(detail),
        since=None,
    )


def killed_values(detail: str) -> Mapping[str, Value]:
    """Return what killed a process, if the report's second line is ``detail``."""
    return {"by": "seccomp", "detail": detail if detail.startswith("Syscall number") else ""}
