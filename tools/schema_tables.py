"""The JSON Schemas of the outputs as tables in Markdown, one row a field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import otelmig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["definition_table", "schema_table"]

_SCHEMAS: Final = Path(otelmig.__file__).parent / "schemas"
_NAMED: Final = ("delivery", "tally", "constraint")
"""Definitions that have tables of their own."""


def schema_table(name: str) -> str:
    """Return the fields of the output ``name``, as its schema describes them."""
    schema = _loaded(name)
    return _table(_fields(schema, schema, "", own=name == "explain"))


def definition_table(name: str, key: str) -> str:
    """Return the fields of one definition of the schema ``name``."""
    schema = _loaded(name)
    return _table(_fields(schema["$defs"][key], schema, ""))


def _loaded(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((_SCHEMAS / f"{name}-1.json").read_text("utf-8"))
    return schema


def _table(rows: Iterable[str]) -> str:
    return "\n".join(["| field | type | what it holds |", "|---|---|---|", *rows])


def _fields(part: Mapping[str, Any], schema: Mapping[str, Any], prefix: str, *, own: bool = False) -> Iterator[str]:
    """The rows of the fields of ``part`` and of what is in them, but for what has a table of its own.

    ``own``: the fields of a migration have one.
    """
    for name, field in part.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield f"| `{path}` | {_type_text(field)} | {field['description']} |"
        array = field.get("type") == "array"
        inner = field["items"] if array else field
        reference = _reference(inner)
        if reference in _NAMED or (own and reference == "migration"):
            inner = {"properties": inner.get("properties", {})}
        elif reference is not None:
            inner = schema["$defs"][reference]
        yield from _fields(inner, schema, f"{path}[]." if array else f"{path}.", own=own)


def _reference(field: Mapping[str, Any]) -> str | None:
    """The definition that a field refers to, if it does; alternatives are a definition or null."""
    field = field["anyOf"][0] if "anyOf" in field else field
    return str(field["$ref"]).rpartition("/")[2] if "$ref" in field else None


def _type_text(field: Mapping[str, Any]) -> str:
    reference = _reference(field)
    if reference is not None:
        kind = reference if reference in _NAMED else "object"
        return f"{kind} or null" if "anyOf" in field else kind
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join("null" if value is None else f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"array of {_plural(_type_text(field['items']))}"
    if isinstance(field.get("additionalProperties"), dict):
        return f"object of {_plural(_type_text(field['additionalProperties']))}"
    return field["type"] if isinstance(field["type"], str) else " or ".join(field["type"])


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
