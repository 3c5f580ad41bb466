"""What becomes of a run whose standard streams are closed, full, or read by nobody: the work and its exit code stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from otlp_receiver import free_port, http_receiver
from sample import dealt
from trace_invariants import inputs

if TYPE_CHECKING:
    from pathlib import Path

_LOGS = " ".join(map(str, inputs("v53.0-basicv")))
_EXPORTED = "1 migration found, 1 exported; 0 lines not understood"


def _shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have a shell run ``otelmig`` in a folder, with a spool there, and its standard output in a buffer, as usual."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["sh", "-c", text.replace("otelmig ", f"{sys.executable} -m otelmig ", 1)],
        cwd=folder,
        env=environ | {"OTELMIG_SPOOL": str(folder / "spool")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


_COMMANDS = [
    (f"trace -q {_LOGS} --otlp http://127.0.0.1:PORT --timeout 1", 3),
    (f"trace {_LOGS}", 0),
    ("trace missing.log", 2),
    (f"explain {_LOGS}", 0),
    ("doctor missing.log", 2),
    ("send missing.jsonl --otlp http://127.0.0.1:PORT", 2),
    ("trace --no-such-option", 2),
]
_NOBODY = ["2>/dev/full", "2>&-", "2>&1 >/dev/null | true"]


@pytest.mark.parametrize(
    ("command", "code", "nobody"),
    [(*_COMMANDS[0], nobody) for nobody in _NOBODY]
    + [(command, code, nobody) for (command, code), nobody in dealt(_COMMANDS[1:], _NOBODY)],
)
def test_nobody_hears_what_is_said(command: str, code: int, nobody: str, tmp_path: Path) -> None:
    """The exit code is that of the work, which is done to its end.

    A sample but for an export: each command with one way of not being heard, in turn; `make fuzz` tries all.
    """
    command = command.replace("PORT", str(free_port()))
    _shell(f"{{ otelmig {command}; echo $? >code; }} {nobody}", tmp_path)
    assert int((tmp_path / "code").read_text()) == code
    if code == 3:
        waits = _shell("otelmig send --dry-run --otlp http://127.0.0.1:1", tmp_path)
        assert waits.stderr.startswith("1 trace found, 1 would be sent")


@pytest.mark.parametrize("command", ["trace", "trace --json", "trace -o -"])
def test_closed_standard_output(command: str, tmp_path: Path) -> None:
    """It is given up in one line; the export goes on, and no socket or file gets its descriptor."""
    with http_receiver() as receiver:
        done = _shell(f"otelmig {command} {_LOGS} --otlp {receiver.url} >&-", tmp_path)
        assert len(receiver.spans) > 10
    assert done.returncode == 3
    said = [line for line in done.stderr.splitlines() if not line.startswith("otelmig: see http")]
    assert said == ["otelmig: cannot write stdout: Bad file descriptor", _EXPORTED]


def test_closed_standard_error_leaves_standard_output_alone(tmp_path: Path) -> None:
    """The account goes nowhere, and not among the lines of the archive."""
    done = _shell(f"otelmig trace {_LOGS} -o - 2>&-", tmp_path)
    assert done.returncode == 0
    assert [set(json.loads(line)) for line in done.stdout.splitlines()] == [{"resourceSpans"}]


@pytest.mark.parametrize("command", ["send - --dry-run --no-spool", "trace -"])
def test_closed_standard_input(command: str, tmp_path: Path) -> None:
    """It is an input that cannot be read."""
    done = _shell(f"otelmig {command} <&-", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "otelmig: -: Bad file descriptor"


@pytest.mark.parametrize(("shell", "code"), [("| true", 0), (">/dev/full", 3)])
def test_help_that_nobody_reads(shell: str, code: int, tmp_path: Path) -> None:
    """No complaint of the interpreter; what could not be written is said as ever."""
    done = _shell(f"{{ otelmig --help; echo $? >code; }} {shell}", tmp_path)
    assert int((tmp_path / "code").read_text()) == code
    assert done.stderr == ("otelmig: cannot write stdout: No space left on device\n" if code else "")


def test_archive_that_is_no_regular_file(tmp_path: Path) -> None:
    """A pipe and a device are written to and stay what they are; a link stays and leads to the new content."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "full").symlink_to("/dev/full")
    (tmp_path / "old.jsonl").write_text("old")
    (tmp_path / "link").symlink_to("old.jsonl")
    (tmp_path / "dangling").symlink_to("new.jsonl")
    whole = _shell(f"otelmig trace {_LOGS} -o -", tmp_path).stdout
    done = _shell(f"cat pipe >read & otelmig trace -q {_LOGS} -o pipe; wait", tmp_path)
    assert done.stderr == "1 migration found, 1 written to pipe; 0 lines not understood\n"
    assert (tmp_path / "read").read_text() == whole
    assert (tmp_path / "pipe").is_fifo()
    done = _shell(f"otelmig trace -q {_LOGS} -o full", tmp_path)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "otelmig: cannot write full: No space left on device"
    assert (tmp_path / "full").is_char_device()
    for link, file in (("link", "old.jsonl"), ("dangling", "new.jsonl")):
        assert _shell(f"otelmig trace -q {_LOGS} -o {link}", tmp_path).returncode == 0
        assert (tmp_path / link).is_symlink()
        assert (tmp_path / file).read_text() == whole
    assert not list(tmp_path.glob("*.partial"))


def test_standard_output_by_another_name(tmp_path: Path) -> None:
    """What it is redirected to gets the lines and nothing else, and is not replaced."""
    whole = _shell(f"otelmig trace {_LOGS} -o -", tmp_path).stdout
    for target in ("/dev/stdout", "out"):
        done = _shell(f"echo first >out; otelmig trace {_LOGS} -o {target} >>out", tmp_path)
        assert done.stderr == "1 migration found, 1 written to stdout; 0 lines not understood\n"
        assert (tmp_path / "out").read_text() == f"first\n{whole}"


def test_archive_that_would_replace_a_log(tmp_path: Path) -> None:
    """A slip of the hand costs no evidence."""
    log = tmp_path / "source.log"
    log.write_bytes(inputs("v53.0-basicv")[0].read_bytes())
    before = log.read_bytes()
    done = _shell("otelmig trace source.log -o ./source.log", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "otelmig: -o ./source.log would replace a log that is read\n"
    assert log.read_bytes() == before


def test_two_things_on_standard_output(tmp_path: Path) -> None:
    """Lines of OTLP/JSON and a summary in one stream are neither."""
    done = _shell(f"otelmig trace {_LOGS} -o - --json", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "otelmig: -o - and --json would both write to standard output\n"


def test_demo_is_exported_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """A recording has no place in the backend that the environment names."""
    with http_receiver() as receiver:
        done = _shell(f"export OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}; otelmig demo -q", tmp_path)
        assert done.stderr == "1 migration found; 0 lines not understood\n"
        assert not receiver.requests
        done = _shell(f"export OTEL_EXPORTER_OTLP_ENDPOINT={receiver.url}; otelmig demo -q --otlp", tmp_path)
        assert done.stderr == _EXPORTED + "\n"
        assert receiver.requests
