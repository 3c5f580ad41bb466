"""The commands, one module each."""

from __future__ import annotations

from typing import Final

__all__ = ["COMMANDS"]

COMMANDS: Final = {
    "trace": "turn the logs of both hosts into one trace for each migration",
    "explain": "show where the numbers come from, with the proof of the clock offset",
    "doctor": "report what logs cannot tell and which hypervisor flags would add it",
    "send": "send archives, or what the spool holds, to an OTLP receiver",
    "serve": "trace a fleet's migrations as they end, from what Collectors send",
    "watch": "trace this machine's migrations as they happen, from its own logs",
    "demo": "trace a recorded migration that ships with otelmig",
}
"""What each command does. A list of them needs none of their modules."""
