"""A trace as text that a person can review: the tree, with every attribute, times relative to the root's start.

``python tools/golden_text.py`` rewrites ``tests/golden/`` (``make golden``); the difference is there to be read.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from trace_invariants import RECORDINGS, inputs, traced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelmig.trace.span import AttributeValue, Span, Trace

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
_WIDTH = 150


def golden_text(traces: Iterable[Trace]) -> str:
    """The whole forest as text."""
    return "\n".join(_trace(trace) for trace in traces)


def _trace(trace: Trace) -> str:
    start = datetime.fromtimestamp(trace.root.start_ns // 10**9, UTC)
    lines = [f"trace {trace.trace_id} from {start:%Y-%m-%dT%H:%M:%S}.{trace.root.start_ns % 10**9 // 1000:06d}Z"]
    for role, resource in trace.resources.items():
        lines += _wrapped(f"resource {role}:", resource, "  ")
    names = {span.span_id: span.name for span in trace.spans}
    depths: dict[str | None, int] = {trace.root.parent_id: -1}
    for span in trace.spans:
        depth = depths[span.span_id] = depths[span.parent_id] + 1
        lines += _span(span, trace, names, "  " * depth)
    return "\n".join(lines) + "\n"


def _span(span: Span, trace: Trace, names: Mapping[str, str], indent: str) -> list[str]:
    offset, duration = (span.start_ns - trace.root.start_ns) // 1000, span.duration_ns // 1000
    head = f"{indent}{span.name} [{span.role} {span.kind}] +{offset} us, {duration} us"
    lines = [head + (f" ERROR {span.error}" if span.error is not None else "")]
    lines += _wrapped("", span.attributes, indent + "    ")
    for event in span.events:
        at = (event.time_ns - trace.root.start_ns) // 1000
        lines += _wrapped(f"{indent}    * {event.name} +{at} us", event.attributes, indent + "      ")
    lines += [
        f"{indent}    -> {names.get(link.span_id, link.trace_id)} {link.attributes['otelmig.link.kind']}"
        for link in span.links
    ]
    return lines


def _wrapped(head: str, attributes: Mapping[str, AttributeValue], indent: str) -> list[str]:
    text = " ".join([head.strip(), *(f"{name}={_value(value)}" for name, value in sorted(attributes.items()))]).strip()
    first = head[: len(head) - len(head.lstrip())] if head else indent
    return wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(value: AttributeValue) -> str:
    if isinstance(value, tuple):
        return "[" + "; ".join(value) + "]"
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Rewrite every golden trace."""
    GOLDEN.mkdir(exist_ok=True)
    for name in RECORDINGS:
        (GOLDEN / f"{name}.txt").write_text(golden_text(traced(inputs(name))))
    sys.stdout.write(f"{len(RECORDINGS)} golden traces written\n")


if __name__ == "__main__":
    main()
