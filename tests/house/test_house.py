"""The house: who may import what, what start-up loads, and that the documents say what the code does."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from readme_parts import README, rendered

import otelmig
from otelmig.cli.main import build_parser
from otelmig.hypervisors import hypervisors
from otelmig.trace.attributes import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(otelmig.__file__).parent
_MODULES = sorted(_PACKAGE.rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_PACKAGE)))
def test_layers(path: Path) -> None:
    """Only otlp/ knows OpenTelemetry; trace/, clock/ and views/ know no hypervisor; nobody uses private modules."""
    folder = path.relative_to(_PACKAGE).parts[0]
    imported = _imports(path)
    foreign = {name for name in imported if name.split(".")[0] in ("opentelemetry", "grpc", "requests", "google")}
    assert folder == "otlp" or not foreign
    assert not any(part.startswith("_") and part != "__future__" for name in imported for part in name.split("."))
    if folder in ("trace", "clock", "views", "otlp", "assembly.py"):
        assert not any(name.startswith("otelmig.hypervisors.") for name in imported)


_NAMES_A_HYPERVISOR = {"trace/attributes.py"}
"""The attribute table names what each hypervisor's resources carry."""


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_PACKAGE)))
def test_only_its_package_names_a_hypervisor(path: Path) -> None:
    """A second hypervisor is a package and a line in the registry: nothing else knows the first one by its name."""
    place = path.relative_to(_PACKAGE)
    named = any(each.system in path.read_text() for each in hypervisors())
    assert named == (str(place) in _NAMES_A_HYPERVISOR) or place.parts[0] == "hypervisors"


@pytest.mark.parametrize("statement", ["import otelmig", "from otelmig.cli.main import build_parser; build_parser()"])
def test_start_up_loads_no_exporter(statement: str) -> None:
    """Importing the package, or building the parser for --help, loads neither OpenTelemetry nor the views."""
    heavy = ("opentelemetry", "grpc", "requests", "rich")
    code = f"{statement}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_attribute_names_are_sound() -> None:
    """No name twice, none that is also the prefix of another, none with a unit."""
    names = [row.name for row in ATTRIBUTES]
    assert len(set(names)) == len(names)
    assert not [(one, other) for one in names for other in names if other.startswith(f"{one}.")]
    assert not [name for name in names if name.endswith(("_ms", "_s", "_ns", "_bytes"))]


def test_readme_is_generated_where_it_says_so() -> None:
    """Real output, the attribute table and the table of blackouts in the README are what the code gives now."""
    assert rendered(README.read_text()) == README.read_text()


def _options() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every option of every command, by all of its names."""
    (commands,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))  # noqa: SLF001 - there is no public way to list them
    for command, parser in commands.choices.items():
        for each in parser._actions:  # noqa: SLF001 - the same
            if each.option_strings and not isinstance(each, argparse._HelpAction):  # noqa: SLF001 - the same
                yield command, tuple(each.option_strings)


def test_readme_names_every_option() -> None:
    """Every option of every command is in the README by one of its names, as a word of its own."""
    text = README.read_text()
    options = list(_options())
    assert {"--clock", "--spool", "--spool-size", "--width"} <= {name for _, names in options for name in names}
    unnamed = {
        names for _, names in options if not any(re.search(rf"(?<![\w-]){name}(?![\w-])", text) for name in names)
    }
    assert not unnamed
