"""For programs that start migrations: whose request it was.

No hypervisor carries a trace context from the program that asks for a migration to the logs from which its trace is
made. :func:`migration` *announces* the migration beside the call: a span of the caller's, and two log records inside
it, from which a service that reads the hypervisors' logs learns under which span the migration belongs.

>>> from otelmig import instrument
>>> with instrument.migration(destination_url="tcp:192.0.2.20:4444", vm_id="8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10"):
...     pass  # ask the hypervisor here

It imports OpenTelemetry's API and nothing else. Without an SDK it does nothing. No error of its own reaches the caller,
nothing in it waits, and it starts no thread.
"""

from __future__ import annotations

from otelmig.announcement import ClientResult
from otelmig.instrument.migration import Migration, migration

__all__ = ["ClientResult", "Migration", "migration"]
