"""The size of the house: no folder with more than a dozen modules, no module that is too long to be read at once."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

import otelmig

_PACKAGE = Path(otelmig.__file__).parent
_FOLDERS = sorted({path.parent for path in _PACKAGE.rglob("*.py")})
_MOST_MODULES: Final = 12
"""At most this many modules in a folder, without its ``__init__``."""
_MOST_LINES: Final = 300
"""At most this many lines in a module that is no table."""
_TABLES: Final = {
    "trace/attributes.py": "every attribute with its type, unit and meaning",
    "migration/facts.py": "every fact of a migration: records without behaviour",
    "hypervisors/cloud_hypervisor/messages.py": "every message of Cloud Hypervisor with its releases",
}
"""Modules that are longer, and why: a row more must not need a change here."""
_MOST_OF_A_FUNCTION: Final = 12
"""At most this many lines in a function of such a module: it holds rows, and no work."""


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


@pytest.mark.parametrize("folder", _FOLDERS, ids=lambda folder: str(folder.relative_to(_PACKAGE.parent)))
def test_a_folder_has_at_most_a_dozen_modules(folder: Path) -> None:
    """Whoever opens a folder sees at once what is in it."""
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= _MOST_MODULES


def test_only_tables_are_long() -> None:
    """A module over 300 lines is named above, with the reason."""
    long = {str(path.relative_to(_PACKAGE)) for path in _PACKAGE.rglob("*.py") if _lines(path) > _MOST_LINES}
    assert long <= _TABLES.keys()


@pytest.mark.parametrize("name", _TABLES)
def test_a_long_module_is_a_table(name: str) -> None:
    """What makes a module long is rows: its functions are short. One that is not long any more is not named."""
    path = _PACKAGE / name
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    assert max((node.end_lineno or 0) - node.lineno + 1 for node in functions) <= _MOST_OF_A_FUNCTION
    assert _lines(path) > _MOST_LINES
