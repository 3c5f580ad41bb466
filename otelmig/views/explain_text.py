"""The explanation of a migration's numbers: text for a person, and an item of ``otelmig.explain/1``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from otelmig.clock.proof import ClockStatus
from otelmig.trace import attributes as names
from otelmig.trace.spans import SpanName
from otelmig.units import MILLISECOND_NS, PPB, SECOND_NS
from otelmig.views.clock_text import drift_text
from otelmig.views.headline import headline
from otelmig.views.summary import summary
from otelmig.views.units import duration, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.migration.constraint import Constraint
    from otelmig.pairing.explanation import BindingConstraint, Explanation, Offset
    from otelmig.trace.span import Span, Trace

__all__ = ["explanation_document", "render_explanation"]

_NARROWEST: Final = 60
"""Columns of the narrowest text."""
_INDENT: Final = 11
"""Columns of the labels."""
_MOST: Final = 30
"""At most this many rows of a table are shown."""
_STATE_TRANSFER: Final = (
    names.VM_MIGRATION_STATE_TRANSFER_DURATION,
    names.VM_MIGRATION_STATE_TRANSFER_MIN,
    names.VM_MIGRATION_STATE_TRANSFER_MAX,
)


def render_explanation(trace: Trace, explanation: Explanation | None, *, width: int) -> str:
    """Return the whole explanation as text, ``width`` columns wide, at least 60."""
    width = max(width, _NARROWEST)
    lines: list[str] = []
    for text, _ in headline(trace, width=width):
        lines += _wrapped(text, width)
    reasons = trace.root.attributes.get(names.OTELMIG_PAIRING_REASONS)
    if isinstance(reasons, tuple) and reasons:
        what = "paired" if len(trace.resources) > 1 else "alone"
        lines += _wrapped(f"{what:<{_INDENT}}{'; '.join(reasons)}", width)
    for text in _standstill(trace):
        lines += _wrapped(text, width)
    if explanation is not None:
        lines += _proof(trace, explanation, width)
    return "\n".join(lines) + "\n"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=" " * _INDENT, break_long_words=False, break_on_hyphens=False)


def _standstill(trace: Trace) -> Iterator[str]:
    """Yield what the downtime was spent on, and how long the state was on its way."""
    stopped = trace.first(SpanName.DOWNTIME)
    if stopped is not None:
        parts = sorted(trace.children(stopped), key=lambda part: -part.duration_ns)
        yield f"{SpanName.DOWNTIME:<{_INDENT}}{', '.join(_share(part, stopped) for part in parts[:4])}"
    root = trace.root.attributes
    if names.VM_MIGRATION_STATE_TRANSFER_DURATION in root:
        middle, low, high = (seconds_text(root[name]) for name in _STATE_TRANSFER)
        yield f"{'state':<{_INDENT}}one way in {middle} ({low} .. {high}), first byte written to last byte read"


def _share(part: Span, whole: Span) -> str:
    return f"{part.name} {duration(part.duration_ns)} ({100 * part.duration_ns / whole.duration_ns:.0f} %)"


def _proof(trace: Trace, explanation: Explanation, width: int) -> Iterator[str]:
    if trace.root.attributes.get(names.OTELMIG_CLOCK_STATUS) == ClockStatus.UNSYNCED:
        return
    receive = trace.first(SpanName.RECEIVE)
    clock = {} if receive is None else receive.attributes
    assumed = drift_text(clock.get(names.OTELMIG_CLOCK_DRIFT_ASSUMED))
    least = "no drift would make the logs fit"
    if explanation.least_drift_ppb is not None:
        least = f"the logs would fit a drift as small as {drift_text(explanation.least_drift_ppb / PPB)}"
    counts = ", ".join(f"{count} {basis}" for basis, count in explanation.bases.items())
    yield from _wrapped(f"{'drift':<{_INDENT}}{assumed} assumed; {least}", width)
    yield from _wrapped(f"{'evidence':<{_INDENT}}{counts} constraints, {len(explanation.binding)} of them bind", width)
    if explanation.offsets:
        yield ""
        yield "destination minus source, ms      at least        at most          width"
        yield from (_offset_row(offset) for offset in explanation.offsets)
        parts = (
            ("drift", explanation.drift_ns),
            ("rounding of timestamps", explanation.rounding_ns),
            ("messages", explanation.message_ns),
        )
        made_of = ", ".join(f"{name} {duration(ns)}" for name, ns in parts if ns)
        if made_of:
            yield from textwrap.wrap(f"  the width at the end: {made_of}", width, subsequent_indent="    ")
    yield from _constraints(explanation, width)
    if explanation.advice:
        yield ""
        yield "what would tighten it"
        for advice in explanation.advice:
            yield from textwrap.wrap(f"  - {advice}", width, subsequent_indent="    ", break_on_hyphens=False)


def _constraints(explanation: Explanation, width: int) -> Iterator[str]:
    """Yield the constraints that bind, and those that contradict each other."""
    if explanation.binding:
        yield ""
        text = "constraints that bind, by source time: the most that can have passed between the two lines of each"
        yield from textwrap.wrap(text, width)
        shown = explanation.binding[:_MOST]
        for binding in shown:
            yield from textwrap.wrap(_binding_row(binding), width, subsequent_indent=" " * 24, break_on_hyphens=False)
        if len(shown) < len(explanation.binding):
            yield f"  ... and {len(explanation.binding) - len(shown)} more (the JSON document lists them all)"
    if explanation.contradicting:
        yield ""
        text = "constraints that exclude another, by source time: the destination's clock minus the source's is"
        yield from textwrap.wrap(text, width)
        for constraint in explanation.contradicting[:_MOST]:
            row = f"  {_bound(constraint)} {constraint.bound_ns / MILLISECOND_NS:>14.3f} ms  {_lines(constraint)}"
            yield from textwrap.wrap(row, width, subsequent_indent=" " * 29, break_on_hyphens=False)


def _offset_row(offset: Offset) -> str:
    lo, hi = (None if ns is None else ns / MILLISECOND_NS for ns in (offset.lo_ns, offset.hi_ns))
    width = "open" if lo is None or hi is None else f"{hi - lo:.3f}"
    cells = ("open" if value is None else f"{value:.3f}" for value in (lo, hi))
    return f"  at the {offset.name:<18}" + "".join(f"{cell:>15}" for cell in cells) + f"{width:>15}"


def _binding_row(binding: BindingConstraint) -> str:
    constraint = binding.constraint
    slack = f"{'open':>12}" if binding.slack_ns is None else f"{binding.slack_ns / MILLISECOND_NS:>9.3f} ms"
    return f"  {binding.since_start_ns / SECOND_NS:>+9.3f} s  {_bound(constraint)}  {slack}  {_lines(constraint)}"


def _bound(constraint: Constraint) -> str:
    return "at most " if constraint.upper else "at least"


def _lines(constraint: Constraint) -> str:
    return f"{constraint.lines}  {constraint.rule} ({constraint.basis})"


def explanation_document(trace: Trace, explanation: Explanation | None) -> dict[str, object]:
    """Return one migration of ``otelmig.explain/1``: its summary, and ``proof``, which is null with one clock only."""
    return {**summary(trace), "proof": None if explanation is None else _document(explanation)}


def _document(explanation: Explanation) -> dict[str, object]:
    return {
        "least_drift": None if explanation.least_drift_ppb is None else explanation.least_drift_ppb / PPB,
        "constraints": {str(basis): count for basis, count in explanation.bases.items()},
        "offsets": [
            {
                "at": offset.name,
                "min_s": None if offset.lo_ns is None else offset.lo_ns / SECOND_NS,
                "max_s": None if offset.hi_ns is None else offset.hi_ns / SECOND_NS,
                "min_evidence": None if offset.lower is None else _constraint(offset.lower),
                "max_evidence": None if offset.upper is None else _constraint(offset.upper),
            }
            for offset in explanation.offsets
        ],
        "width": {
            "drift_s": explanation.drift_ns / SECOND_NS,
            "rounding_s": explanation.rounding_ns / SECOND_NS,
            "messages_s": explanation.message_ns / SECOND_NS,
        },
        "binding": [
            {
                **_constraint(binding.constraint),
                "since_start_s": binding.since_start_ns / SECOND_NS,
                "slack_s": None if binding.slack_ns is None else binding.slack_ns / SECOND_NS,
            }
            for binding in explanation.binding
        ],
        "contradicting": [_constraint(constraint) for constraint in explanation.contradicting],
        "advice": list(explanation.advice),
    }


def _constraint(constraint: Constraint) -> dict[str, object]:
    return {
        "rule": constraint.rule,
        "basis": str(constraint.basis),
        "bound": "max" if constraint.upper else "min",
        "bound_s": constraint.bound_ns / SECOND_NS,
        "first": str(constraint.first.where),
        "second": str(constraint.second.where),
    }
