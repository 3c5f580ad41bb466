"""The house: who may import what, what start-up loads, and that the names of attributes are sound."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

import otelmig
from otelmig import announcement
from otelmig.hypervisors import hypervisors
from otelmig.instrument.measurements import MODES
from otelmig.migration.facts import DirtyRateMethod, ErrorType
from otelmig.migration.side import Mode
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.spans import EventName, SpanName

_PACKAGE = Path(otelmig.__file__).parent
_MODULES = sorted(_PACKAGE.rglob("*.py"))


_LOWER: Final = frozenset({"announcement", "errors", "printable", "structs", "units", "version"})
"""Modules at the top that everything may import."""
_ALLOWED: Final = {
    "announcement": frozenset[str](),
    "errors": frozenset[str](),
    "printable": frozenset[str](),
    "structs": frozenset[str](),
    "units": frozenset[str](),
    "version": frozenset[str](),
    "inputs": _LOWER,
    "migration": _LOWER | {"inputs"},
    "hypervisors": _LOWER | {"inputs", "migration"},
    "clock": _LOWER | {"inputs", "migration"},
    "pairing": _LOWER | {"inputs", "migration", "hypervisors", "clock"},
    "trace": _LOWER | {"inputs", "migration", "clock", "pairing"},
    "otlp": _LOWER | {"announcement", "inputs", "migration", "trace"},
    "views": _LOWER | {"migration", "hypervisors", "clock", "pairing", "trace"},
    "instrument": frozenset({"announcement", "version"}),
    "live": _LOWER
    | {"announcement", "inputs", "migration", "hypervisors", "clock", "pairing", "trace", "otlp", "version"},
    "pipeline": _LOWER | {"inputs", "migration", "hypervisors", "clock", "pairing", "trace"},
}
"""Which folder (or module at the root) may import which, in the order in which data flows; ``cli`` sees everything."""
_FOREIGN: Final = frozenset({"opentelemetry", "grpc", "requests", "urllib3", "google"})
_API: Final = frozenset({"context", "metrics", "trace"})
"""What programs that are instrumented are made to import of OpenTelemetry: parts of its API, and nothing else."""
_DOOR_TO_RECORDS: Final = ("instrument/records.py", "_logs")
"""The API's only door to log records, and the one module that opens it."""
_SEES_ALL: Final = frozenset({"cli", "__main__", "__init__"})
_BY_NAME: Final = frozenset({"import_module", "__import__", "exec", "eval"})
"""Calls that import what no reader of the source sees."""
_LOADS_BY_NAME: Final = frozenset({"__init__.py", "cli/main.py"})
"""Modules that make such calls: for public names, and for the command that is asked for."""


def _room(module: str) -> str:
    """The folder, or the module at the root, that a dotted name below ``otelmig`` belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _name(path: Path) -> str:
    place = path.relative_to(_PACKAGE.parent).with_suffix("")
    return ".".join(place.parts)


@cache
def _imports(path: Path) -> frozenset[str]:
    """Return what ``path`` imports, for type checking and inside functions, too: modules, and each name in them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names}
            if module != "otelmig":  # the root is imported for what is below it
                names.add(module)
    return frozenset(names)


def _loads_by_name(path: Path) -> frozenset[str]:
    """Return which calls of ``path`` import modules that are named by strings, however the calls are reached."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return frozenset(names & _BY_NAME)


def _wrong_imports(path: Path) -> set[str]:
    """Return what a module imports and may not."""
    room, imported = _room(_name(path)), _imports(path)
    place, door = _DOOR_TO_RECORDS
    if str(path.relative_to(_PACKAGE)) == place:
        imported -= {name for name in imported if f"{name}.".startswith(f"opentelemetry.{door}.")}
    foreign = {name for name in imported if name.split(".")[0] in _FOREIGN}
    if room == "instrument":
        foreign = {name for name in foreign if name.partition(".")[2].split(".")[0] not in {"", *_API}}
    wrong = set() if room == "otlp" else foreign
    parts = {part for name in imported for part in name.split(".")}
    wrong |= {part for part in parts if part.startswith("_") and not part.endswith("__")}
    own = {_room(name) for name in imported if name.split(".")[0] == "otelmig"} - {room}
    return wrong if room in _SEES_ALL else wrong | (own - _ALLOWED[room])


def test_arrows() -> None:
    """A module imports only what stands higher in the flow; only otlp/ knows OpenTelemetry; nobody private modules.

    What programs are instrumented with imports the API of OpenTelemetry.
    """
    assert len(_MODULES) > 300
    assert {_name(path): wrong for path in _MODULES if (wrong := _wrong_imports(path))} == {}


def test_no_module_is_loaded_by_name() -> None:
    """No import goes round the table of arrows: only the two doors of the package load modules by their names."""
    assert {str(path.relative_to(_PACKAGE)) for path in _MODULES if _loads_by_name(path)} == _LOADS_BY_NAME


@pytest.mark.parametrize(
    "source",
    [
        "import otelmig.trace.spans",
        "from otelmig.trace import spans",
        "from otelmig.trace.spans import SPANS as rows",
        "def late():\n    from otelmig.trace.spans import SPANS",
        "if TYPE_CHECKING:\n    from otelmig.trace.spans import SpanRow",
        "import importlib\ndef late():\n    importlib.import_module('otelmig.trace.spans')",
        "from importlib import import_module as load",
        "__import__('otelmig.trace.spans')",
    ],
)
def test_imports_are_found_in_every_form(source: str, tmp_path: Path) -> None:
    """What the arrows are checked by sees imports inside functions, for type checkers, and by name."""
    path = tmp_path / "module.py"
    path.write_text(f"{source}\n")
    assert "otelmig.trace" in {name[: len("otelmig.trace")] for name in _imports(path)} or _loads_by_name(path)


def test_no_circle() -> None:
    """No two modules import each other, not even by way of others or for type checking alone."""
    modules = {_name(path).removesuffix(".__init__"): path for path in _MODULES}
    imports: dict[str, set[str]] = {}
    for name, path in modules.items():
        imported = (_imports(path) & modules.keys()) - {name}
        # "from package import module" is an import of the module, not of what the package's own module defines
        imports[name] = {each for each in imported if not any(other.startswith(f"{each}.") for other in imported)}
    assert len(list(TopologicalSorter(imports).static_order())) == len(modules)  # raises CycleError, which names it


def test_nobody_enters_a_hypervisors_package() -> None:
    """What one hypervisor's lines mean is known in its own package; the registry alone opens its door."""
    packages = {f"otelmig.hypervisors.{each.name}" for each in (_PACKAGE / "hypervisors").iterdir() if each.is_dir()}
    packages.discard("otelmig.hypervisors.__pycache__")
    assert packages
    entered = {
        (name, each)
        for path in _MODULES
        if (name := _name(path)) != "otelmig.hypervisors.__init__"
        for package in packages
        if not name.startswith(f"{package}.")
        for each in _imports(path)
        if each == package or each.startswith(f"{package}.")
    }
    assert not entered


def _vocabulary(package: Path) -> frozenset[str]:
    """The members of the enumerations in a hypervisor's ``kinds`` that are no ordinary words."""
    values = {
        node.targets[0].id
        for parent in ast.walk(ast.parse((package / "kinds.py").read_text()))
        if isinstance(parent, ast.ClassDef)
        for node in parent.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return frozenset(value for value in values if "_" in value)


def test_nobody_names_a_moment_of_a_hypervisors_log() -> None:
    """What leaves a package is facts: no module outside it names a member of its vocabulary, or spells its value."""
    package = _PACKAGE / "hypervisors" / "cloud_hypervisor"
    vocabulary = _vocabulary(package)
    assert {"VM_PAUSING", "DIRTY_ROUND", "COMMAND_RECEIVED"} <= vocabulary
    of_facts = {member.upper() for member in (*ErrorType, *DirtyRateMethod)}  # "resume_failed" is an error type, too
    named = {
        f"{path.relative_to(_PACKAGE)}:{node.lineno}"
        for path in _MODULES
        if package not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Kind")
        or (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.upper() in vocabulary - of_facts
        )
    }
    assert not named


_NAMES_A_HYPERVISOR = {"trace/attributes.py"}
"""The attribute table names what each hypervisor's resources carry."""


def test_only_its_package_names_a_hypervisor() -> None:
    """A second hypervisor is a package and a line in the registry: nothing else knows the first one by its name."""
    systems = [each.system for each in hypervisors()]
    assert systems
    named = {
        str(place)
        for path in _MODULES
        if (place := path.relative_to(_PACKAGE)).parts[0] != "hypervisors"
        and any(system in path.read_text() for system in systems)
    }
    assert named == _NAMES_A_HYPERVISOR


@pytest.mark.parametrize("statement", ["import otelmig", "from otelmig.cli.main import build_parser; build_parser()"])
def test_start_up_loads_no_exporter(statement: str) -> None:
    """Importing the package, or building the parser, loads neither OpenTelemetry, an exporter's library nor rich."""
    heavy = ("opentelemetry", "grpc", "requests", "rich")
    code = f"{statement}; import sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tracing_makes_no_dataclasses() -> None:
    """What finished logs need is made of cheaper classes: the standard library compiles six functions for each."""
    log = Path(__file__).parents[1] / "corpus" / "v51.1-basicv" / "source.log"
    code = f"import sys; from otelmig.cli.main import main; main(['trace', '-q', {str(log)!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"otelmig.trace.build", "msgspec"} <= loaded
    assert "dataclasses" not in loaded


def test_a_program_that_announces_pays_for_the_api_alone() -> None:
    """Importing what it needs loads neither the SDK nor anything of the reader, beyond what the API loads itself."""
    of_api, of_ours = (
        set(
            subprocess.check_output(
                [sys.executable, "-c", f"import sys, {names}; print(*sys.modules)"], text=True
            ).split()
        )
        for names in ("opentelemetry.trace, opentelemetry.metrics, opentelemetry._logs", "otelmig.instrument")
    )
    more = of_ours - of_api
    own = {"otelmig", "otelmig.announcement", "otelmig.version", "otelmig.instrument"}
    own |= {f"otelmig.instrument.{path.stem}" for path in (_PACKAGE / "instrument").glob("[a-z]*.py")}
    assert {name for name in more if name.split(".")[0] not in sys.stdlib_module_names} == own
    # from Python 3.12 on, parsing URLs loads the mathematics, too
    assert {name.split(".")[0] for name in more - own} <= {"urllib", "ipaddress", "math"}


def test_announced_names_are_those_of_the_tables() -> None:
    """Whoever announces spells the same names as the attribute table, and what the table says of a request is all."""
    assert set(announcement.ATTRIBUTES) == {row.name for row in ATTRIBUTES if "request" in row.on.split(", ")}
    assert announcement.REQUEST_SPAN not in set(SpanName)
    names = {*announcement.RecordName, *announcement.ClientMetric}
    assert not names & {*EventName, *(row.name for row in ATTRIBUTES)}
    assert frozenset(Mode) == MODES


def test_attribute_names_are_sound() -> None:
    """No name twice, none that is also the prefix of another, none with a unit."""
    names = [row.name for row in ATTRIBUTES]
    assert len(set(names)) == len(names)
    assert not [(one, other) for one in names for other in names if other.startswith(f"{one}.")]
    assert not [name for name in names if name.endswith(("_ms", "_s", "_ns", "_bytes"))]
