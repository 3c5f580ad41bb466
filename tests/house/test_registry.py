"""The registry for the conventions' tool says what the tables say, and defines nothing that the conventions have."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from typing import Any, Final

import opentelemetry.semconv._incubating.attributes as conventions
import pytest
from jsonschema import Draft202012Validator
from weaver_registry import FOLDER, OWN, groups, registry

from otelmig.announcement import REQUEST_SPAN, ClientMetric, RecordName
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.spans import SPANS, EventName

_GROUPS: Final = list(groups())
_STABILITY: Final = {"enum": ["development"]}
_TEXT: Final = {"type": "string", "minLength": 2}
_ID: Final = {"type": "string", "pattern": r"^[a-z]\w*(\.[a-z]\w*)+$"}
_MEMBER: Final = {
    "type": "object",
    "properties": {"id": _TEXT, "value": _TEXT, "stability": _STABILITY},
    "required": ["id", "value", "stability"],
    "additionalProperties": False,
}
_DEFINITION: Final = {
    "type": "object",
    "properties": {
        "id": _ID,
        "type": {
            "anyOf": [
                {"enum": ["string", "string[]", "int", "double", "boolean"]},
                {"type": "object", "properties": {"members": {"type": "array", "items": _MEMBER, "minItems": 2}}},
            ]
        },
        "stability": _STABILITY,
        "brief": _TEXT,
        "note": _TEXT,
        "examples": {"type": "array", "minItems": 1},
    },
    "required": ["id", "type", "stability", "brief"],
    "additionalProperties": False,
}
_REFERENCE: Final = {"type": "object", "properties": {"ref": _ID}, "required": ["ref"], "additionalProperties": False}
_ATTRIBUTES: Final = {"type": "array", "items": {"oneOf": [_DEFINITION, _REFERENCE]}, "minItems": 1}
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "id": _ID,
        "type": {"enum": ["attribute_group", "entity", "span", "event", "metric"]},
        "brief": _TEXT,
        "note": _TEXT,
        "name": _ID,
        "display_name": _TEXT,
        "stability": _STABILITY,
        "span_kind": {"enum": ["client", "server", "internal"]},
        "metric_name": _ID,
        "instrument": {"enum": ["counter", "gauge", "histogram", "updowncounter"]},
        "unit": {"type": "string", "minLength": 1},
        "attributes": _ATTRIBUTES,
    },
    "required": ["id", "type", "brief"],
    "additionalProperties": False,
    "allOf": [
        {"if": {"properties": {"type": {"const": kind}}}, "then": {"required": fields}}
        for kind, fields in (
            ("attribute_group", ["attributes"]),
            ("entity", ["name", "stability", "attributes"]),
            ("span", ["span_kind", "stability", "attributes"]),
            ("event", ["name", "stability"]),
            ("metric", ["metric_name", "instrument", "unit", "stability"]),
        )
    ],
}
"""What Weaver's own schema of such files asks for, as far as we use it."""


def _conventional() -> set[str]:
    """The names that the conventions have, by OpenTelemetry's own package."""
    modules = [
        importlib.import_module(f"{conventions.__name__}.{module.name}")
        for module in pkgutil.iter_modules(conventions.__path__)
    ]
    values = [value for module in modules for name, value in vars(module).items() if name.isupper()]
    return {value for value in values if isinstance(value, str)}


def _of(kind: str) -> list[dict[str, Any]]:
    return [group for group in _GROUPS if group["type"] == kind]


@pytest.mark.parametrize("group", _GROUPS, ids=lambda group: str(group["id"]))
def test_groups_have_the_form_that_weaver_wants(group: dict[str, Any]) -> None:
    """The required fields, and no unknown ones."""
    Draft202012Validator(_SCHEMA).validate(group)
    assert [other["id"] for other in _GROUPS].count(group["id"]) == 1


def test_every_text_has_an_example() -> None:
    """Weaver wants one; where the recording has none, a row in tools/weaver_registry.py gives it."""
    (attributes,) = _of("attribute_group")
    texts = [item for item in attributes["attributes"] if item["type"] in ("string", "string[]")]
    assert len(texts) > 10
    assert not [item["id"] for item in texts if "examples" not in item]


def test_the_registry_has_every_name_of_the_tables() -> None:
    """Each attribute of ours is defined, once; spans and events are all there."""
    (attributes,) = _of("attribute_group")
    assert [item["id"] for item in attributes["attributes"]] == [r.name for r in ATTRIBUTES if r.name.startswith(OWN)]
    spans = [*(span.name for span in SPANS), REQUEST_SPAN]
    assert [group["note"] for group in _of("span")] == [f"The span's name is `{name}`." for name in spans]
    assert [group["name"] for group in _of("event")] == [*RecordName, *EventName]
    assert [group["metric_name"] for group in _of("metric")] == list(ClientMetric)


def test_every_row_stands_somewhere() -> None:
    """An attribute is referred to by a span, an event or the resource; those of links alone are not of any group."""
    referred = {item["ref"] for group in _GROUPS for item in group.get("attributes", ()) if "ref" in item}
    assert {row.name for row in ATTRIBUTES} - referred == {row.name for row in ATTRIBUTES if row.on == "links"}


def test_what_the_conventions_have_is_not_defined_again() -> None:
    """References are to our definitions or to names that the conventions have; no definition is of such a name."""
    conventional = _conventional()
    defined = {item["id"] for group in _of("attribute_group") for item in group["attributes"]}
    referred = {item["ref"] for group in _GROUPS for item in group.get("attributes", ()) if "ref" in item}
    assert {"service.name", "host.name", "error.type", "server.address"} <= referred - defined
    assert referred - defined <= conventional
    assert not defined & conventional


def test_the_files_are_generated() -> None:
    """``make golden`` writes them; scalars stand as in JSON, so nothing depends on how YAML reads a bare word."""
    for name, text in registry().items():
        assert (FOLDER / name).read_text() == text
        for line in text.splitlines()[1:]:
            match = re.fullmatch(r" *(?:- )?[a-z_]+:(?: (.+))?", line)
            assert match is not None, line
            if match[1] is not None:
                json.loads(match[1])
