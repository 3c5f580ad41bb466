"""The size of the house: no folder with more than a dozen modules, no module that is too long to be read at once."""

from __future__ import annotations

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
    "trace/attributes.py": (740, "every attribute with its type, unit and meaning"),
    "migration/facts.py": (560, "every fact of a migration: records without behaviour"),
    "hypervisors/cloud_hypervisor/messages.py": (540, "every message of Cloud Hypervisor with its releases"),
}
"""Modules that are longer, with how long they may be, and why."""
_SLACK: Final = 20
"""Lines by which a long module may fall short of what it is allowed."""


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
def test_what_a_long_module_is_allowed_shrinks_with_it(name: str) -> None:
    """A long module is as long as it is allowed, or a little shorter; one that is not long any more is not named."""
    allowed, _ = _TABLES[name]
    assert max(allowed - _SLACK, _MOST_LINES) < _lines(_PACKAGE / name) <= allowed
