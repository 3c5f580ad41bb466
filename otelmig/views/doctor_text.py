"""What ``otelmig doctor`` says of one input: as text for a person, and as JSON (schema ``otelmig.doctor/1``)."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from otelmig.migration.redaction import redact
from otelmig.views.units import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelmig.hypervisors.diagnosis import Diagnosis, Sample

__all__ = ["diagnosis_document", "render_advice", "render_doctor"]

_LABEL: Final = 13


def render_doctor(found: Diagnosis, *, width: int) -> str:
    """The diagnosis as text, ``width`` columns wide."""
    lines = [found.name]
    before = ""
    for label, text in _facts(found):
        shown, before = "" if label == before else label, label
        lines += textwrap.wrap(
            text,
            max(width, 40),
            initial_indent=f"  {shown:<{_LABEL}}",
            subsequent_indent=" " * (_LABEL + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n"


def render_advice(text: str, *, width: int) -> str:
    """A recommendation, ``width`` columns wide."""
    return textwrap.fill(text, max(width, 40), break_long_words=False, break_on_hyphens=False)


def _facts(found: Diagnosis) -> Iterator[tuple[str, str]]:
    attempts = ", ".join(f"{role} of {count}" for role, count in sorted(found.attempts.items()))
    yield "what", f"{found.kind}, release {found.release}; migration attempts: {attempts or 'none found'}"
    if found.line_format is not None:
        yield "format", f"{found.line_format}{'' if found.transport is None else f', carried by {found.transport}'}"
    if found.verbosity is not None:
        yield "verbosity", found.verbosity
    yield "clock", _clock(found)
    if found.events:
        yield "events", ", ".join(found.events)
    yield "lines", _lines(found)
    for reason, sample in sorted(found.account.samples.items()):
        yield "", f"{sample.where}: {reason}: {_shown(sample) or '(not shown)'}"
    for text in found.tells:
        yield "tells", text
    for gap in found.gaps:
        yield "lacks", gap.missing
        if gap.remedy is not None:
            yield "  to get it", gap.remedy
        if gap.cost is not None:
            yield "  it costs", gap.cost


def _clock(found: Diagnosis) -> str:
    text = found.clock
    if found.uptime_ns is not None:
        text += f", up to {duration(found.uptime_ns)} of uptime"
    if found.resolution_ns is not None:
        text += f", coarsest stamp {duration(found.resolution_ns)} wide"
    return text


def _lines(found: Diagnosis) -> str:
    account = found.account
    others = "".join(f", {count} {what}" for what, count in sorted(account.irrelevant.items()))
    unknown = ", ".join(f"{count} {reason}" for reason, count in sorted(account.unknown.items()))
    what = "objects" if found.kind == "event stream" else "lines"
    return f"{account.total} {what}: {account.used} used{others}, {unknown or '0 not understood'}"


def _shown(sample: Sample) -> str:
    """A line that was not understood may hold anything: only its beginning is shown, redacted."""
    return redact(sample.text[:200], addresses=True)


def diagnosis_document(found: Diagnosis) -> dict[str, object]:
    """The diagnosis for scripts; keys never vanish."""
    account = found.account
    return {
        "input": found.name,
        "kind": found.kind,
        "release": found.release,
        "line_format": found.line_format,
        "transport": found.transport,
        "verbosity": found.verbosity,
        "clock": found.clock,
        "resolution_s": None if found.resolution_ns is None else found.resolution_ns / 1e9,
        "uptime_s": None if found.uptime_ns is None else found.uptime_ns / 1e9,
        "attempts": dict(sorted(found.attempts.items())),
        "events": list(found.events),
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
        "tells": list(found.tells),
        "recommendation": found.recommendation,
        "lacks": [{"missing": gap.missing, "remedy": gap.remedy, "cost": gap.cost} for gap in found.gaps],
    }
