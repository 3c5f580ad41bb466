"""Our names as a registry for the conventions' tool, OpenTelemetry Weaver: ``make golden`` writes it.

Attributes, spans and events come from the tables, examples from a recording. What the conventions have already is
referred to, and not defined again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from document_parts import REPOSITORY
from trace_invariants import CORPUS, traced

from otelmig import announcement
from otelmig.announcement import ClientResult
from otelmig.migration.facts import ConvergenceReason, Fate
from otelmig.migration.side import Mode, Result, Role
from otelmig.trace import attributes as names
from otelmig.trace.attributes import ATTRIBUTES, SCHEMA_URL, Completeness, GuestLocation, HostOrigin, LinkKind
from otelmig.trace.spans import EVENTS, SPANS, SpanName
from otelmig.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from enum import StrEnum

    from otelmig.trace.attributes import Attribute

__all__ = ["FOLDER", "OWN", "groups", "registry"]

FOLDER: Final = REPOSITORY / "registry"
OWN: Final = ("vm.", "otelmig.", "cloud_hypervisor.")
"""Beginnings of the names that are ours; all others are the conventions'."""
_CONVENTIONS: Final = f"https://github.com/open-telemetry/semantic-conventions@v{SCHEMA_URL.rpartition('/')[2]}[model]"
_NOWHERE: Final = "https://otelmig.invalid/schemas"
"""Weaver wants to know where schemas are published: ours are not."""
_STABILITY: Final = "development"
_TYPES: Final = {"bool": "boolean"}
_ENUMS: Final = (
    Role,
    Mode,
    Result,
    GuestLocation,
    Fate,
    ConvergenceReason,
    HostOrigin,
    LinkKind,
    Completeness,
    ClientResult,
)
_EXAMPLES: Final = {
    names.HOST_NAME: "node-a",
    names.VM_MIGRATION_SOURCE_HOST_NAME: "node-a",
    names.VM_MIGRATION_DESTINATION_HOST_NAME: "node-b",
    names.VM_ID: "8f2b1c1e-7c1d-4a0e-9b43-2f4c7d1a9e10",
    names.VM_NAME: "web-7",
    names.VM_MIGRATION_ID: "job-4711",
    names.VM_MIGRATION_TIMEOUT_STRATEGY: "cancel",
    names.VM_MIGRATION_MEMORY_DIRTY_RATE_METHOD: "printed",
    names.VM_DEVICE_TYPE: "virtio-net",
    names.VM_DEVICE_STATE: "StopCopy",
    names.VM_MIGRATION_GUEST_CAUSE: "Guest likely triple-faulted",
    names.OTELMIG_EVIDENCE_FATE: "destination.log:15",
    names.OTELMIG_CLOCK_EVIDENCE_CONFLICTS: ["source.log:12 before destination.log:9"],
    names.OTELMIG_CLOCK_EVIDENCE_STEPS: ["source.log:12", "source.log:13"],
    names.OTELMIG_PAIRING_DOUBT: "nothing names this pair",
    names.OTELMIG_EVIDENCE_DOUBTS: ["times go back by 12.000 ms at source.log:40: lines are damaged or mixed"],
}
"""Values of texts that the recording does not have; a test names those that have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examples:
    """A value of each attribute that the recording has."""

    values: Mapping[str, Any]

    @classmethod
    def of_recording(cls) -> _Examples:
        """Return the first value of each attribute, of both resources and all spans."""
        folder = CORPUS / "v53.0-twohosts"
        (trace,) = traced([folder / "source.log", folder / "destination.log"])
        found: dict[str, Any] = {}
        for attributes in (*trace.resources.values(), *(span.attributes for span in trace.spans)):
            for name, value in attributes.items():
                found.setdefault(name, list(value) if isinstance(value, tuple) else value)
        return cls(values=found | _EXAMPLES)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", ")")) else f"{text}."


def _members(row: Attribute) -> type[StrEnum] | None:
    """Return the closed set that a row's note lists: the largest, where one is a part of another."""
    listed = [each for each in _ENUMS if all(f"`{member}`" in row.note for member in each)]
    return max(listed, key=len) if listed and row.type == "string" else None


def _definition(row: Attribute, examples: _Examples) -> dict[str, Any]:
    kind, _, unit = row.type.partition(", ")
    members = _members(row)
    definition: dict[str, Any] = {"id": row.name}
    if members is not None:
        definition["type"] = {
            "members": [{"id": str(member), "value": str(member), "stability": _STABILITY} for member in members]
        }
    else:
        definition["type"] = _TYPES.get(kind, kind)
    definition["stability"] = _STABILITY
    definition["brief"] = _sentence(row.note) or _sentence(row.name.rpartition("migration.")[2].replace(".", " "))
    if unit:
        definition["note"] = f"The unit is `{unit}`."
    if members is None and row.name in examples.values:
        definition["examples"] = [examples.values[row.name]]
    return definition


def _stands_on(row: Attribute, span: SpanName) -> bool:
    """Whether a row of the table may stand on this span, by its third column."""
    places = row.on.split(", ")
    everywhere = {"spans", "every span", "failing span"} & set(places)
    return bool(everywhere) or span in places or (span is SpanName.MIGRATION and "root" in places)


def groups() -> Iterator[dict[str, Any]]:
    """Yield the groups: our attributes, the resources, each span, each event."""
    examples = _Examples.of_recording()
    yield {
        "id": "registry.vm.migration",
        "type": "attribute_group",
        "display_name": "Live migration of virtual machines",
        "brief": "Attributes of a live migration of a virtual machine, and of what is known about its two clocks.",
        "attributes": [_definition(row, examples) for row in ATTRIBUTES if row.name.startswith(OWN)],
    }
    yield {
        "id": "entity.vm.migration.side",
        "type": "entity",
        "name": "vm.migration.side",
        "stability": _STABILITY,
        "brief": "One side of a live migration: the hypervisor on the source host or on the destination host.",
        "attributes": [{"ref": row.name} for row in ATTRIBUTES if "resource" in row.on],
    }
    for span in SPANS:
        suffix = "" if span.name is SpanName.MIGRATION else f".{span.name.replace(' ', '_')}"
        yield {
            "id": f"span.vm.migration{suffix}",
            "type": "span",
            "span_kind": str(span.kind).lower(),
            "stability": _STABILITY,
            "brief": _sentence(span.note),
            "note": f"The span's name is `{span.name}`.",
            "attributes": [{"ref": row.name} for row in ATTRIBUTES if _stands_on(row, span.name)],
        }
    yield {
        "id": "span.vm.migration.request",
        "type": "span",
        "span_kind": "client",
        "stability": _STABILITY,
        "brief": "The caller's part: it asks for a migration, whose own root is a child of this span.",
        "note": f"The span's name is `{announcement.REQUEST_SPAN}`.",
        "attributes": [{"ref": name} for name in announcement.ATTRIBUTES],
    }
    for record in announcement.RECORDS:
        group: dict[str, Any] = {"id": f"event.{record.name}", "type": "event", "name": str(record.name)}
        group |= {"stability": _STABILITY, "brief": _sentence(record.note)}
        group["note"] = "A log record, not an event on a span."
        yield group | {"attributes": [{"ref": name} for name in record.attributes]}
    for metric in announcement.METRICS:
        group = {"id": f"metric.{metric.name}", "type": "metric", "metric_name": str(metric.name)}
        group |= {"instrument": metric.instrument, "unit": metric.unit, "stability": _STABILITY}
        yield group | {"brief": _sentence(metric.note), "attributes": [{"ref": name} for name in metric.attributes]}
    for event in EVENTS:
        group = {"id": f"event.{event.name}", "type": "event", "name": str(event.name)}
        group |= {"stability": _STABILITY, "brief": _sentence(event.note)}
        if event.attributes:
            group["attributes"] = [{"ref": name} for name in event.attributes]
        yield group


def _yaml(value: object, indent: str) -> Iterator[str]:
    """Yield lines of YAML: mappings and lists in blocks, scalars (and lists of them) as in JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _entry(f"{indent}{key}:", item, indent)
    elif isinstance(value, list):
        for item in value:
            lines = list(_yaml(item, f"{indent}  "))
            yield f"{indent}- {lines[0].strip()}"
            yield from lines[1:]


def _entry(head: str, item: object, indent: str) -> Iterator[str]:
    if isinstance(item, dict) or (isinstance(item, list) and item and isinstance(item[0], dict)):
        yield head
        yield from _yaml(item, f"{indent}  ")
    else:
        yield f"{head} {json.dumps(item, ensure_ascii=False)}"


def registry() -> dict[str, str]:
    """Return each file's text by its name."""
    head = (
        "# Generated from the tables in the code (make golden). Not checked by Weaver itself, which is not at hand.\n"
    )
    manifest = {
        "name": "otelmig",
        "description": "Live migrations of virtual machines as traces.",
        "semconv_version": __version__,
        "schema_base_url": _NOWHERE,
        "dependencies": [{"name": "otel", "registry_path": _CONVENTIONS}],
    }
    return {
        "registry_manifest.yaml": head + "\n".join(_yaml(manifest, "")) + "\n",
        "vm_migration.yaml": head + "\n".join(_yaml({"groups": list(groups())}, "")) + "\n",
    }


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in registry().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
