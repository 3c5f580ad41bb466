"""Bytes in, lines out: every input becomes :class:`~otelmig.inputs.files.Line` objects with their place."""

from __future__ import annotations

from otelmig.inputs.files import InputFile, Line, open_input

__all__ = ["InputFile", "Line", "open_input"]
