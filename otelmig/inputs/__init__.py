"""Bytes in, lines out: files, compressed or not, their rotations, and what carried them, become :class:`Line` objects.

``opening`` (paths) -> ``files`` (bytes, ``unpacking`` what is packed or in an archive) -> ``rotation`` (which
files are one log) -> ``log`` (``framing`` taken off).
"""

from __future__ import annotations

from otelmig.inputs.files import STDIN, InputFile, open_input
from otelmig.inputs.line import Head, Host, Line, Stream, common_stem
from otelmig.inputs.line_filter import LineFilter
from otelmig.inputs.log import InputLog
from otelmig.inputs.rotation import rotations

__all__ = [
    "STDIN",
    "Head",
    "Host",
    "InputFile",
    "InputLog",
    "Line",
    "LineFilter",
    "Stream",
    "common_stem",
    "open_input",
    "rotations",
]
