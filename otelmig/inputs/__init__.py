"""Bytes in, lines out: files, compressed or not, their rotations, and what carried them, become :class:`Line` objects.

``files`` (bytes, ``compression``) -> ``rotation`` (which files are one log) -> ``log`` (``transports`` and the
``journal``'s own formats taken off).
"""

from __future__ import annotations

from otelmig.inputs.files import STDIN, InputFile, open_input
from otelmig.inputs.line import Host, Line
from otelmig.inputs.line_filter import LineFilter
from otelmig.inputs.log import InputLog
from otelmig.inputs.rotation import rotations

__all__ = ["STDIN", "Host", "InputFile", "InputLog", "Line", "LineFilter", "open_input", "rotations"]
