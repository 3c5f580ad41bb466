"""A trace as a waterfall for the terminal: both sides on one time axis, and a zoom into the downtime.

The source is drawn with heavy bars, the destination with light ones, so that the two differ without colour too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from otelmig.migration.side import Role
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName
from otelmig.views.headline import closing, headline
from otelmig.views.units import duration, number, rate, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
_SOURCE_PHASES: Final = (
    SpanName.SETUP,
    SpanName.PRECOPY,
    SpanName.DOWNTIME,
    SpanName.POSTCOPY,
    SpanName.CLEANUP,
    SpanName.ROLLBACK,
    SpanName.UNACCOUNTED,
)
_MOST_ITERATIONS: Final = 8
"""More memory iterations than this are folded in the overview; the table lists them all."""
_LABEL: Final = 21
_VALUE: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """A time range drawn over some columns."""

    start_ns: int
    end_ns: int
    columns: int

    def column(self, ns: float) -> float:
        return (ns - self.start_ns) * self.columns / max(self.end_ns - self.start_ns, 1)

    def bar(self, start_ns: int, end_ns: int, role: Role) -> str:
        """The bar of a span; what is narrower than a column is still one half-bar wide."""
        full, half = _BARS[role]
        first = min(int(self.column(start_ns)), self.columns - 1)
        last = min(max(round(self.column(end_ns)), first), self.columns)
        body = full * (last - first) or half
        return (" " * first + body).ljust(self.columns)[: self.columns]

    def ticks(self) -> str:
        """The axis with its labels."""
        length = self.end_ns - self.start_ns
        line = [" "] * (self.columns + 1)
        end = duration(length)
        step = _step(length, max(self.columns // 10, 2))
        unit, scale = ("s", 10**9) if length >= 2 * 10**9 else ("ms", 10**6) if length >= 2 * 10**6 else ("us", 10**3)
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
    """A round distance between ticks: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if length_ns // (factor * power) <= wanted:
                return max(factor * power, 1)
        power *= 10


def render_waterfall(trace: Trace, *, width: int, color: bool) -> str:
    """The whole picture as text, no line longer than ``width`` columns; escape codes only with ``color``."""
    width = max(width, 60)
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
    for text, style in headline(trace):
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
    """A line of prose, continued under its first word."""
    indent = len(text) - len(text[11:].lstrip()) if text[:11].rstrip() != text[:11] else 2
    current = text[: len(text) - len(text.lstrip())]
    for word in text.lstrip().split(" "):
        grown = f"{current} {word}" if current.strip() else current + word
        if len(grown) > width and current.strip():
            yield Text(current, style=_STYLES[style])
            current = " " * indent + word[: width - indent]
        else:
            current = grown[:width]
    yield Text(current, style=_STYLES[style])


def _row(label: str, bar: str, value: str, role: Role, *, failed: bool = False, note: str = "") -> Text:
    style = _STYLES["error"] if failed else _STYLES[role]
    return Text.assemble((f"{label:<{_LABEL}.{_LABEL}}", ""), (bar, style), (f" {value:>{_VALUE}}", ""), (note, "dim"))


def _overview(trace: Trace, width: int) -> Iterator[Text]:
    """Every phase of both sides on the axis of the whole migration."""
    axis = _Axis(start_ns=trace.root.start_ns, end_ns=trace.root.end_ns, columns=width - _LABEL - _VALUE - 2)
    yield Text(" " * _LABEL + axis.ticks(), style="dim")
    for label, span in _overview_rows(trace):
        if isinstance(span, str):
            yield Text(f"{label}{span}", style="dim")
            continue
        bar = axis.bar(span.start_ns, span.end_ns, span.role)
        yield _row(label, bar, duration(span.duration_ns), span.role, failed=span.error is not None)


def _overview_rows(trace: Trace) -> Iterator[tuple[str, Span | str]]:
    children = {span.name: span for span in trace.children(trace.root)}
    for name in _SOURCE_PHASES:
        span = children.get(name)
        if span is None:
            continue
        yield name, span
        passes = [child for child in trace.children(span) if child.name == SpanName.MEMORY_ITERATION]
        shown = passes if len(passes) <= _MOST_ITERATIONS else passes[: _MOST_ITERATIONS - 1]
        yield from ((f"  #{child.attributes['vm.migration.memory.iteration.index']}", child) for child in shown)
        if len(shown) < len(passes):
            yield "  ...", f"  {len(passes) - len(shown)} more, in the table below"
    if (blackout := children.get(SpanName.BLACKOUT)) is not None:
        yield SpanName.BLACKOUT, blackout
    if (receive := children.get(SpanName.RECEIVE)) is not None:
        yield "receive  (dest.)", receive
        for child in trace.children(receive):
            if child.name in (SpanName.RESTORE, SpanName.RESUME, SpanName.PREFAULT):
                yield f"  {child.name}  (dest.)", child


def _zoom(trace: Trace, width: int) -> Iterator[Text]:
    """The downtime (and a rollback) on an axis of its own, with each part's share."""
    span = trace.first(SpanName.DOWNTIME)
    if span is None:
        return
    rollback = trace.first(SpanName.ROLLBACK)
    end = span.end_ns if rollback is None else rollback.end_ns
    share = 7
    mark = "<- most of it"
    room = width - _LABEL - _VALUE - 2 - share - len(mark) - 1
    axis = _Axis(start_ns=span.start_ns, end_ns=end, columns=max(room, 15))
    title = f"downtime, {duration(span.duration_ns)}"
    yield Text.assemble((f"{title:<{_LABEL}.{_LABEL}}", "bold"), (axis.ticks(), "dim"))
    parts = list(trace.children(span))
    longest = max(parts, key=lambda part: part.duration_ns)
    answers = _answers(trace, parts)
    for part in parts:
        percent = 100 * part.duration_ns / span.duration_ns
        note = f" {percent:3.0f} %" + (f" {mark}" if part is longest and percent >= 40 else "")  # noqa: PLR2004 - dominant
        bar = axis.bar(part.start_ns, part.end_ns, part.role)
        yield _row(
            f"  {part.name}", bar, duration(part.duration_ns), part.role, failed=part.error is not None, note=note
        )
        for depth, answer in answers.get(part.span_id, ()):
            label = f"  {'  ' * depth}{answer.name}"
            bar = axis.bar(max(answer.start_ns, span.start_ns), min(answer.end_ns, end), answer.role)
            yield _row(label, bar, duration(answer.duration_ns), answer.role, failed=answer.error is not None)
    if rollback is not None:
        yield _row(
            "  rollback",
            axis.bar(rollback.start_ns, rollback.end_ns, rollback.role),
            duration(rollback.duration_ns),
            rollback.role,
        )
    if (blackout := trace.first(SpanName.BLACKOUT)) is not None:
        yield _blackout_row(blackout, axis)


def _answers(trace: Trace, parts: Sequence[Span]) -> dict[str, list[tuple[int, Span]]]:
    """What the destination did during a part, under that part: by link, else by time."""
    found: dict[str, list[tuple[int, Span]]] = {}
    for name in (SpanName.RESTORE, SpanName.RESUME):
        answer = trace.first(name)
        if answer is None:
            continue
        linked = {link.span_id for link in answer.links}
        under = next((part for part in parts if part.span_id in linked), None)
        under = under or next((part for part in parts if part.end_ns >= answer.start_ns), parts[-1])
        rows = found.setdefault(under.span_id, [])
        rows.append((1, answer))
        rows += [(2, child) for child in trace.children(answer)]
    return found


def _blackout_row(span: Span, axis: _Axis) -> Text:
    """The blackout with error bars: sure in the middle, possible at the ends."""
    least = number(span.attributes.get(names.VM_MIGRATION_BLACKOUT_MIN)) * 1e9
    most = number(span.attributes.get(names.VM_MIGRATION_BLACKOUT_MAX)) * 1e9
    middle = (span.start_ns + span.end_ns) / 2
    cells = []
    for column in range(axis.columns):
        at = axis.start_ns + (column + 0.5) * (axis.end_ns - axis.start_ns) / axis.columns
        distance = abs(at - middle) * 2
        cells.append("█" if distance <= least else "░" if distance <= most else " ")
    return _row("  blackout", "".join(cells), duration(span.duration_ns), span.role, note=" vCPUs still")


def _iterations(trace: Trace, width: int) -> Iterator[Text]:
    """Every memory pass with its figures."""
    columns = (("pass", 5), ("duration", 10), ("size", 10), ("bandwidth", 12), ("dirty rate", 13), ("estimate", 10))
    yield Text("".join(f"{name:>{space}}" for name, space in columns)[:width], style="dim")
    for span in trace.named(SpanName.MEMORY_ITERATION):
        found = span.attributes
        dirty = rate(found.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE))
        if found.get(names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD) == "next_iteration_size":
            dirty = f"<={dirty}"
        estimate = number(found.get(names.VM_MIGRATION_DOWNTIME_ESTIMATED)) * 1e9
        cells = (
            f"#{found['vm.migration.memory.iteration.index']}",
            duration(span.duration_ns),
            size(found.get(names.VM_MIGRATION_MEMORY_ITERATION_SIZE)),
            rate(found.get(names.VM_MIGRATION_MEMORY_BANDWIDTH)),
            dirty,
            duration(estimate) if estimate else "-",
        )
        row = "".join(f"{cell:>{space}}" for cell, (_, space) in zip(cells, columns, strict=True))
        unfinished = found.get(names.OTELMIG_EVIDENCE_COMPLETENESS) == "partial"
        yield Text((row + ("  not finished" if unfinished else ""))[:width])
