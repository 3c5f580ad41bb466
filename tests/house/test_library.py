"""The public library: what is exported, that its types are complete, and that its worked examples hold."""

from __future__ import annotations

import ast
import doctest
import inspect
import typing
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from msgspec import StructMeta

import otelmig

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = Path(otelmig.__file__).parent
_RECORDING: Final = _PACKAGE / "recordings"


def _module_name(path: Path) -> str:
    place = path.relative_to(_PACKAGE.parent).with_suffix("")
    return ".".join(part for part in place.parts if part != "__init__")


_EXAMPLES: Final = sorted(_module_name(path) for path in _PACKAGE.rglob("*.py") if ">>> " in path.read_text())


def _names_for_types(module: str) -> dict[str, Any]:
    """What ``module`` imports for type checking only, which its annotations name all the same."""
    tree = ast.parse(Path(inspect.getfile(import_module(module))).read_text())
    names: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                if isinstance(each, ast.ImportFrom):
                    source = import_module(each.module or "")
                    names |= {alias.asname or alias.name: getattr(source, alias.name) for alias in each.names}
    return names


def _hints(thing: Any) -> dict[str, Any]:
    return typing.get_type_hints(thing, localns=_names_for_types(thing.__module__))


def _signatures(thing: Any) -> Iterator[Any]:
    """Every type that the signature of a function names; of a class: of its fields, public methods and properties."""
    if not inspect.isclass(thing):
        yield from _hints(thing).values()
        return
    if isinstance(thing, StructMeta) or hasattr(thing, "_fields"):
        yield from _hints(thing).values()
    for name, member in vars(thing).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(function):
            yield from _hints(function).values()


def _own(hint: Any) -> Iterator[Any]:
    """The classes of this package inside a type."""
    if inspect.isclass(hint) and hint.__module__.split(".")[0] == "otelmig":
        yield hint
    for each in typing.get_args(hint):
        yield from _own(each)


def test_every_type_that_a_public_signature_names_is_public() -> None:
    """Whoever writes a type annotation, or an argument, finds its class in the package itself."""
    exported = [getattr(otelmig, name) for name in otelmig.__all__]
    queue = [thing for thing in exported if inspect.isclass(thing) or inspect.isfunction(thing)]
    named = {own for thing in queue for hint in _signatures(thing) for own in _own(hint)}
    assert {otelmig.Trace, otelmig.Constraint, otelmig.Where, otelmig.SpanKind, otelmig.TraceParent} <= named
    assert named <= {thing for thing in exported if inspect.isclass(thing)}


def test_public_names_are_listed_and_lead_to_one_object_each() -> None:
    """`dir()` shows every public name before any of them is loaded, and nothing that the module needs for itself."""
    assert [name for name in dir(otelmig) if not name.startswith("__")] == [
        name for name in otelmig.__all__ if not name.startswith("__")
    ]
    for name in otelmig.__all__:
        assert getattr(otelmig, name) is getattr(otelmig, name)
    with pytest.raises(AttributeError, match="no attribute 'trace_migration'"):
        attrgetter("trace_migration")(otelmig)


def test_type_checkers_and_users_see_the_same_names() -> None:
    """The names that are imported for type checkers, those that are loaded on use, and `__all__` agree."""
    static = {name for name in _names_for_types("otelmig") if name != "Any"}
    assert static == set(otelmig.__all__) - {"__version__"}
    for name, value in _names_for_types("otelmig").items():
        assert getattr(otelmig, name) is value


@pytest.mark.parametrize("kind", [str, Path])
def test_a_single_path_is_one_file(kind: type[str | Path]) -> None:
    """A path by itself is not taken for a collection of paths, least of all for its characters."""
    (trace,) = otelmig.trace_migrations(kind(_RECORDING / "source.log"))
    assert list(trace.resources) == [otelmig.Role.SOURCE]
    with pytest.raises(otelmig.InputError, match=r"^/no such folder/x.log: "):
        list(otelmig.trace_migrations(kind("/no such folder/x.log")))


@pytest.mark.parametrize("module", _EXAMPLES)
def test_worked_examples_in_docstrings(module: str) -> None:
    """What a docstring shows is what happens."""
    result = doctest.testmod(import_module(module), raise_on_error=False)
    assert result.attempted > 0
    assert not result.failed


def test_entry_points_have_a_worked_example() -> None:
    """Each function that the library is entered by, and each class of options, shows how it is used."""
    for name in ("trace_migrations", "readable_spans", "TraceOptions", "LogOptions", "ClockOptions"):
        assert ">>> " in (getattr(otelmig, name).__doc__ or ""), name
