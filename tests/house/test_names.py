"""The tables are the only places that spell a name: of an attribute, a span, an event, a log record, a metric."""

from __future__ import annotations

import ast
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import otelmig
from otelmig.announcement import ClientMetric, RecordName
from otelmig.clock import epoch, proof
from otelmig.migration import facts, side, stamp, url
from otelmig.otlp.telemetry.names import ServiceMetric, ServiceRecord
from otelmig.pairing import agreement
from otelmig.trace import attributes
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.spans import EventName, SpanName

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE: Final = Path(otelmig.__file__).parent
_TABLES: Final = frozenset({"trace/attributes.py", "trace/spans.py", "otlp/telemetry/names.py"})
_ROOMS: Final = frozenset({"trace", "otlp", "views", "cli", "pairing", "clock", "instrument", "live", "pipeline.py"})
_ROOMS_OF_SPANS: Final = frozenset({"trace", "otlp", "views", "live", "pipeline.py"})
"""Where spans are made or read."""
_MODULES: Final = sorted(
    path
    for path in _PACKAGE.rglob("*.py")
    if path.relative_to(_PACKAGE).parts[0] in _ROOMS and str(path.relative_to(_PACKAGE)) not in _TABLES
)
_DOTTED: Final = frozenset(
    {*(row.name for row in ATTRIBUTES), *EventName, *RecordName, *ClientMetric, *ServiceMetric, *ServiceRecord}
)
_PREFIXES: Final = frozenset(
    f"{prefix}."
    for name in _DOTTED
    for prefix in (name.rsplit(".", count)[0] for count in range(1, name.count(".") + 1))
    if prefix != "otelmig"  # the package itself, and the schemas of JSON documents
)
_WORDS: Final = frozenset(SpanName)


def _strings(path: Path, *, keys: bool = True) -> Iterator[tuple[int, str]]:
    """Every string constant and every piece of an f-string, with its line; neither docstrings nor ``__all__``.

    Without ``keys``, those of dictionaries are left out, too: the keys of JSON documents are names of their own.
    """
    tree = ast.parse(path.read_text())
    exempt: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            exempt.add(id(node.value))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exempt |= {id(name) for name in ast.walk(node.value)}
        elif isinstance(node, ast.Dict) and not keys:
            exempt |= {id(key) for key in node.keys}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt:
            yield node.lineno, node.value


def _is_dotted_name(text: str) -> bool:
    """Whether a text is, or begins with, the name of an attribute or an event, or the beginning of one."""
    return text in _DOTTED or text.startswith(tuple(_PREFIXES))


def _closed_sets() -> frozenset[str]:
    """The values of every enumeration of texts that attributes have, or that sides are told by."""
    kinds: set[type[StrEnum]] = set()
    for module in (agreement, attributes, epoch, facts, proof, side, stamp, url):
        kinds |= {kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, StrEnum)}
    return frozenset(value for kind in kinds - {StrEnum} for value in kind)


def _compared(path: Path) -> Iterator[tuple[int, str]]:
    """Every string constant that something is compared with, and the keys of each dictionary that has more than one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare):
            texts = [each for side in (node.left, *node.comparators) for each in ast.walk(side)]
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            texts = [key for key in node.keys if key is not None]
            if not all(isinstance(key, ast.Constant) and key.value in _VALUES for key in texts):
                continue  # not a table over a closed set: names of fields that are spelt like a value
        else:
            continue
        yield from (
            (each.lineno, each.value)
            for each in texts
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        )


_VALUES: Final = _closed_sets() | {attributes.MIXED_CLOCKS}


def test_no_stray_value() -> None:
    """Whoever compares with a value of a closed set, or has a table over one, names its member.

    To HTTP, ``identity`` is an encoding; what programs are instrumented with imports no table.
    """
    assert {"success", "partial", "conflict", "endpoint", "wallclock"} <= _VALUES
    for path in _MODULES:
        place = path.relative_to(_PACKAGE)
        wrong = [(str(place), text) for _, text in _compared(path) if text in _VALUES]
        assert set(wrong) <= {("otlp/intake/http_exchange.py", "identity"), ("instrument/endpoint.py", "unix")}


def test_no_stray_name() -> None:
    """No string is the name of an attribute or an event, or the beginning of one; none is the name of a span.

    The names of spans are words, which mean other things elsewhere: a command is called ``send``, a mode ``postcopy``.
    """
    assert len(_MODULES) > 100
    for path in _MODULES:
        place = path.relative_to(_PACKAGE)
        assert not [(place, line, text) for line, text in _strings(path) if _is_dotted_name(text)]
        if place.parts[0] in _ROOMS_OF_SPANS:
            assert not [(place, line, text) for line, text in _strings(path, keys=False) if text in _WORDS]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('x["vm.migration.mode"]', True),
        ('f"vm.migration.blackout.{end}"', True),
        ('f"service.{x}"', True),
        ('"vm.paused"', True),
        ('"vm.migration."', True),
        ('"otelmig.clock.status is unknown"', True),
        ('"otelmig.summary/1"', False),
        ('"vm"', False),
        ("names.VM_ID", False),
    ],
)
def test_stray_names_are_found(source: str, *, found: bool, tmp_path: Path) -> None:
    """The search finds whole names and the pieces that names are built from, and nothing else."""
    path = tmp_path / "module.py"
    path.write_text(f'"""Of vm.migration.mode."""\nx = {source}\n')
    assert any(_is_dotted_name(text) for _, text in _strings(path)) == found


def _units(path: Path) -> Iterator[tuple[int, str]]:
    """What a module writes that ``units.py`` has a name for: a power of a thousand, or a round number of ns."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            power = ast.unparse(node)
            if power in {"10 ** 3", "10 ** 6", "10 ** 9"}:
                yield node.lineno, power
        elif isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant):
            name, value = ast.unparse(node.target), node.value.value
            if name.endswith("_NS") and isinstance(value, int) and value and not value % 1_000:
                yield node.lineno, name


def test_units_are_written_once() -> None:
    """Nanoseconds are a number of microseconds, milliseconds or seconds; what these are is in ``units.py`` alone."""
    modules = [path for path in _PACKAGE.rglob("*.py") if path.name != "units.py"]
    assert {str(path.relative_to(_PACKAGE)): wrong for path in modules if (wrong := list(_units(path)))} == {}


@pytest.mark.parametrize(
    ("source", "is_stray"),
    [
        ("x = 5 * 10**9", True),
        ("_FAR_NS: Final = 2_000", True),
        ("_FAR_NS: Final = 2 * MICROSECOND_NS", False),
        ("_EXACT_NS: Final = 650", False),
        ("_MOST: Final = 1_000", False),
        ("x = 10**18", False),
    ],
)
def test_stray_units_are_found(source: str, *, is_stray: bool, tmp_path: Path) -> None:
    """The search finds powers of a thousand and round numbers of nanoseconds, and nothing else."""
    path = tmp_path / "module.py"
    path.write_text(source)
    assert bool(list(_units(path))) is is_stray


def _pronouns(path: Path) -> Iterator[tuple[int, str]]:
    """Every variable and parameter whose name says only that there is something."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else None
        if name in {"each", "found", "given", "seen"}:
            yield getattr(node, "lineno", 0), name


def test_a_variable_says_what_it_holds() -> None:
    """A noun stands for what a variable holds: an observation is not called seen, nor a side each."""
    modules = list(_PACKAGE.rglob("*.py"))
    assert {str(path.relative_to(_PACKAGE)): wrong for path in modules if (wrong := list(_pronouns(path)))} == {}


@pytest.mark.parametrize(
    ("source", "is_pronoun"),
    [
        ("[each.name for each in sides]", True),
        ("def add(seen): pass", True),
        ("side.seen = 1", False),
        ("[side.name for side in sides]", False),
    ],
)
def test_pronouns_are_found(source: str, *, is_pronoun: bool, tmp_path: Path) -> None:
    """The search finds variables and parameters; fields have names that say something beside their object's."""
    path = tmp_path / "module.py"
    path.write_text(source)
    assert bool(list(_pronouns(path))) is is_pronoun
