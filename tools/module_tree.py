"""The package as its folders show it: every module with what it is for, and what the folders import of each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import otelmig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["first_sentence", "import_table", "module_tree"]

_PACKAGE: Final = Path(otelmig.__file__).parent


def module_tree() -> str:
    """Return the folders and modules of the package as a list of links, with the first sentence of each docstring."""
    return "\n".join(_branches(_PACKAGE, 0))


def _branches(folder: Path, depth: int) -> Iterator[str]:
    """The folder's modules, then its folders, each indented by its depth."""
    for path in sorted(folder.glob("*.py")):
        if path.name not in ("__init__.py", "__main__.py"):
            yield _branch(path, _docstring(path), depth)
    for path in sorted(each for each in folder.iterdir() if each.is_dir() and each.name != "__pycache__"):
        init = path / "__init__.py"
        yield _branch(path, _docstring(init) if init.exists() else _DATA[path.name], depth)
        yield from _branches(path, depth + 1)


_DATA: Final = {"recordings": "The logs that ``otelmig demo`` traces.", "schemas": "The JSON Schemas of the outputs."}
"""What the folders hold that are no packages."""


def _branch(path: Path, text: str, depth: int) -> str:
    name = f"**{path.name}/**" if path.is_dir() else path.name
    return f"{'  ' * depth}- [{name}](../{path.relative_to(_PACKAGE.parent)}): {first_sentence(text)}"


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring in Markdown, without its full stop."""
    first = re.split(r"(?<=[.]) ", " ".join(text.partition("\n\n")[0].split()))[0].rstrip(".")
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"``\1``", first).replace("``", "`").replace("<", "\\<")


def import_table() -> str:
    """Return what each folder (and module at the root) imports of the others, over every module in it."""
    rooms = sorted({_room(path) for path in _PACKAGE.rglob("*.py")} - {"cli", "__init__", "__main__"})
    arrows = {room: set[str]() for room in rooms}
    for path in _PACKAGE.rglob("*.py"):
        if _room(path) in arrows:
            arrows[_room(path)] |= {room for room in _imported(path) if room != _room(path)}
    order = sorted(rooms, key=lambda room: (len(_below(room, arrows)), room))
    rows = (
        f"| `{room}` | {', '.join(f'`{each}`' for each in order if each in arrows[room]) or 'none of them'} |"
        for room in order
    )
    return "\n".join(["| folder or module | imports |", "|---|---|", *rows])


def _room(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0].removesuffix(".py")


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("otelmig"):
            parts = (node.module or "").split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


def _below(room: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """Everything that ``room`` imports, directly or not."""
    reached: set[str] = set()
    queue = [room]
    while queue:
        for each in arrows.get(queue.pop(), ()):
            if each not in reached:
                reached.add(each)
                queue.append(each)
    return reached
