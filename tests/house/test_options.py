"""The core does not know the command line: it names parameters, and one table says which option each of them is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from command_line import options
from msgspec import StructMeta

import otelmig
from otelmig.cli.options.flags import FLAGS, with_flags

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = Path(otelmig.__file__).parent
_CORE: Final = sorted(path for path in _PACKAGE.rglob("*.py") if path.relative_to(_PACKAGE).parts[0] != "cli")
_OF_OTHERS: Final = frozenset({"--log-format"})
"""The option that the hypervisor has, too."""
_PARAMETER: Final = re.compile(r"(?<!`)`(\w+(?:\.\w+)?)`(?!`)")


@cache
def _own_options() -> frozenset[str]:
    """The long options that only otelmig has; short ones such as ``-o`` are those of many programs."""
    return frozenset(name for _, names in options() for name in names if name.startswith("--")) - _OF_OTHERS


@cache
def _strings(path: Path) -> list[tuple[int, str]]:
    """Every string constant of a module with its line: messages, the pieces of f-strings, docstrings."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def _named_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)) & _own_options()


def test_no_option_outside_the_command_line() -> None:
    """No string of the core, docstrings included, names an option that only otelmig has."""
    assert len(_CORE) > 250
    assert not [
        (f"{path.relative_to(_PACKAGE)}:{line}", named)
        for path in _CORE
        for line, text in _strings(path)
        if (named := _named_options(text))
    ]


def test_options_are_found_where_they_are_named() -> None:
    """The search for options finds them in a message, and takes none for part of a longer one."""
    assert _named_options("f: want --pair A=B or (--spool)") == {"--pair", "--spool"}
    assert not _named_options("--pairs, --spool-directory, chronyc --anchored")
    assert len(_own_options()) > 30


def _parameters() -> Iterator[str]:
    """What a message may name: parameters of the entry point, and of classes, their fields included."""
    yield from inspect.signature(otelmig.trace_migrations).parameters
    for module in pkgutil.walk_packages([str(_PACKAGE)], "otelmig."):
        if module.name == "otelmig.__main__":
            continue
        for name, thing in inspect.getmembers(importlib.import_module(module.name)):
            if inspect.isclass(thing) and (thing.__module__ or "").startswith("otelmig."):
                own = thing if isinstance(thing, StructMeta) else thing.__init__
                for maker in (own, getattr(thing, "of", None)):
                    parameters = () if maker is None else inspect.signature(maker).parameters
                    yield from (f"{name}.{parameter}" for parameter in parameters)


def test_every_parameter_that_is_named_has_its_option() -> None:
    """A parameter in a message of the core stands in the table, so that no user of the command line ever reads it."""
    of_the_entry_point = set(inspect.signature(otelmig.trace_migrations).parameters)
    named = {
        parameter
        for path in _CORE
        for _, text in _strings(path)
        for parameter in _PARAMETER.findall(text)
        if parameter in of_the_entry_point or re.match(r"[A-Z]\w*\.", parameter)
    }
    assert {"pairs", "LogOptions.zone", "Settings.protocol"} <= named
    assert named - set(FLAGS) == set()


def test_the_table_is_true() -> None:
    """Every parameter in the table exists, and so does every option."""
    assert set(FLAGS) - set(_parameters()) == set()
    words = {word for flag in FLAGS.values() for word in flag.split() if word.startswith("--")}
    assert words - _own_options() == {"--log-format"}


def test_parameters_become_options() -> None:
    """Only what stands in backticks is replaced, and what is not in the table stays as it is."""
    text = "`LogOptions.year`, pairs, `pairs`: see `chronyc -c tracking` and ``anchors``"
    assert with_flags(text) == "--log-year, pairs, --pair: see `chronyc -c tracking` and ``anchors``"
