"""The generated parts of the documents: ``make golden`` rewrites them, a test compares.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``. It comes from the tables in the code, from its
docstrings, or from running it on recordings.
"""

from __future__ import annotations

import re
from inspect import cleandoc, signature
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Final

from command_line import command_reference, exit_codes
from module_tree import first_sentence, import_table, module_tree
from queries import JAEGER_LINKS, TRACEQL, query_blocks
from schema_tables import definition_table, schema_table
from trace_invariants import CORPUS, RECORDINGS, inputs, traced, truth
from unrelated_pairs import unrelated_table
from waterfall_svg import waterfall_svg

import otelmig
from otelmig import instrument
from otelmig.announcement import metric_table, record_table
from otelmig.cli.options.flags import with_flags
from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import rule_table
from otelmig.hypervisors.log_options import LogOptions
from otelmig.otlp.telemetry import names as service_names
from otelmig.pairing.explanation import explain
from otelmig.pipeline import diagnoses, read_findings
from otelmig.trace.attributes import attribute_table
from otelmig.trace.options import TraceOptions
from otelmig.trace.span import SpanKind
from otelmig.trace.spans import SPANS, SpanName, SpanRow, event_table, span_table
from otelmig.views.doctor_text import render_doctor
from otelmig.views.explain_text import render_explanation
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DOCUMENTS", "PICTURE", "REPOSITORY", "parts_of", "rendered", "waterfall_picture"]

REPOSITORY: Final = Path(__file__).parents[1]
DOCUMENTS: Final = (
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *(REPOSITORY / folder / "README.md" for folder in ("collector-config", "dashboards", "benchmarks", "tests/corpus")),
)
"""Every page that a person reads."""
PICTURE: Final = REPOSITORY / "docs" / "img" / "migration.svg"
_PART: Final = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_RECORDING: Final = CORPUS / "v53.0-twohosts"
"""The recording that also ships with the package, for ``otelmig demo``."""


def rendered(text: str) -> str:
    """Return ``text`` with every generated part as the code gives it now, parameters as the options that give them."""
    return _PART.sub(lambda part: f"{part[1]}{with_flags(_PARTS[part[2]]())}\n{part[3]}", text)


def parts_of(text: str) -> list[str]:
    """Return the names of the generated parts in ``text``."""
    return [part[2] for part in _PART.finditer(text)]


def _fenced(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


def _logs() -> list[Path]:
    return [_RECORDING / "source.log", _RECORDING / "destination.log"]


def _waterfall() -> str:
    """The waterfall of the recording, as a terminal of 100 columns shows it."""
    return render_waterfall(traced(_logs())[0], width=100, color=False).rstrip()


def waterfall_picture() -> str:
    """The same in SVG and in colour, as the README shows it."""
    return waterfall_svg(render_waterfall(traced(_logs())[0], width=100, color=True))


def _panel(number: int) -> str:
    """One panel of the waterfall: the panels are separated by empty lines."""
    return _fenced(_waterfall().split("\n\n")[number])


def _explain() -> str:
    """What is proved about the clocks of the recording in the waterfall."""
    findings = read_findings(_logs())
    ((migration, trace),) = findings.traced(TraceOptions())
    text = render_explanation(trace, explain(migration, *hypervisors()), width=100)
    return _fenced(text.partition("\n\n")[2])


def _doctor() -> str:
    """What the doctor says about the source log of a recording."""
    options = LogOptions()
    findings = read_findings([CORPUS / "v53.0-basicv" / "source.log"], reading=options)
    (diagnosis,) = diagnoses(findings, options)
    return _fenced(render_doctor(diagnosis, width=110))


def _blackouts() -> str:
    """For each recording with a heard guest: the reported blackout beside the silence that was heard, in ms."""
    lines = ["| recording | min | estimate | max | guest silent for |", "|---|---|---|---|---|"]
    for name in RECORDINGS:
        heard = truth(name).get("guest_silence")
        root = traced(inputs(name))[-1].root.attributes
        if not heard or "vm.migration.blackout.min" not in root:
            continue
        least, best, most = (
            f"{float(str(root[f'vm.migration.blackout.{end}'])) * 1000:.1f}" for end in ("min", "duration", "max")
        )
        lines.append(f"| {name} | {least} | {best} | {most} | {heard['silence_ns'] / 1e6:.1f} |")
    return "\n".join(lines)


def _span_tree() -> str:
    """The spans as a tree, with the side that each belongs to."""
    (root,) = (row for row in SPANS if not row.parents)
    return _fenced("\n".join([_span_line("", root), *_span_branches(root.name, "")]))


def _span_branches(parent: SpanName, indent: str) -> Iterator[str]:
    children = [row for row in SPANS if parent in row.parents]
    for row in children:
        last = row is children[-1]
        yield _span_line(f"{indent}{'└─ ' if last else '├─ '}", row)
        yield from _span_branches(row.name, f"{indent}{'   ' if last else '│  '}")


def _span_line(indent: str, row: SpanRow) -> str:
    kind = "" if row.kind is SpanKind.INTERNAL else row.kind
    return f"{indent + row.name:<30}{row.role:<14}{kind}".rstrip()


def _public_names() -> str:
    """Every name of the library, with the first sentence of its docstring."""
    lines = ["| name | what it is |", "|---|---|"]
    for name in otelmig.__all__:
        if name.startswith("__"):
            continue
        thing = getattr(otelmig, name)
        text = (thing.__doc__ or "") if isinstance(thing, type) or callable(thing) else f"The type `{thing}`."
        lines.append(f"| `{name}` | {first_sentence(text).replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _instrument() -> str:
    """The parameters of ``migration`` and the names of what it returns, from their docstrings."""
    (summary, _, rest) = cleandoc(instrument.migration.__doc__ or "").partition("\n\nArgs:\n")
    (arguments, _, _) = rest.partition("\n\n>>> ")
    lines = ["### The context manager", "", summary.replace("``", "`"), "", "| parameter | what it is |", "|---|---|"]
    for argument in dedent(arguments).splitlines():
        name, _, text = argument.partition(": ")
        lines.append(f"| `{name}` | {text.replace('``', '`').rstrip('.')} |")
    lines += ["", "### What `with` binds", "", "| name | what it is |", "|---|---|"]
    for name, member in vars(instrument.Migration).items():
        if not name.startswith("_"):
            called = "" if isinstance(member, property) else f"({', '.join(list(signature(member).parameters)[1:])})"
            lines.append(f"| `{name}{called}` | {first_sentence(member.__doc__ or '')} |")
    return "\n".join(lines)


_PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "waterfall": lambda: _fenced(_waterfall()),
    "waterfall head": lambda: _panel(0),
    "waterfall overview": lambda: _panel(1),
    "waterfall downtime": lambda: _panel(2),
    "waterfall iterations": lambda: _panel(3),
    "explain": _explain,
    "rules": rule_table,
    "doctor": _doctor,
    "attributes": attribute_table,
    "spans": span_table,
    "events": event_table,
    "span tree": _span_tree,
    "blackouts": _blackouts,
    "unrelated pairs": unrelated_table,
    "commands": command_reference,
    "exit codes": exit_codes,
    "public names": _public_names,
    "schema summary": lambda: schema_table("summary"),
    "schema explain": lambda: schema_table("explain"),
    "schema doctor": lambda: schema_table("doctor"),
    "schema send": lambda: schema_table("send"),
    "schema status": lambda: schema_table("status"),
    "schema watch": lambda: schema_table("watch"),
    "schema delivery": lambda: definition_table("send", "delivery"),
    "schema constraint": lambda: definition_table("explain", "constraint"),
    "jaeger links": lambda: f"\n{query_blocks(JAEGER_LINKS, 'text')}\n",
    "traceql queries": lambda: f"\n{query_blocks(TRACEQL, 'traceql')}\n",
    "service records": service_names.record_table,
    "service metrics": service_names.metric_table,
    "announcement records": record_table,
    "announcement metrics": metric_table,
    "instrument": _instrument,
    "tree": module_tree,
    "imports": import_table,
}
"""What makes each part."""


def main() -> None:
    """Rewrite the generated parts."""
    for document in DOCUMENTS:
        document.write_text(rendered(document.read_text()))
    PICTURE.write_text(waterfall_picture())


if __name__ == "__main__":
    main()
