"""The file that ``-o`` names: whole or not there, whoever else writes in its directory."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from command_run import run_command
from trace_invariants import inputs

from otelmig.cli.atomic_file import AtomicFile

if TYPE_CHECKING:
    from pathlib import Path

_LOGS = [str(path) for path in inputs("v53.0-twohosts")]


def test_names_that_could_be_guessed_are_left_alone(tmp_path: Path) -> None:
    """A link, or a file of the user's, that is called like the target and ``.partial`` is not written to."""
    folder, victim = tmp_path / "d", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious\n")
    (folder / "out.jsonl.partial").symlink_to("../victim")
    (folder / "other.jsonl.partial").write_text("the user's\n")
    for name in ("out.jsonl", "other.jsonl"):
        run = run_command(["trace", "-q", *_LOGS, "-o", str(folder / name)])
        assert run.code == 0
        assert (folder / name).read_text().startswith('{"resourceSpans"')
        assert not (folder / name).is_symlink()
    assert victim.read_text() == "precious\n"
    assert (folder / "other.jsonl.partial").read_text() == "the user's\n"
    assert len(list(folder.iterdir())) == 4


def test_two_runs_with_one_target_do_not_mix(tmp_path: Path) -> None:
    """Each writes a file of its own; the one that ends last leaves it under the name."""
    target = tmp_path / "out.jsonl"
    with AtomicFile(target) as first, AtomicFile(target) as second:
        first.file.write(b"first\n" * 3000)
        second.file.write(b"second\n" * 3000)
        first.file.write(b"first\n" * 3000)
        first.finish()
        assert target.read_bytes() == b"first\n" * 6000
        second.file.write(b"second\n" * 3000)
        second.finish()
    assert target.read_bytes() == b"second\n" * 6000
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_what_is_not_whole_is_removed(tmp_path: Path) -> None:
    """The file that was there before stays."""
    target = tmp_path / "out.jsonl"
    target.write_text("before\n")
    with AtomicFile(target) as file:
        file.file.write(b"half")
    assert target.read_text() == "before\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_permissions(tmp_path: Path) -> None:
    """A new file has those that the user's mask leaves; one that is replaced keeps its own; a link stays a link."""
    mask = os.umask(0o027)
    try:
        for name, before in (("new", None), ("secret", 0o600)):
            target = tmp_path / name
            if before is not None:
                target.touch(before)
            with AtomicFile(target) as file:
                file.file.write(b"x")
                file.finish()
            assert stat.S_IMODE(target.stat().st_mode) == (before or 0o640)
    finally:
        os.umask(mask)
    link = tmp_path / "link"
    link.symlink_to("secret")
    with AtomicFile(link) as file:
        file.file.write(b"through the link")
        file.finish()
    assert link.is_symlink()
    assert (tmp_path / "secret").read_text() == "through the link"


def test_longest_name(tmp_path: Path) -> None:
    """The name of the file that is being written does not depend on that of the target."""
    target = tmp_path / ("n" * 255)
    with AtomicFile(target) as file:
        file.finish()
    assert target.exists()
