"""What --help says: it is short, it stays true, its examples work, and asking for it costs next to nothing."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import command_line
import pytest
from command_run import run_command
from otlp_receiver import http_receiver
from trace_invariants import CORPUS, traced

from otelmig.cli.commands import COMMANDS
from otelmig.cli.main import build_parser
from otelmig.errors import ExitCode
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

_SERVICES = {
    "serve": ("listening on 127.0.0.1:", "--listen 127.0.0.1:0"),
    "watch": ("following ", "--listen 127.0.0.1:0"),
}
"""Commands that do not end by themselves: what they say first, and what they are told besides."""
_RECEIVER = re.compile(r"http://(?:collector|localhost):4318")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["-h"], ["help"], ["--help", "trace"], ["help", "help"], ["help", "-h"], ["help", "--help"]],
)
def test_help_of_otelmig(arguments: list[str]) -> None:
    """It lists the commands and every exit code, and fits 80 columns; the parser for documents says the same."""
    run = run_command(arguments)
    assert (run.code, run.stderr) == (0, "")
    assert run.stdout.rstrip() == build_parser().format_help().rstrip()
    for name, summary in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(summary)}$", run.stdout, re.MULTILINE)
    for code in ExitCode:
        assert re.search(rf"^ +{code:d}  {re.escape(code.meaning)}$", run.stdout, re.MULTILINE)
    assert max(map(len, run.stdout.splitlines())) < 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ways to ask give the same; it begins with one usage line and ends with where the exit codes are."""
    monkeypatch.setenv("COLUMNS", "80")
    asked = [run_command(arguments) for arguments in ([name, "--help"], [name, "-h"], ["help", name])]
    assert {run.code for run in asked} == {0}
    (text,) = {run.stdout for run in asked}
    first, *_, last = text.splitlines()
    assert first.startswith(f"usage: otelmig {name} [OPTION]...")
    assert last == "Exit codes: see otelmig --help."
    assert "positional arguments:" not in text, "operands have a group with a title of ours"
    assert max(map(len, text.splitlines())) < 80, "an example is too long, or a description"


@pytest.mark.parametrize("arguments", [["-V"], ["--version"]])
def test_version(arguments: list[str]) -> None:
    """Both options print it."""
    run = run_command(arguments)
    assert (run.code, run.stdout, run.stderr) == (0, f"otelmig {__version__}\n", "")


def test_every_option_says_what_it_does() -> None:
    """No option is without a help text; a help text is a phrase, not a sentence."""
    texts = [action.help for _, action in command_line.arguments()]
    assert len(texts) > 100
    for text in texts:
        assert text
        assert not text.endswith(".")
        assert text[0].islower() or text.startswith(("OTLP", "PEM"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    recording = CORPUS / "v53.0-twohosts"
    (tmp_path / "logs").mkdir()
    for name in ("source.log", "destination.log", "source.events.json"):
        shutil.copy(recording / name, tmp_path / name)
        shutil.copy(recording / name, tmp_path / "logs" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTELMIG_SPOOL", str(tmp_path / "spool"))
    (tmp_path / "before.txt").write_text(
        "# t1 t2 t3 t4\n" + " ".join(f"17672256000000000{n:02}" for n in (1, 3, 4, 6)) + "\n"
    )
    shutil.copy("before.txt", "after.txt")
    archive = b"".join(json_line(trace) for trace in traced([tmp_path / "source.log"]))
    (tmp_path / "migrations.jsonl").write_bytes(archive)
    (tmp_path / "migrations.jsonl.gz").write_bytes(gzip.compress(archive))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "otelmig").write_text(f'#!/bin/sh\nexec {sys.executable} -m otelmig "$@"\n')
    (tmp_path / "bin" / "journalctl").write_text("#!/bin/sh\ncat source.log\n")
    for program in ("otelmig", "journalctl"):
        (tmp_path / "bin" / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    "example",
    [
        line.strip()
        for name in COMMANDS
        if name not in _SERVICES
        for line in import_module(f"otelmig.cli.commands.{name}").EXAMPLES.splitlines()
    ],
)
def test_examples_work(example: str, folder: Path) -> None:
    """Each example, typed into a shell, ends with 0."""
    with http_receiver() as receiver:
        command = _RECEIVER.sub(receiver.url, example)
        done = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
        assert bool(receiver.requests) == ("--otlp" in example and not example.startswith("otelmig send --otlp"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "example"),
    [
        (name, line.strip())
        for name in _SERVICES
        for line in import_module(f"otelmig.cli.commands.{name}").EXAMPLES.splitlines()
    ],
)
def test_examples_of_services_work(name: str, example: str, folder: Path) -> None:
    """Each works until it is told to end, and then ends with 0; with 4 if it waits for a migration and traced none."""
    first, besides = _SERVICES[name]
    (folder / "token").write_text("secret\n")
    with http_receiver() as receiver:
        command = f"exec {_RECEIVER.sub(receiver.url, example)} {besides} --state {folder / 'state'}"
        with subprocess.Popen(["sh", "-c", command], cwd=folder, stderr=subprocess.PIPE, text=True) as service:
            assert service.stderr is not None
            assert first in service.stderr.readline()
            service.terminate()
            _, said = service.communicate(timeout=30)
    is_missed = "--once" in example and "0 migrations traced" in said
    assert service.returncode == (4 if is_missed else 0), said


def _loaded(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after it ran ``code``."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_work() -> None:
    """What is needed to read logs, or to say what a trace is, is not loaded to say how the command is used."""
    of_argparse = _loaded("import argparse; argparse.ArgumentParser().print_help()")
    loaded = _loaded("from otelmig.cli.main import main; main(['--help'])")
    own = {name for name in loaded if name.startswith("otelmig.") and not name.startswith("otelmig.cli")}
    cheap = {"version", "errors", "printable", "units", "views", "views.units"}
    assert own == {f"otelmig.{name}" for name in cheap}
    assert not {"inspect", "json", "msgspec", "pathlib", "ssl"} & (loaded - of_argparse)
