"""Error texts -> ``error.type``, one table.

Texts come from ``Migration failed: ...``: until v52.0 the Debug form (``MigrateSend(Error connecting ...)``),
from v53.0 the error chain joined by ``": "``; the same words stand in both, so one pattern serves both.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["command_error_type", "error_type"]

_TEXTS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"Timeout reached: ", "convergence_timeout"),
        (r"[Tt]imed out waiting for postcopy|[Pp]ostcopy|PageFault", "postcopy_failed"),
        (r"\bTLS\b|[Hh]andshake|[Cc]ertificate", "tls_error"),
        (r"Error connecting to (?:TCP|UNIX) socket", "connection_failed"),
        (r"Error during config migration", "config_rejected"),
        (r"Error during state migration", "restore_failed"),
        (r"Error completing migration", "complete_failed"),
        (r"Error during (?:dirty )?memory migration|Error during memory fd migration", "receive_failed"),
        (r"[Dd]irty.?[Ll]og|(?:Start|Stop)DirtyLog", "dirty_log_failed"),
        (r"\bPause\(|[Ff]ailed to pause|[Cc]annot pause", "pause_failed"),
        (r"\bResume\(|[Ff]ailed to resume|[Cc]annot resume", "resume_failed"),
        (r"\bSnapshot\(|[Ff]ailed to snapshot|[Cc]annot snapshot", "snapshot_failed"),
        (r"\bRestore\(|[Ff]ailed to restore", "restore_failed"),
        (
            (
                r"Socket error|MigrateSocket|transferring memory|failed to fill whole buffer|"
                r"Connection reset|Broken pipe|\(os error \d{1,5}\)"
            ),
            "socket_error",
        ),
        (r"MigrateSend|Failed to send migratable component", "send_failed"),
        (r"MigrateReceive|Failed to receive migratable component", "receive_failed"),
    )
)
"""First match wins: what went wrong comes before how it was noticed."""

_COMMANDS: Final = {
    "Config": "config_rejected",
    "State": "restore_failed",
    "Complete": "resume_failed",
    "CompletePaused": "complete_failed",
}


def error_type(text: str) -> str:
    """The ``error.type`` of an error text; ``_OTHER`` where no row knows it."""
    return next((kind for pattern, kind in _TEXTS if pattern.search(text)), "_OTHER")


def command_error_type(command: str) -> str:
    """The ``error.type`` of a command that the destination refused."""
    return _COMMANDS.get(command, "receive_failed")
