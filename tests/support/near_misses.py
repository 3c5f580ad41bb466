"""Long texts that nearly match the regular expressions of the package: none may cost more than linear time."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import otelmig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

from command_run import run_command, within
from mutations import Case, recordings

__all__ = ["LENGTH", "Named", "named_pattern", "near_misses", "patterns", "slow_methods", "slow_patterns"]


LENGTH: Final = 10_000
"""Characters; the same text is also tried at a quarter of this length, and at four times if that is suspicious."""
_RUNS: Final = ("1", " ", '"', "\\", "a", "(", "-", "{", "\n", "\r", ".", "a1", '\\"', "x ", "é")
_TRIVIAL_S: Final = 0.001
"""Nothing that takes less is suspicious, on a text of that length; on a shorter one, by the square of its length."""
_LEAST_S: Final = 0.004
"""So much CPU time is measured at least, or five ticks where it is counted in ticks of some milliseconds."""
_PATIENCE_S: Final = 1.0
_LAST_LOOKS: Final = 5
_GROWTH_OF_PATTERN: Final = 9
"""Four times the text: three times as long per doubling is still taken for linear."""
_SEARCHING: Final = frozenset({"search", "finditer", "findall", "sub", "subn", "split"})
_ANCHORED: Final = frozenset({"match", "fullmatch"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A regular expression of the package, where it was found, and how it is used."""

    pattern: re.Pattern[Any]
    place: str
    methods: Mapping[str, Callable[[Any], Any]]
    """Searching costs more than matching, so it is tried only where something may do it."""


def _modules() -> Iterator[Any]:
    yield otelmig
    for found in pkgutil.walk_packages(otelmig.__path__, "otelmig."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def patterns() -> list[Named]:
    """Every regular expression of the package: what its modules hold, what it compiles at work, and constants."""
    found: dict[tuple[str | bytes, int], Named] = {}
    used = _uses()
    for module in _modules():
        for place, pattern in [*_reachable(vars(module), module.__name__, set()), *_inline(module)]:
            name = re.findall(r"\w+", place)[-1].lower()
            found.setdefault((pattern.pattern, pattern.flags), named_pattern(pattern, place, used.get(name, set())))
    for spy in _compiled_at_work():
        found.setdefault((spy.own.pattern, spy.own.flags), named_pattern(spy.own, spy.place, spy.used))
    return list(found.values())


def named_pattern(pattern: re.Pattern[Any], place: str, used: set[str]) -> Named:
    """How a pattern is used; with one that nobody is seen to use, a search is expected."""
    methods: dict[str, Callable[[Any], Any]] = {name: getattr(pattern, name) for name in sorted(used & _ANCHORED)}
    if not used or used & _SEARCHING:
        methods["search"] = partial(_search_all, pattern)
    return Named(pattern=pattern, place=place, methods=methods)


def _search_all(pattern: re.Pattern[Any], subject: str | bytes) -> None:
    """Search to the end of the text, whatever is found on the way."""
    deque(pattern.finditer(subject), maxlen=0)


class _Spy:
    """Stands for a compiled pattern, and notes which of its methods are called."""

    def __init__(self, own: re.Pattern[Any], place: str) -> None:
        self.own = own
        self.place = place
        self.used: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name in _SEARCHING | _ANCHORED:
            self.used.add(name)
        return getattr(self.own, name)


def _compiled_at_work() -> list[_Spy]:
    """What is compiled when it is first needed, found by reading every recording; works once in a process.

    Some are drawn, too: that needs what it compiles for one as for all.
    """
    spies = []
    compile_pattern = re.compile

    def compiled(pattern: Any, flags: int = 0) -> Any:
        own = compile_pattern(pattern, flags)
        caller = sys._getframe(1)  # noqa: SLF001 - who compiles is the question
        if not str(caller.f_globals.get("__name__")).startswith("otelmig"):
            return own
        spies.append(_Spy(own, f"{caller.f_globals['__name__']}:{caller.f_lineno}"))
        return spies[-1]

    with mock.patch.object(re, "compile", compiled), tempfile.TemporaryDirectory() as folder:
        for number, recording in enumerate(recordings()):
            names = Case(seed=0, files=recording).write(Path(folder) / str(number))
            run_command(["trace", *(f"{folder}/{number}/{name}" for name in names), *(["-q"] if number % 4 else [])])
        for row in importlib.import_module("otelmig.hypervisors.cloud_hypervisor.messages").TABLE:
            row.values("")
    return spies


@cache
def _nodes(module: ModuleType) -> list[ast.Call | ast.Attribute]:
    """What a module calls, and the attributes that it names."""
    tree = ast.parse(inspect.getsource(module))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call | ast.Attribute)]


def _uses() -> dict[str, set[str]]:
    """By name in lower case, with which methods the package uses what has that name."""
    used: dict[str, set[str]] = {}
    for module in _modules():
        for node in _nodes(module):
            if isinstance(node, ast.Attribute) and node.attr in _SEARCHING | _ANCHORED:
                owner = node.value
                name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                used.setdefault(name.lower(), set()).add(node.attr)
    return used


def _inline(module: Any) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """What is given to ``re.search`` and the like as a constant."""
    for node in _nodes(module):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name), args=[ast.Constant(value=text), *_]):
                if name in _SEARCHING | _ANCHORED:
                    yield f"{module.__name__}:{node.lineno}", re.compile(text)


def _reachable(value: object, place: str, seen: set[int]) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The patterns inside ``value``: in containers, attributes of own objects, classes and closures."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, re.Pattern):
        yield place, value
        return
    for name, part in _parts(value):
        yield from _reachable(part, f"{place}{name}", seen)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    own = str(getattr(value, "__module__", "") or getattr(type(value), "__module__", "")).startswith("otelmig")
    if isinstance(value, dict):
        yield from ((f".{key}" if isinstance(key, str) else f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{number}]", part) for number, part in enumerate(value))
    elif isinstance(value, partial):
        yield from _parts((value.func, *value.args, *value.keywords.values()))
    elif own and inspect.isfunction(value):
        yield from ((f".{name}", part) for name, part in inspect.getclosurevars(value).nonlocals.items())
    elif own and not inspect.ismodule(value):
        names = {*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())}
        yield from ((f".{name}", getattr(value, name, None)) for name in sorted(names) if not name.startswith("__"))


@dataclass(slots=True, kw_only=True)
class _Sampler:
    """Writes a text that a pattern matches; one of its repetitions, or all, may be stretched beyond every limit."""

    stretched: int | None = None
    """The number of the repetition; -1 for all."""
    length: int = 1
    branch: int = 0
    repetitions: int = 0
    branches: int = 1

    def text(self, tree: Iterable[tuple[Any, Any]]) -> str:
        """A text for this part of the parsed pattern."""
        return "".join(self._item(str(operation), argument) for operation, argument in tree)

    def _item(self, operation: str, argument: Any) -> str:
        match operation:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return _character(tuple(argument) if operation == "IN" else ((operation, argument),))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                return self._repetition(argument[0], argument[2])
            case "BRANCH":
                self.branches = max(self.branches, len(argument[1]))
                return self.text(argument[1][self.branch % len(argument[1])])
            case "SUBPATTERN":
                return self.text(argument[3])
            case "ATOMIC_GROUP":
                return self.text(argument)
            case _:
                return ""  # looks, but takes nothing

    def _repetition(self, least: int, tree: Iterable[tuple[Any, Any]]) -> str:
        stretched = self.stretched in (self.repetitions, -1)
        self.repetitions += 1
        once = self.text(tree)
        return once * (self.length // max(len(once), 1) if stretched else max(least, 1))


_ALPHABET: Final[tuple[str, ...]] = (
    *'1ax -"\\\n\r._,=:<>()[]{}\t\0',
    *map(chr, range(256)),
    "\N{MICRO SIGN}",
    "\N{EM DASH}",
)
_BRANCHES: Final = 12


@cache
def _character(items: Sequence[tuple[object, Any]]) -> str:
    """A character that a set of a parsed pattern takes, one that it names if possible."""
    negated = str(items[0][0]) == "NEGATE"
    codes = [code for _, argument in items for code in (argument if isinstance(argument, tuple) else (argument,))]
    own: list[str] = [] if negated else [chr(code) for code in codes if type(code) is int]
    return next(each for each in (*own, *_ALPHABET) if any(_takes(item, each) for item in items) != negated)


def _takes(item: tuple[object, Any], character: str) -> bool:
    operation, argument = str(item[0]), item[1]
    match operation:
        case "LITERAL":
            return bool(ord(character) == argument)
        case "NOT_LITERAL":
            return bool(ord(character) != argument)
        case "RANGE":
            return bool(argument[0] <= ord(character) <= argument[1])
        case "CATEGORY":
            kind = re.compile({"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(argument).rpartition("_")[2]])
            return bool(kind.match(character)) != ("_NOT_" in str(argument))
        case _:
            return operation == "ANY"


def near_misses(pattern: re.Pattern[Any]) -> Iterator[Callable[[int], str]]:
    """Makers of long texts that nearly match, from the pattern's own text; each is given the length."""
    tree = importlib.import_module("re._parser").parse(pattern.pattern, pattern.flags)
    first = _Sampler()
    first.text(tree)
    for branch in range(0, first.branches, -(-first.branches // _BRANCHES)):
        sampler = _Sampler(branch=branch)
        text = sampler.text(tree)
        for part in dict.fromkeys((text, text[:-1], text[: len(text) // 2], text[: len(text) // 4], text[:1])):
            if part:
                yield partial(_filled, "", part, "")
                yield partial(_filled, part, text[:1], "")
        for run in _RUNS if branch == 0 else ():
            for begin in dict.fromkeys(("", text[: len(text) // 2], text[:-1], text)):
                yield partial(_filled, begin, run, "")
        runs = _literal_runs(tree)
        for run in filter(None, dict.fromkeys((*runs, "".join(runs)))):
            yield partial(_filled, text[: text.find(run) + 1] or text[:1], run, "")
            yield partial(_filled, text[:-1], run, "\n")
        for stretched in range(-1, sampler.repetitions):
            for last in ("", "\0", "!"):
                yield partial(_stretched, tree, branch, stretched, last)


def _literal_runs(tree: Iterable[tuple[Any, Any]]) -> list[str]:
    """The texts between the variable parts of a pattern, but for the first: each may end the part before it."""
    runs, text = [], ""
    for operation, argument in [*_flat(tree), ("END", None)]:
        if operation == "LITERAL":
            text += chr(argument)
        elif text:
            runs.append(text)
            text = ""
    return runs[1:]


def _flat(tree: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """The items of a parsed pattern, those of its groups in their place."""
    for operation, argument in tree:
        match str(operation):
            case "SUBPATTERN":
                yield from _flat(argument[3])
            case "ATOMIC_GROUP":
                yield from _flat(argument)
            case name:
                yield name, argument


def _filled(begin: str, part: str, end: str, length: int) -> str:
    return begin + part * (length // len(part)) + end


def _stretched(tree: Any, branch: int, stretched: int, last: str, length: int) -> str:
    """A match with long variable parts, but for its last character."""
    text = _Sampler(stretched=stretched, length=length, branch=branch).text(tree)
    return text + last if last == "!" else text[:-1] + last


@cache
def _tick_s() -> float:
    """Return by how much the CPU time grows at least."""
    steps: list[float] = []
    last = time.process_time()
    while len(steps) < 3:
        if (now := time.process_time()) > last:
            steps.append(now - last)
            last = now
    return min(steps)


def _matching_s(method: Callable[[Any], Any], subject: str | bytes) -> float:
    """CPU seconds of one match; infinite if that takes too long."""
    least_s = max(_LEAST_S, 5 * _tick_s())

    def work() -> float:
        begin, calls, spent = time.process_time(), 0, 0.0
        while spent < least_s:
            method(subject)
            calls, spent = calls + 1, time.process_time() - begin
        return spent / calls

    return within(_PATIENCE_S, work)


def _glance_s(method: Callable[[Any], Any], subject: str | bytes) -> float:
    """Seconds of one match by the clock on the wall, which has finer ticks; infinite if that takes too long."""

    def work() -> float:
        begin = time.perf_counter()
        method(subject)
        return time.perf_counter() - begin

    return within(_PATIENCE_S, work)


def _is_suspicious(method: Callable[[Any], Any], length: int, subject: Callable[[int], str | bytes]) -> bool:
    """Whether a text seems to cost too much for its length; a second look tells that from a machine that is busy."""
    text = subject(length)
    first_s = _glance_s(method, text)
    if first_s < _TRIVIAL_S * (length / LENGTH) ** 2:
        return False
    enough_s = 0.7 * _GROWTH_OF_PATTERN * _glance_s(method, subject(length // 4))
    return first_s >= enough_s and _glance_s(method, text) >= enough_s


def _grows_too_fast(method: Callable[[Any], Any], length: int, subject: Callable[[int], str | bytes]) -> str | None:
    """Compare a text with one four times as long; None if the time grows with the length."""
    # bounded repetitions look quadratic up to their bound, and a busy machine is no fault: only what stays is one,
    # in the fastest of several looks in turns, since a spell in which the machine is slow outlasts one
    for size, looks in ((length // 4, 1), (length, 1), (length, _LAST_LOOKS)):
        shorter = longer = float("inf")
        for _ in range(looks):
            shorter = min(shorter, _matching_s(method, subject(size)))
            if shorter == float("inf"):
                return f"does not end on {size} characters"
            longer = min(longer, _matching_s(method, subject(4 * size)))
        verdict = f"{shorter * 1000:.2f} ms for {size} characters, {longer * 1000:.1f} ms for {4 * size}"
        if longer < _GROWTH_OF_PATTERN * shorter:
            return None
    return verdict


def slow_patterns(length: int = LENGTH) -> Iterator[str]:
    """A line for every regular expression that takes more than linear time on some text of about that length."""
    for named in patterns():
        for name, verdict in slow_methods(named, length):
            yield f"{named.place}: {name}: {verdict}; {named.pattern.pattern!r}"


def slow_methods(named: Named, length: int = LENGTH) -> Iterator[tuple[str, str]]:
    """At most one verdict for each way in which the pattern is used."""
    encoding = "latin-1" if isinstance(named.pattern.pattern, bytes) else None
    left = dict(named.methods)
    seen = set()
    for make in near_misses(named.pattern):
        subject = partial(_subject, make, encoding)
        text = subject(length)
        if text in seen:
            continue
        seen.add(text)
        for name, method in list(left.items()):
            if _is_suspicious(method, length, subject) and (verdict := _grows_too_fast(method, length, subject)):
                del left[name]
                yield name, f"{verdict}, as in {make(20)[:80]!r}"


def _subject(make: Callable[[int], str], encoding: str | None, length: int) -> str | bytes:
    return make(length) if encoding is None else make(length).encode(encoding, "replace")
