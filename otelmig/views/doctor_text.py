"""What ``otelmig doctor`` says of one input: text for a person, and an item of ``otelmig.doctor/1``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from otelmig.migration.redaction import redact
from otelmig.units import SECOND_NS
from otelmig.views.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.hypervisors.diagnosis import Diagnosis, Sample

__all__ = ["diagnosis_document", "render_advice", "render_doctor"]

_LABEL: Final = 13
"""Columns of the labels."""
_NARROWEST: Final = 40
"""Columns of the narrowest text."""


def render_doctor(diagnosis: Diagnosis, *, width: int) -> str:
    """Return the diagnosis as text, ``width`` columns wide, at least 40."""
    lines = [diagnosis.name]
    before = ""
    for label, text in _facts(diagnosis):
        shown, before = "" if label == before else label, label
        lines += textwrap.wrap(
            text,
            max(width, _NARROWEST),
            initial_indent=f"  {shown:<{_LABEL}}",
            subsequent_indent=" " * (_LABEL + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def render_advice(text: str, *, width: int) -> str:
    """Return a recommendation as text, ``width`` columns wide, at least 40."""
    return textwrap.fill(text, max(width, _NARROWEST), break_long_words=False, break_on_hyphens=False)


def _facts(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    attempts = ", ".join(f"{role} of {count}" for role, count in sorted(diagnosis.attempts.items()))
    yield "what", f"{diagnosis.kind}, release {diagnosis.release}; migration attempts: {attempts or 'none found'}"
    if diagnosis.line_format is not None:
        yield (
            "format",
            f"{diagnosis.line_format}{'' if diagnosis.framing is None else f', carried by {diagnosis.framing}'}",
        )
    if diagnosis.verbosity is not None:
        yield "verbosity", diagnosis.verbosity
    yield "clock", _clock(diagnosis)
    if diagnosis.events:
        yield "events", ", ".join(diagnosis.events)
    yield "lines", _lines(diagnosis)
    for reason, sample in sorted(diagnosis.account.samples.items()):
        yield "", f"{sample.where}: {reason}: {_shown(sample) or '(not shown)'}"
    for text in diagnosis.tells:
        yield "tells", text
    for gap in diagnosis.gaps:
        yield "lacks", gap.missing
        if gap.remedy is not None:
            yield "  to get it", gap.remedy
        if gap.cost is not None:
            yield "  it costs", gap.cost


def _clock(diagnosis: Diagnosis) -> str:
    text = diagnosis.clock
    if diagnosis.uptime_ns is not None:
        text += f", up to {duration(diagnosis.uptime_ns)} of uptime"
    if diagnosis.resolution_ns is not None:
        text += f", coarsest timestamp {duration(diagnosis.resolution_ns)} wide"
    return text


def _lines(diagnosis: Diagnosis) -> str:
    account = diagnosis.account
    others = "".join(f", {count} {what}" for what, count in sorted(account.irrelevant.items()))
    unknown = ", ".join(f"{count} {reason}" for reason, count in sorted(account.unknown.items()))
    what = "objects" if diagnosis.kind == "event stream" else "lines"
    return f"{account.total} {what}: {account.used} used{others}, {unknown or '0 not understood'}"


def _shown(sample: Sample) -> str:
    """Return the beginning of a line that was not understood, redacted: the line may hold anything."""
    return redact(sample.text[:200], addresses=True)


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, object]:
    """Return one input of ``otelmig.doctor/1``; keys never vanish."""
    account = diagnosis.account
    return {
        "input": diagnosis.name,
        "kind": diagnosis.kind,
        "release": diagnosis.release,
        "line_format": diagnosis.line_format,
        "transport": diagnosis.framing,
        "verbosity": diagnosis.verbosity,
        "clock": diagnosis.clock,
        "resolution_s": None if diagnosis.resolution_ns is None else diagnosis.resolution_ns / SECOND_NS,
        "uptime_s": None if diagnosis.uptime_ns is None else diagnosis.uptime_ns / SECOND_NS,
        "attempts": dict(sorted(diagnosis.attempts.items())),
        "events": list(diagnosis.events),
        "lines": {
            "total": account.total,
            "used": account.used,
            "irrelevant": dict(sorted(account.irrelevant.items())),
            "not_understood": dict(sorted(account.unknown.items())),
        },
        "samples": [
            {"reason": reason, "where": str(sample.where), "text": _shown(sample)}
            for reason, sample in sorted(account.samples.items())
        ],
        "tells": list(diagnosis.tells),
        "recommendation": diagnosis.recommendation,
        "lacks": [{"missing": gap.missing, "remedy": gap.remedy, "cost": gap.cost} for gap in diagnosis.gaps],
    }
