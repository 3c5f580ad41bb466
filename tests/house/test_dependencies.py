"""The package declares what it imports, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import otelmig

_PACKAGE: Final = Path(otelmig.__file__).parent
_REPOSITORY: Final = Path(__file__).parents[2]
_DISTRIBUTIONS: Final = {
    "backports.zstd": "backports.zstd",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio",
    "msgspec": "msgspec",
    "opentelemetry._logs": "opentelemetry-api",
    "opentelemetry.context": "opentelemetry-api",
    "opentelemetry.exporter": "opentelemetry-exporter-otlp",
    "opentelemetry.metrics": "opentelemetry-api",
    "opentelemetry.proto": "opentelemetry-proto",
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.trace": "opentelemetry-api",
    "requests": "requests",
    "rich": "rich",
    "stringzilla": "stringzilla",
    "urllib3": "urllib3",
}
"""Which distribution a module comes from; namespace packages are told apart by their second part."""


def _metadata() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]
    return project


def _imported() -> set[str]:
    """Every module that the package imports and that neither it nor Python brings along."""
    names: set[str] = set()
    for path in _PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] not in {*sys.stdlib_module_names, "otelmig"}}


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    """A dependency of a dependency may go away; one that neither the package nor its callers import should."""
    found = {
        name: next((module for module in _DISTRIBUTIONS if f"{name}.".startswith(f"{module}.")), None)
        for name in _imported() - {"compression.zstd"}
    }
    assert not [name for name, module in found.items() if module is None]
    declared = {re.split(r"[<>=;\s]", text)[0] for text in _metadata()["dependencies"]}
    assert declared == {_DISTRIBUTIONS[module] for module in found.values() if module is not None}


def test_every_dependency_has_a_floor_and_a_ceiling() -> None:
    """The floors are what `make test-lowest` installs."""
    assert not [text for text in _metadata()["dependencies"] if not re.search(r">=\d.*<\d", text)]


def test_supported_versions_agree() -> None:
    """The oldest Python that the classifiers name is the one that is required."""
    minors = [int(text.rpartition(".")[2]) for text in _metadata()["classifiers"] if ":: 3." in text]
    assert _metadata()["requires-python"] == f">=3.{min(minors)}"
    assert minors == list(range(min(minors), max(minors) + 1))
