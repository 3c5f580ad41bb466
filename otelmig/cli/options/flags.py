"""The option for each parameter that messages of the library name: the one table."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["FLAGS", "with_flags"]

FLAGS: Final = {
    "pairs": "--pair",
    "anchors": "--anchor",
    "LogOptions.log_formats": "--log-format",
    "LogOptions.year": "--log-year",
    "LogOptions.zone": "--log-zone",
    "ClockOptions.mode": "--clock",
    "ClockOptions.drift_ppb": "--max-drift",
    "ClockOptions.measured": "--probes",
    "TraceOptions.hosts": "--host",
    "TraceOptions.migration_id": "--migration-id",
    "TraceOptions.parent": "--trace-parent",
    "TraceOptions.addresses": "--no-addresses",
    "Settings.url": "--otlp",
    "Settings.protocol": "--protocol",
    "Settings.timeout_s": "--timeout",
    "Settings.headers": "--header",
    "Settings.certificate": "--certificate",
    "Settings.client_certificate": "--client-certificate",
    "Settings.client_key": "--client-key",
    "HttpIntake.address": "--listen",
    "GrpcIntake.address": "--grpc",
    "Delivery.directory": "--spool DIR or --no-spool",
    "Delivery.resend": "--resend",
}
"""By parameter: of :func:`otelmig.trace_migrations`, or ``Class.field``."""


def with_flags(text: str) -> str:
    """Return ``text`` with the option of the command line in place of each parameter that stands in backticks."""
    return _named().sub(lambda match: FLAGS[match[1]], text) if "`" in text else text


@cache
def _named() -> re.Pattern[str]:
    return re.compile(rf"(?<!`)`({'|'.join(map(re.escape, FLAGS))})`(?!`)")
