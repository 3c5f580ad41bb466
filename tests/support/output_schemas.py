"""The JSON Schemas that ship with the package, to hold what is printed against."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker

__all__ = ["SCHEMA_FILES", "schema_of", "validated", "validator_of"]

SCHEMA_FILES: Final = {
    "otelmig.summary/1": "summary-1.json",
    "otelmig.explain/1": "explain-1.json",
    "otelmig.doctor/1": "doctor-1.json",
    "otelmig.send/1": "send-1.json",
    "otelmig.status/1": "status-1.json",
    "otelmig.watch/1": "watch-1.json",
}


@cache
def schema_of(name: str) -> dict[str, Any]:
    """Return the schema that a document names."""
    schema: dict[str, Any] = json.loads((files("otelmig") / "schemas" / SCHEMA_FILES[name]).read_text("utf-8"))
    return schema


@cache
def validator_of(name: str) -> Draft202012Validator:
    """Return what holds documents against the schema that they name."""
    return Draft202012Validator(schema_of(name), format_checker=FormatChecker())


def validated(text: str | bytes) -> dict[str, Any]:
    """Return a document of JSON, which the schema that it names must describe."""
    document: dict[str, Any] = json.loads(text)
    validator_of(document["schema"]).validate(document)
    return document
