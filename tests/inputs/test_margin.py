"""A log that somebody pasted, quoted or stamped: the lines of a hypervisor are found behind what stands before them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import framings
import pytest
from carried_logs import logs_of, plain, prefixed, shape_of
from trace_invariants import CORPUS, traced

from otelmig.inputs.framing.margin import margin_of
from otelmig.inputs.opening import open_inputs
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN: Final = re.compile(r"vmm: \d+ ")
_LINES: Final = ("vmm: 1 one", "vmm: 2 two", "  and more of two", "vmm: 3 three")


def _behind(margins: tuple[str, ...]) -> list[tuple[str, str]]:
    texts = [before + line for before, line in zip(margins, _LINES, strict=True)]
    margin = margin_of(texts, [_BEGIN])
    assert margin is not None
    framed = [margin.unwrap(text) for text in texts]
    return [(each.text, each.writer) if each is not None else ("", "") for each in framed]


@pytest.mark.parametrize(
    "margins",
    [
        ("    ",) * 4,
        ("> ",) * 4,
        ("9:59:58 ", "9:59:59 ", "10:00:00 ", "10:00:00 "),
        ("Jan 31 23:59:59 ", "Feb  1 00:00:00 ", "Feb  1 00:00:00 ", "Feb  1 00:00:01 "),
        ("1:", "2:", "31:", "4:"),
    ],
)
def test_a_margin_comes_off_every_line(margins: tuple[str, ...]) -> None:
    """It comes off the lines in which a record goes on, too, and no further: an indentation of theirs stays."""
    assert [text for text, _ in _behind(margins)] == list(_LINES)


def test_words_of_a_margin_say_who_wrote() -> None:
    """As in `grep` over several files, or with several jobs; words of a date do not."""
    behind = _behind(("a.log:1:", "b.log:7:", "b.log:8:", "a.log:2:"))
    assert [writer for text, writer in behind if text != _LINES[2]] == ["a.log", "b.log", "a.log"]
    assert {writer for _, writer in _behind(("Mon 1 ", "Tue 2 ", "Tue 3 ", "Wed 4 "))} == {""}


def test_a_quoted_value_ends_with_its_quotation_mark() -> None:
    """A logger that writes keys and values: the line is one of the values, escaped."""
    margin = margin_of([r'level=info vmconsole="vmm: 1 a \"b\" \\c" subsystem=x'], [_BEGIN])
    assert margin is not None
    framed = margin.unwrap(r'level=info vmconsole="vmm: 1 a \"b\" \\c" subsystem=x')
    assert framed is not None
    assert framed.text == r'vmm: 1 a "b" \c'


def test_no_margin() -> None:
    """Nothing comes off lines that begin at the first column, nor off those of nobody known."""
    assert margin_of(_LINES, [_BEGIN]) is None
    assert margin_of(["  other: 1 one"], [_BEGIN]) is None
    assert margin_of([], [_BEGIN]) is None


@pytest.mark.parametrize("mark", [b"    ", b"> ", b"\t"])
def test_a_paste_between_other_lines(mark: bytes, tmp_path: Path) -> None:
    """An issue or a mail: prose, then the log indented or quoted, with an empty line in it that has no mark."""
    source = prefixed(logs_of("v53.0-dirty")["source"], mark).replace(b"\n", b"\n\n", 1)
    (tmp_path / "issue.md").write_bytes(b"# It fails\n\nThis is the source:\n\n" + source + b"\nAny idea?\n")
    destination = prefixed(logs_of("v53.0-dirty")["destination"], mark)
    (tmp_path / "mail.txt").write_bytes(destination)
    paths = sorted(tmp_path.iterdir())
    assert not read_findings(paths).not_understood
    traces = traced(paths)
    assert (shape_of(traces), tuple(trace.trace_id for trace in traces)) == plain("v53.0-dirty")
    assert str(traces[0].root.attributes["otelmig.evidence.start"]).startswith("issue.md:")


def test_a_plain_log_is_read_as_it_stands(tmp_path: Path) -> None:
    """A line of the log that quotes another one does not give the file a margin."""
    log = framings.lf_only((CORPUS / "v53.0-basicv" / "source.log").read_bytes())
    (tmp_path / "source.log").write_bytes(b"    cloud-hypervisor:   0.000001s: <main> INFO:a.rs:1 -- quoted\n" + log)
    findings = read_findings([tmp_path / "source.log"])
    ((log_read,),) = findings.inputs.values()
    assert log_read.margin is None
    assert len(findings.migrations) == 1


def test_it_is_looked_for_in_the_head_only(tmp_path: Path) -> None:
    """Lines are searched for a margin once, at the beginning of a file: none of what comes later is."""
    searched: list[str] = []

    class Begin:
        def search(self, text: str, *place: int) -> re.Match[str] | None:
            searched.append(text)
            return _BEGIN.search(text, *place)

    (tmp_path / "x.log").write_text("  vmm: 1 one\n" * 20_000)
    (log,), _, _ = open_inputs([tmp_path / "x.log"])
    readings = list(log.readings([Begin()]))  # type: ignore[list-item] # stands for a pattern
    assert [reading.margin is not None for reading in readings] == [False, True]
    assert 0 < len(searched) <= 1_000
