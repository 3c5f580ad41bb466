"""The parts of the README that are generated: ``make golden`` rewrites them, a test compares."""

from __future__ import annotations

import re
from pathlib import Path

from trace_invariants import CORPUS, RECORDINGS, inputs, traced, truth

from otelmig.cli.options.flags import with_flags
from otelmig.hypervisors import hypervisors
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import rule_table
from otelmig.hypervisors.log_options import LogOptions
from otelmig.pairing.explanation import explain
from otelmig.pipeline import diagnoses, read_findings
from otelmig.trace.attributes import attribute_table
from otelmig.trace.options import TraceOptions
from otelmig.views.doctor_text import render_doctor
from otelmig.views.explain_text import render_explanation
from otelmig.views.waterfall import render_waterfall

README = Path(__file__).parents[1] / "README.md"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(text: str) -> str:
    """``text`` with every generated part as the code gives it now, and with options where the core names parameters."""
    parts = {
        "waterfall": _waterfall,
        "explain": _explain,
        "rules": rule_table,
        "doctor": _doctor,
        "attributes": attribute_table,
        "blackouts": blackout_table,
    }
    return _PART.sub(lambda part: f"{part[1]}{with_flags(parts[part[2]]())}\n{part[3]}", text)


def _waterfall() -> str:
    logs = [CORPUS / "v53.0-twohosts" / name for name in ("source.log", "destination.log")]
    return "\n".join(["```", render_waterfall(traced(logs)[0], width=100, color=False).rstrip(), "```"])


def _explain() -> str:
    """What is proved of the clocks of the recording in the waterfall."""
    findings = read_findings([CORPUS / "v53.0-twohosts" / name for name in ("source.log", "destination.log")])
    ((found, trace),) = findings.traced(TraceOptions())
    text = render_explanation(trace, explain(found, *hypervisors()), width=100)
    return "\n".join(["```", text.partition("\n\n")[2].rstrip(), "```"])


def _doctor() -> str:
    """What the doctor says of the source log of a recording."""
    reading = LogOptions()
    findings = read_findings([CORPUS / "v53.0-basicv" / "source.log"], reading=reading)
    (found,) = diagnoses(findings, reading)
    return "\n".join(["```", render_doctor(found, width=110).rstrip(), "```"])


def blackout_table() -> str:
    """For each recording with a heard guest: the reported blackout against the silence that was heard, in ms."""
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


def main() -> None:
    """Rewrite the generated parts."""
    README.write_text(rendered(README.read_text()))


if __name__ == "__main__":
    main()
