"""Error texts -> ``error.type``, one table.

Texts come from ``Migration failed: ...``: until v52.0 the Debug form (``MigrateSend(Error connecting ...)``),
from v53.0 the error chain joined by ``": "``; the same words stand in both, so one pattern serves both.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from otelmig.migration.facts import ErrorType

__all__ = ["command_error_type", "error_type", "is_peer_gone"]

_TEXTS: Final = (
    (r"Timeout reached: ", ErrorType.CONVERGENCE_TIMEOUT),
    (r"[Tt]imed out waiting for postcopy|[Pp]ostcopy|PageFault", ErrorType.POSTCOPY_FAILED),
    (r"without sending TLS close_notify", ErrorType.SOCKET_ERROR),
    (r"\bTLS\b|[Hh]andshake|[Cc]ertificate", ErrorType.TLS_ERROR),
    (
        (
            r"Error connecting to (?:TCP|UNIX) socket|[Ee]rror binding|"
            r"Address (?:already )?in use|Address not available|Cannot assign requested address"
        ),
        ErrorType.CONNECTION_FAILED,
    ),
    (r"Error during config migration", ErrorType.CONFIG_REJECTED),
    (r"Error during state migration", ErrorType.RESTORE_FAILED),
    (r"Error completing migration", ErrorType.COMPLETE_FAILED),
    (r"Error during (?:dirty )?memory migration|Error during memory fd migration", ErrorType.RECEIVE_FAILED),
    (r"[Dd]irty.?[Ll]og|(?:Start|Stop)DirtyLog", ErrorType.DIRTY_LOG_FAILED),
    (r"\bPause\(|[Ff]ailed to pause|[Cc]annot pause", ErrorType.PAUSE_FAILED),
    (r"\bResume\(|[Ff]ailed to resume|[Cc]annot resume", ErrorType.RESUME_FAILED),
    (r"\bSnapshot\(|[Ff]ailed to snapshot|[Cc]annot snapshot", ErrorType.SNAPSHOT_FAILED),
    (r"\bRestore\(|[Ff]ailed to restore", ErrorType.RESTORE_FAILED),
    (
        (
            r"Socket error|MigrateSocket|transferring memory|failed to fill whole buffer|"
            r"Connection reset|Broken pipe|\(os error \d{1,5}\)"
        ),
        ErrorType.SOCKET_ERROR,
    ),
    (r"MigrateSend|Failed to send migratable component", ErrorType.SEND_FAILED),
    (r"MigrateReceive|Failed to receive migratable component", ErrorType.RECEIVE_FAILED),
)
"""First match wins: what went wrong comes before how it was noticed."""

_PEER_GONE: Final = re.compile(
    r"failed to fill whole buffer|without sending TLS close_notify|unexpected end of file|"
    r"Connection reset|connection reset|Broken pipe|broken pipe|[Cc]onnection aborted"
)
"""What reading and writing say once the other side has gone."""
_COMMANDS: Final = {
    "Config": ErrorType.CONFIG_REJECTED,
    "State": ErrorType.RESTORE_FAILED,
    "Complete": ErrorType.RESUME_FAILED,
    "CompletePaused": ErrorType.COMPLETE_FAILED,
}


def error_type(text: str) -> str:
    """Return the ``error.type`` of an error text; ``_OTHER`` where no row knows it."""
    return next((kind for pattern, kind in _compiled_texts() if pattern.search(text)), ErrorType.OTHER)


@cache
def _compiled_texts() -> tuple[tuple[re.Pattern[str], ErrorType], ...]:
    return tuple((re.compile(pattern), kind) for pattern, kind in _TEXTS)


def command_error_type(command: str) -> str:
    """Return the ``error.type`` of a command that the destination refused."""
    return _COMMANDS.get(command, ErrorType.RECEIVE_FAILED)


def is_peer_gone(text: str) -> bool:
    """Return whether an error text says no more than that the other side closed the connection, or died."""
    return _PEER_GONE.search(text) is not None
