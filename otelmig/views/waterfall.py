"""A trace as a waterfall for the terminal: both sides on one time axis, and a zoom into the downtime.

The source is drawn with heavy bars, the destination with light ones, so that the two differ without colour too.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from otelmig.migration.facts import DirtyRateMethod
from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.trace import attributes as names
from otelmig.trace.attributes import Completeness
from otelmig.trace.spans import SpanName
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS, SECOND_NS
from otelmig.views.headline import closing, headline
from otelmig.views.rows import Folded, Row, downtime_rows, iteration_number, overview_rows
from otelmig.views.units import duration, number, rate, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.trace.span import Span, Trace

__all__ = ["render_waterfall"]

_STYLES: Final = {
    "strong": "bold",
    "error": "bold red",
    "plain": "",
    "dim": "dim",
    Role.SOURCE: "cyan",
    Role.DESTINATION: "magenta",
}
_BARS: Final = {Role.SOURCE: ("━", "╸"), Role.DESTINATION: ("─", "╴")}
_NARROWEST: Final = 60
"""Columns of the narrowest picture."""
_INDENT: Final = 11
"""Columns of the labels of the sentences."""
_LABEL: Final = 21
"""Columns of the label of a row."""
_VALUE: Final = 9
"""Columns of a duration."""
_SHARE: Final = 7
"""Columns of a share in per cent."""
_LONGEST: Final = "<- most of it"
_DOMINANT: Final = 40
"""Per cent of the downtime from which on its longest part is pointed out."""
_NARROWEST_ZOOM: Final = 15
"""Columns of the axis of the downtime below which the remarks beside it are left out."""
_COLUMNS: Final = (
    ("iteration", 9),
    ("duration", 9),
    ("size", 9),
    ("bandwidth", 11),
    ("dirty rate", 13),
    ("estimate", 9),
)
"""The columns of the table of memory iterations, with their widths."""


class _Axis(Struct, frozen=True, kw_only=True):
    """A time range drawn over some columns."""

    start_ns: int
    end_ns: int
    columns: int

    def column(self, ns: float) -> float:
        return (ns - self.start_ns) * self.columns / max(self.end_ns - self.start_ns, 1)

    def bar(self, start_ns: int, end_ns: int, role: Role) -> str:
        """Return the bar of a span; what is narrower than a column is still one half-bar wide."""
        full, half = _BARS[role]
        first = min(int(self.column(start_ns)), self.columns - 1)
        last = min(max(round(self.column(end_ns)), first), self.columns)
        body = full * (last - first) or half
        return (" " * first + body).ljust(self.columns)[: self.columns]

    def ticks(self) -> str:
        """Return the labels of the axis."""
        length = self.end_ns - self.start_ns
        line = [" "] * (self.columns + 1)
        end = duration(length)
        step = _step(length, max(self.columns // 10, 2))
        scales = (("s", SECOND_NS), ("ms", MILLISECOND_NS))
        unit, scale = next((unit_scale for unit_scale in scales if length >= 2 * unit_scale[1]), ("us", MICROSECOND_NS))
        place = 0
        while place <= length:
            label = f"{place / scale:g}" + (f" {unit}" if place == 0 else "")
            column = int(place * self.columns / length)
            if column + len(label) < self.columns - len(end):
                line[column : column + len(label)] = label
            place += step
        text = "".join(line)[: self.columns - len(end)]
        return text + end


def _step(length_ns: int, wanted: int) -> int:
    """Return a round distance between ticks: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if length_ns // (factor * power) <= wanted:
                return max(factor * power, 1)
        power *= 10


def render_waterfall(trace: Trace, *, width: int, color: bool) -> str:
    """Return the whole picture as text, ``width`` columns wide, at least 60; escape codes only with ``color``."""
    width = max(width, _NARROWEST)
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        legacy_windows=False,
    )
    for line in _lines(trace, width):
        line.rstrip()
        for wrapped in line.wrap(console, width) if line.cell_len > width else (line,):
            wrapped.rstrip()
            console.print(wrapped, soft_wrap=True)
    return file.getvalue()


def _lines(trace: Trace, width: int) -> Iterator[Text]:
    for text, style in headline(trace, width=width):
        yield from _sentence(text, style, width)
    yield Text()
    yield from _overview(trace, width)
    if trace.first(SpanName.DOWNTIME) is not None:
        yield Text()
        yield from _zoom(trace, width)
    if len(trace.named(SpanName.MEMORY_ITERATION)) > 0:
        yield Text()
        yield from _iterations(trace, width)
    for text, style in closing(trace):
        yield from _sentence(text, style, width)


def _sentence(text: str, style: str, width: int) -> Iterator[Text]:
    """Yield the lines of a sentence, continued in the column after the labels."""
    current = text[: len(text) - len(text.lstrip())]
    for word in text.lstrip().split(" "):
        grown = f"{current} {word}" if current.strip() else current + word
        if len(grown) > width and current.strip():
            yield Text(current, style=_STYLES[style])
            current = " " * _INDENT + word[: width - _INDENT]
        else:
            current = grown[:width]
    yield Text(current, style=_STYLES[style])


def _row(label: str, bar: str, value: str, role: Role, *, failed: bool = False, note: str = "") -> Text:
    style = _STYLES["error"] if failed else _STYLES[role]
    return Text.assemble((f"{label:<{_LABEL}.{_LABEL}}", ""), (bar, style), (f" {value:>{_VALUE}}", ""), (note, "dim"))


def _overview(trace: Trace, width: int) -> Iterator[Text]:
    """Yield every phase of both sides, on the axis of the whole migration."""
    axis = _Axis(start_ns=trace.root.start_ns, end_ns=trace.root.end_ns, columns=width - _LABEL - _VALUE - 2)
    yield Text(" " * _LABEL + axis.ticks(), style="dim")
    for row in overview_rows(trace):
        if isinstance(row, Folded):
            yield Text(f"  ...  {row.count} more, in the table below", style="dim")
            continue
        yield _drawn(row, axis)


def _zoom(trace: Trace, width: int) -> Iterator[Text]:
    """Yield the downtime (and a rollback) on an axis of its own, with each part's share."""
    downtime = trace.first(SpanName.DOWNTIME)
    if downtime is None:
        return
    rollback = trace.first(SpanName.ROLLBACK)
    end_ns = downtime.end_ns if rollback is None else rollback.end_ns
    columns = width - _LABEL - _VALUE - 2 - _SHARE
    remarks = columns - len(_LONGEST) - 1 >= _NARROWEST_ZOOM
    if remarks:
        columns -= len(_LONGEST) + 1
    axis = _Axis(start_ns=downtime.start_ns, end_ns=end_ns, columns=columns)
    title = f"{SpanName.DOWNTIME}, {duration(downtime.duration_ns)}"
    yield Text.assemble((f"{title:<{_LABEL}.{_LABEL}}", "bold"), (axis.ticks(), "dim"))
    parts = list(trace.children(downtime))
    longest = max(parts, key=lambda part: part.duration_ns)
    for row in downtime_rows(trace, parts):
        note = ""
        if row.depth == 0:
            percent = 100 * row.span.duration_ns / downtime.duration_ns
            pointed_out = remarks and row.span is longest and percent >= _DOMINANT
            note = f" {percent:3.0f} %" + (f" {_LONGEST}" if pointed_out else "")
        yield _drawn(replace(row, depth=row.depth + 1), axis, note=note)
    if rollback is not None:
        yield _drawn(Row(label=rollback.name, span=rollback, depth=1), axis)
    if (blackout := trace.first(SpanName.BLACKOUT)) is not None:
        yield _blackout_row(blackout, axis, note=" vCPUs still" if remarks else "")


def _drawn(row: Row, axis: _Axis, *, note: str = "") -> Text:
    """Return a row with the bar of its span, as far as that lies on the axis."""
    span = row.span
    bar = axis.bar(max(span.start_ns, axis.start_ns), min(span.end_ns, axis.end_ns), span.role)
    label = f"{'  ' * row.depth}{row.label}"
    return _row(label, bar, duration(span.duration_ns), span.role, failed=span.error is not None, note=note)


def _blackout_row(span: Span, axis: _Axis, *, note: str) -> Text:
    """Return the blackout with error bars: sure in the middle, possible at the ends."""
    least = number(span.attributes.get(names.VM_MIGRATION_BLACKOUT_MIN)) * SECOND_NS
    most = number(span.attributes.get(names.VM_MIGRATION_BLACKOUT_MAX)) * SECOND_NS
    middle = (span.start_ns + span.end_ns) / 2
    cells = []
    for column in range(axis.columns):
        at = axis.start_ns + (column + 0.5) * (axis.end_ns - axis.start_ns) / axis.columns
        distance = abs(at - middle) * 2
        cells.append("█" if distance <= least else "░" if distance <= most else " ")
    return _row(f"  {span.name}", "".join(cells), duration(span.duration_ns), span.role, note=note)


def _iterations(trace: Trace, width: int) -> Iterator[Text]:
    """Yield every memory iteration with its figures."""
    yield Text("".join(f"{name:>{space}}" for name, space in _COLUMNS)[:width], style="dim")
    for span in trace.named(SpanName.MEMORY_ITERATION):
        attributes = span.attributes
        dirty = rate(attributes.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE))
        if attributes.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD) == DirtyRateMethod.NEXT_ITERATION_SIZE:
            dirty = f"<={dirty}"
        estimate = number(attributes.get(names.VM_MIGRATION_DOWNTIME_ESTIMATED)) * SECOND_NS
        cells = (
            iteration_number(span),
            duration(span.duration_ns),
            size(attributes.get(names.VM_MIGRATION_MEMORY_ITERATION_SIZE)),
            rate(attributes.get(names.VM_MIGRATION_MEMORY_BANDWIDTH)),
            dirty,
            duration(estimate) if estimate else "-",
        )
        row = "".join(f"{cell:>{space}}" for cell, (_, space) in zip(cells, _COLUMNS, strict=True))
        unfinished = attributes.get(names.OTELMIG_EVIDENCE_COMPLETENESS) == Completeness.PARTIAL
        yield Text((row + ("  not finished" if unfinished else ""))[:width])
