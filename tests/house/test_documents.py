"""The documents say what the code does: generated parts, commands, options, links, paths, examples and words."""

from __future__ import annotations

import doctest
import re
import shlex
from typing import TYPE_CHECKING, Final

import pytest
from command_line import commands, options
from command_run import run_command
from document_parts import DOCUMENTS, PICTURE, REPOSITORY, parts_of, rendered, waterfall_picture
from trace_invariants import CORPUS, traced

from otelmig.cli.main import build_parser
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import RULES
from otelmig.trace.attributes import ATTRIBUTES
from otelmig.trace.spans import SPANS, EventName

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_README: Final = REPOSITORY / "README.md"
_DOCS: Final = REPOSITORY / "docs"
_LEAST, _MOST = 120, 160
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_GENERATED: Final = re.compile(r"<!-- generated: .*?<!-- end -->", re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^()\s]+)\)")
_PAGES: Final = pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(REPOSITORY)))
_RECORDING: Final = CORPUS / "v53.0-twohosts"
_STAND_INS: Final = {
    "source.log": "source.log",
    "destination.log": "destination.log",
    "hostA/ch.log": "source.log",
    "hostB/ch.log": "destination.log",
    "before.txt": "clockping.before.txt",
    "after.txt": "clockping.after.txt",
}
"""Files that the documents name, and which file of the recording is theirs when a command is run."""


def _code(text: str, *languages: str) -> Iterator[str]:
    """The blocks of code in these languages."""
    yield from (block for language, block in _FENCE.findall(text) if language in languages)


def _commands_in(text: str) -> list[list[str]]:
    """The arguments of each ``otelmig`` that a shell would run: comments, pipes and continued lines taken care of."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = (part.strip() for line in lines for part in line.split(" | "))
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("otelmig ")]


_EPILOGS: Final = "\n".join(parser.epilog or "" for parser in commands().values())
_DOCUMENTED: Final = [
    (page.name, command)
    for page in DOCUMENTS
    for block in _code(page.read_text(), "sh")
    for command in _commands_in(block)
] + [("--help", command) for command in _commands_in(_EPILOGS)]


# --- what is generated --------------------------------------------------------------------------------------------


@_PAGES
def test_generated_parts_are_what_the_code_gives(page: Path) -> None:
    """Real output, and the tables of the code: ``make golden`` writes them."""
    assert rendered(page.read_text()) == page.read_text()


def test_the_picture_is_what_the_code_draws() -> None:
    """It shows the tree of today."""
    assert PICTURE.read_text() == waterfall_picture()


def test_every_generated_part_is_in_a_document() -> None:
    """The tables that users look things up in are there, once each."""
    names = [name for page in DOCUMENTS for name in parts_of(page.read_text())]
    assert len(names) == len(set(names))
    tables = {"attributes", "spans", "events", "rules", "commands", "blackouts", "public names", "imports", "tree"}
    tables |= {"announcement records", "announcement metrics", "instrument"}
    assert tables | {f"schema {name}" for name in ("summary", "explain", "doctor", "send")} <= set(names)


def test_tables_are_complete() -> None:
    """Every attribute, span, event, option and command is on the page where it is looked for."""
    trace, cli = ((_DOCS / name).read_text() for name in ("trace.md", "cli.md"))
    assert not [row.name for row in ATTRIBUTES if f"| `{row.name}` |" not in trace]
    assert not [row.name for row in SPANS if f"| `{row.name}` |" not in trace]
    assert not [name for name in EventName if f"`{name}`" not in trace]
    assert not [name for name in commands() if f"\n## otelmig {name}\n" not in cli]
    every = list(options())
    assert {"--clock", "--spool", "--spool-size", "--width"} <= {name for _, names in every for name in names}
    assert not [names for _, names in every if not all(re.search(rf"`{name}[` ]", cli) for name in names)]


def test_every_option_is_explained_beside_the_reference() -> None:
    """Each option of a command is also on a page that says what it is for."""
    explained = "".join(page.read_text() for page in DOCUMENTS if page.name != "cli.md")
    explained += _GENERATED.sub("", (_DOCS / "cli.md").read_text())
    unexplained = {
        names
        for _, names in options()
        if not any(re.search(rf"(?<![\w-]){name}(?![\w-])", explained) for name in names)
    }
    assert not unexplained


# --- what can be tried --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "command"), _DOCUMENTED, ids=[" ".join(command) for _, command in _DOCUMENTED])
def test_documented_commands_parse(page: str, command: list[str]) -> None:
    """Every command line in a document, or in a help text, is one that the parsers take."""
    arguments = build_parser().parse_args(command)
    assert arguments.command == command[0], page


def _stands_in(command: list[str]) -> bool:
    """Whether a command reads shipped recordings only, ends by itself, and sends nothing."""
    files = [word for word in command[1:] if word.endswith((".log", ".txt", ".json", ".jsonl", ".gz")) or word == "-"]
    known = all(file in _STAND_INS or (REPOSITORY / file).is_file() for file in files)
    return known and command[0] not in {"send", "serve", "watch"} and "--otlp" not in command and "-o" not in command


_RUNNABLE: Final = sorted({tuple(command) for _, command in _DOCUMENTED if _stands_in(command)})


@pytest.mark.parametrize("command", _RUNNABLE, ids=" ".join)
def test_documented_commands_run(command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that need nothing but a recording do what the page says, without a word of complaint."""
    for name, file in _STAND_INS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((_RECORDING / file).read_bytes())
    (tmp_path / "tests").symlink_to(REPOSITORY / "tests")
    monkeypatch.chdir(tmp_path)
    run = run_command(command)
    assert (run.code, run.raised) == (0, "")
    assert run.stdout


def test_the_commands_that_run_are_most_of_those_that_can() -> None:
    """The list above is not empty because of how it is made."""
    names = {command[0] for command in _RUNNABLE}
    assert names == {"trace", "explain", "doctor", "demo"}
    assert len(_RUNNABLE) > 8


def test_targets_of_make_exist() -> None:
    """Whatever a page says that `make` does, it does; CI runs the README's own test command."""
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    code = "\n".join(
        re.findall(r"`[^`\n]+`|^make .*$", "\n".join(page.read_text() for page in DOCUMENTS), re.MULTILINE)
    )
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", code, re.MULTILINE))
    assert {"demo", "test", "golden", "lint"} <= named <= targets
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert re.findall(r"^make (\w+)", _README.read_text(), re.MULTILINE) == ["demo", "test"]


@pytest.mark.parametrize(
    "page", [_DOCS / name for name in ("library.md", "json.md", "instrument.md")], ids=lambda page: page.name
)
def test_examples_in_python(page: Path) -> None:
    """The examples of a page, one after the other, give what it shows."""
    source = "\n".join(_code(page.read_text(), "python"))
    examples = doctest.DocTestParser().get_doctest(source, {}, page.name, str(page), 0)
    assert len(examples.examples) > 2
    result = doctest.DocTestRunner().run(examples)
    assert not result.failed


def test_readme_shows_the_trace_that_the_demo_makes() -> None:
    """The link to Jaeger in the README leads to the trace that `otelmig demo` sends."""
    (trace,) = traced([_RECORDING / "source.log", _RECORDING / "destination.log"])
    assert re.findall(r"/trace/([0-9a-f]{32})", _README.read_text()) == [trace.trace_id]
    shipped = REPOSITORY / "otelmig" / "recordings"
    for name in ("source.log", "destination.log"):
        assert (shipped / name).read_bytes() == (_RECORDING / name).read_bytes()


# --- what can be followed -----------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    """The anchors that a viewer of Markdown gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@_PAGES
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file, or to a heading, of this repository leads to one that is there."""
    for link in _LINK.findall(_FENCE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target.read_text()), link


_PATH: Final = re.compile(r"`((?:otelmig|tests|tools|docs|benchmarks|collector-config)(?:/[\w.-]+)+/?)`")


@_PAGES
def test_paths_exist(page: Path) -> None:
    """A path of this repository that a page names is there; ``otelmig/spool`` is a folder of the user."""
    named = set(_PATH.findall(page.read_text())) - {"otelmig/spool"}
    assert not [path for path in named if not (REPOSITORY / path).exists()]


def test_modules_that_the_architecture_names_exist() -> None:
    """A module that is named by a short path is below the package, or below that of a hypervisor."""
    package = REPOSITORY / "otelmig"
    roots = (REPOSITORY, package, package / "hypervisors", package / "hypervisors" / "cloud_hypervisor")
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", (_DOCS / "architecture.md").read_text()))
    assert {"live/assembly.py", "line_order.py"} <= named
    assert not [path for path in named if not any((root / path).exists() for root in roots)]


def test_every_page_is_reachable_from_the_readme() -> None:
    """Each page of docs/, and each document at the root, is linked from the README."""
    linked = {link.partition("#")[0] for link in _LINK.findall(_README.read_text())}
    pages = {str(page.relative_to(REPOSITORY)) for page in DOCUMENTS if page.parent in (REPOSITORY, _DOCS)}
    assert pages - {"README.md"} <= linked


def _rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


_PLACE: Final = re.compile(r"((?:`\w+`(?: (?:and|or) )?)+) in \[[^\]]+\]\(\.\./([^)]+)\)")


def test_where_to_change_what() -> None:
    """Each row names a file that is there, with the tables and functions that it says are in it."""
    rows = _rows((_DOCS / "architecture.md").read_text(), "Where do I change ...?")
    assert len(rows) >= 24
    named = 0
    for what, *places in rows:
        assert _LINK.search(places[0]), what
        for names, path in (found for place in places for found in _PLACE.findall(place)):
            for name in re.findall(r"`(\w+)`", names):
                named += 1
                assert re.search(rf"\b{name}\b", (REPOSITORY / path).read_text()), (what, name, path)
    assert named > 24


# --- how it reads -------------------------------------------------------------------------------------------------


def test_readme_is_a_front_door() -> None:
    """Short enough to be read, and the first commands are those that need nothing."""
    text = _README.read_text()
    assert _LEAST <= len(text.splitlines()) <= _MOST
    assert text.index("make demo") < text.index("make test") < text.index("<!-- generated: waterfall -->")
    for install in ("uv tool install otelmig", "pipx install otelmig", "pip install otelmig"):
        assert install in text


_ONE_WORD: Final = {
    r"\bgoals?\b": "target",
    r"\bpass(?:es)?\b": "memory iteration",
    r"\bparcels?\b": "payload",
    r"\bcouriers?\b": "sender",
    r"\bstamps?\b": "timestamp",
}
"""Words for which the documents have one of their own."""


def _prose(page: Path) -> str:
    """What a person wrote: without generated parts, code, and names in code."""
    text = _FENCE.sub("", _GENERATED.sub("", page.read_text()))
    return re.sub(r"`[^`\n]*`", "", text)


@_PAGES
def test_one_word_for_one_thing(page: Path) -> None:
    """The target is no goal, and a memory iteration no pass; the corpus's own page keeps its recorders' words."""
    text = _prose(page)
    assert not [match[0] for pattern in _ONE_WORD for match in re.finditer(pattern, text, re.IGNORECASE)]


def test_one_word_for_one_thing_in_tables_and_help_texts() -> None:
    """The same holds for the notes of the attributes and spans, for rules of causality, and for every help text."""
    texts = [row.note for row in ATTRIBUTES] + [row.note for row in SPANS]
    texts += [f"{rule.id} {rule.why}" for rule in RULES]
    for parser in commands().values():
        texts += [parser.description or "", parser.epilog or "", parser.format_help()]
    shown = re.sub(r"`[^`\n]*`", "", "\n".join(texts))
    assert len(shown) > 5_000
    assert not [match[0] for pattern in _ONE_WORD for match in re.finditer(pattern, shown, re.IGNORECASE)]


@_PAGES
def test_pages_are_laid_out_alike(page: Path) -> None:
    """One title, no line that is longer than a line of code (tables and pictures aside), no blanks at line ends."""
    text = page.read_text()
    lines = _FENCE.sub("", _GENERATED.sub("", text)).splitlines()
    assert len([line for line in lines if line.startswith("# ")]) == (2 if page.parent.name == "benchmarks" else 1)
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    if page.parent in (REPOSITORY, _DOCS):
        assert not [line for line in lines if len(line) > 120 and not line.startswith(("|", "!["))]
