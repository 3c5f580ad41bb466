"""Logs of one name, from two hosts, are told apart wherever they are named."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from trace_invariants import CORPUS, traced

from otelmig.clock.epoch import Anchor
from otelmig.errors import UsageError
from otelmig.inputs.opening import open_inputs
from otelmig.pipeline import read_findings, trace_migrations
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from pathlib import Path


def _write(folder: Path, *names: str) -> list[Path]:
    paths = []
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("a/source.log", "b/destination.log"), {"source.log", "destination.log"}),
        (("a/ch.log", "b/ch.log", "b/x.log"), {"a/ch.log", "b/ch.log", "x.log"}),
        (("a/log/ch.log", "b/log/ch.log"), {"a/log/ch.log", "b/log/ch.log"}),
        (("a/log/ch.log", "b/log/ch.log", "c/var/ch.log"), {"a/log/ch.log", "b/log/ch.log", "var/ch.log"}),
        (("a/ch.log", "a/ch.log.1", "b/ch.log.2"), {"a/ch.log", "a/ch.log.1", "b/ch.log.2"}),
        (("a/ch.log", "a/ch.log.1", "b/x.log"), {"ch.log", "ch.log.1", "x.log"}),
        (("a/ch.log", "b/c/a/ch.log"), {"n/a/ch.log", "c/a/ch.log"}),
    ],
)
def test_the_shortest_distinct_path(tmp_path: Path, given: tuple[str, ...], wanted: set[str]) -> None:
    """As few folders as tell the logs apart, whatever is a rotation of which; no folder where the names do."""
    logs, errors, _ = open_inputs(_write(tmp_path / "n", *given))
    assert not errors
    assert {part.name for log in logs for part in log.parts} == wanted


def test_the_log_of_rotations_is_named_alike(tmp_path: Path) -> None:
    """What stands for several files of one log has the folder, too."""
    logs, _, _ = open_inputs(_write(tmp_path, "a/ch.log", "a/ch.log.1", "b/ch.log"))
    assert [log.name for log in logs] == ["a/ch.log", "b/ch.log"]


def test_a_name_stays_on_one_line(tmp_path: Path) -> None:
    """A folder's name is escaped like a file's."""
    logs, _, _ = open_inputs(_write(tmp_path, "a\nb/ch.log", "c/ch.log"))
    assert [log.name for log in logs] == [r"a\nb/ch.log", "c/ch.log"]


@pytest.fixture
def hosts(tmp_path: Path) -> list[Path]:
    """The logs of both hosts, called alike."""
    paths = []
    for host, role in (("hostA", "source"), ("hostB", "destination")):
        (tmp_path / host).mkdir()
        paths.append(tmp_path / host / "ch.log")
        shutil.copy(CORPUS / "v53.0-twohosts" / f"{role}.log", paths[-1])
    return paths


def test_every_line_of_evidence_names_its_host(hosts: list[Path]) -> None:
    """Evidence in attributes, the headline, and the clock's proof: each with the folder; the ids do not change."""
    (trace,) = traced(hosts)
    places = [
        value
        for span in trace.spans
        for name, value in span.attributes.items()
        if name in ("otelmig.evidence.start", "otelmig.evidence.end", "otelmig.evidence.guest")
    ]
    assert places
    assert all(str(place).startswith(("hostA/ch.log:", "hostB/ch.log:")) for place in places)
    assert "(hostB/ch.log:" in render_waterfall(trace, width=100, color=False).splitlines()[0]
    (plain,) = traced([CORPUS / "v53.0-twohosts" / f"{role}.log" for role in ("source", "destination")])
    assert [span.span_id for span in plain.spans] == [span.span_id for span in trace.spans]


@pytest.mark.parametrize(
    "pair", [("hostA/ch.log", "hostB/ch.log"), ("ch.log", "./ch.log"), ("{0}", "{1}")], ids=["shown", "end", "path"]
)
def test_a_pair_is_named_by_any_end_of_its_paths(hosts: list[Path], pair: tuple[str, str]) -> None:
    """As printed, as given on the command line, or by as little of it as is unique among the sources."""
    source, destination = (text.format(*hosts) for text in pair)
    findings = read_findings(hosts, pairs=[(source, destination)])
    assert [migration.basis for migration in findings.migrations] == ["asserted"]


def test_a_name_that_two_logs_have_is_no_name(hosts: list[Path]) -> None:
    """An anchor for `ch.log` may be for either: it is refused, and both are named; one that is distinct is taken."""
    anchor = Anchor(ns=1_780_000_000 * 10**9, error_ns=1_000)
    wanted = r"^`anchors`: 'ch\.log' may be hostA/ch\.log or hostB/ch\.log: want one of these$"
    with pytest.raises(UsageError, match=wanted):
        list(trace_migrations(hosts, anchors={"ch.log": anchor}))
    assert any("hostB/ch.log has a wall clock" in note for note in _notes(hosts, {"hostB/ch.log": anchor}))
    with pytest.raises(UsageError, match=r"no side or log is called 'other/ch\.log'"):
        list(trace_migrations(hosts, anchors={"other/ch.log": anchor}))


def _notes(paths: list[Path], anchors: dict[str, Anchor]) -> list[str]:
    return read_findings(paths, anchors=anchors).notes
