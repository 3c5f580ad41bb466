"""What can be read only once: a pipe that nobody writes to yet, and devices that never end."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from trace_invariants import CORPUS

from otelmig.errors import InputError
from otelmig.inputs.files import open_input
from otelmig.inputs.framing import journal
from otelmig.inputs.line import NO_STREAM
from otelmig.inputs.unpacking import read_once

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG = CORPUS / "v53.0-basicv" / "source.log"


@pytest.mark.parametrize("command", ["trace", "explain", "doctor"])
def test_pipe_that_nobody_writes_to_yet(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said what is waited for, once; then the pipe is read to its end."""
    pipe = tmp_path / "source.fifo"
    os.mkfifo(pipe)
    told = threading.Event()
    monkeypatch.setattr(read_once, "_PATIENCE_MS", 50)

    def write() -> None:
        told.wait(0.4)
        pipe.write_bytes(_LOG.read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    run = run_command([command, str(pipe)])
    writer.join()
    assert (run.code, run.raised) == (0, "")
    assert run.stderr.splitlines()[0] == "otelmig: waiting for source.fifo"
    assert run.stderr.count("waiting") == 1


def test_pipe_that_is_written_to_is_not_waited_for(tmp_path: Path) -> None:
    """Nothing is said of it, and its trace is that of the file."""
    pipe = tmp_path / "source.log"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(_LOG.read_bytes()))
    writer.start()
    said: list[str] = []
    file = open_input(pipe, on_wait=said.append)
    writer.join()
    assert not said
    assert file.size == _LOG.stat().st_size
    assert file.path.read_bytes() == _LOG.read_bytes()


@pytest.mark.parametrize(
    ("device", "says"), [("/dev/zero", "a device with more than 64 MiB"), ("/dev/urandom", "a device with more than")]
)
def test_device_that_never_ends(device: str, says: str) -> None:
    """It is refused in one line once it has given more than any terminal would; an empty one is an empty file."""
    with pytest.raises(InputError, match=f"^{Path(device).name}: {says}"):
        open_input(Path(device))
    assert open_input(Path("/dev/null")).size == 0


def test_pipe_without_a_line(tmp_path: Path) -> None:
    """What has no line in it that ends is no log, however much of it there is."""
    pipe = tmp_path / "zeros"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as file:
            try:
                for _ in range(200):
                    file.write(bytes(1 << 20))
            except BrokenPipeError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(InputError, match="zeros: no line ends within its first 64 MiB"):
        open_input(pipe)
    writer.join()


def test_fields_of_a_journal_are_bounded() -> None:
    """Neither many fields nor long ones are held: of those that nobody reads nothing is, of a message its beginning."""

    def chunks() -> Iterator[bytes]:
        for _ in range(6):
            yield b"__REALTIME_TIMESTAMP=1780000000000000\n"
            for number in range(20_000):
                yield b"FIELD_%d=%b\n" % (number, b"x" * 100)
            yield b"MESSAGE=" + b"m" * (4 << 20) + b"\n"
            yield b"CORE\n" + (8 << 20).to_bytes(8, "little") + bytes(8 << 20) + b"\n\n"

    tracemalloc.start()
    try:
        lines = [len(line.text) for line in journal.export_lines(chunks(), "j", None, NO_STREAM)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines == [1 << 16] * 6
    assert peak < 64 << 20
