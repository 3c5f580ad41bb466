"""The two log records of a migration: the only module that touches the API's door to log records.

That door is called ``_logs``, with an underscore, because its form may still change.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber, get_logger

from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

    from otelmig.announcement import RecordName

__all__ = ["LoggerProvider", "emit"]


def emit(
    name: RecordName,
    attributes: Mapping[str, str | int],
    *,
    scope: str,
    context: Context,
    provider: LoggerProvider | None,
) -> None:
    """Emit a log record with the ids of the span in ``context``; where no SDK is, nothing happens."""
    now_ns = time_ns()
    record = LogRecord(
        timestamp=now_ns,
        observed_timestamp=now_ns,
        context=context,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        attributes=attributes,
        event_name=str(name),
    )
    get_logger(scope, __version__, provider).emit(record)
