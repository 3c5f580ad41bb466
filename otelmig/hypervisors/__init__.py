"""One package per hypervisor, and the registry of them."""

from __future__ import annotations

from otelmig.hypervisors.hypervisor import EndedProcess, Hypervisor, Reader, ReadingReport

__all__ = ["EndedProcess", "Hypervisor", "Reader", "ReadingReport", "hypervisors"]


def hypervisors() -> tuple[Hypervisor, ...]:
    """Return all hypervisors that otelmig reads, in the order in which they are asked about a stream."""
    from otelmig.hypervisors.cloud_hypervisor import CloudHypervisor  # noqa: PLC0415 - its tables load on use

    return (CloudHypervisor(),)
