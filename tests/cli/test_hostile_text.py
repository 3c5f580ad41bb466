"""Text from outside: no byte of a log, of a name or of an option controls a terminal or a viewer, or ends a run."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest
from command_run import run_command
from trace_invariants import CORPUS, inputs

from otelmig import pipeline
from otelmig.hypervisors.cloud_hypervisor.reader import CloudHypervisorReader
from otelmig.inputs.files import open_input
from otelmig.printable import printable
from otelmig.trace.build import build_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelmig.inputs import Line
    from otelmig.pairing.migration import Migration

_CONTROLS: Final = "".join(map(chr, (*range(10), *range(11, 32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x202E, 0x2066)))
_STYLE: Final = re.compile(r"\x1b\[[\d;]*m")
_HOSTILE: Final = "\x1b]0;title\x07\x1b[2J\x1b[31mred\u202egnol\u2066\x9b2J\x9d0;x\x9c\x00\x7f\x08"
_LOGS: Final = inputs("v53.0-twohosts")
_RECORD: Final = "cloud-hypervisor: {:>10.6f}s: <vmm> {}:vmm/src/lib.rs:1 -- {}\r\n"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A log of a migration that failed, with everything in its texts and its name that a terminal may obey."""
    name = _HOSTILE.replace("\0", "\n")
    path = tmp_path / f"so{name}urce.log"
    url = f"tcp:{_HOSTILE}:4444"
    texts = (
        f'API request event: VmSendMigration VmSendMigrationData {{ destination_url: "{url}", local: false }}',
        f"Sending migration: destination_url = {url}, local = false",
        "Event: source = vm event = migration-started ",
        f"Migration failed: {_HOSTILE} connection refused {_HOSTILE}",
        f"Sending migration: {_HOSTILE}",
    )
    text = "".join(_RECORD.format(1 + number, "INFO", text) for number, text in enumerate(texts))
    path.write_bytes(text.encode())
    return path


def _texts(value: object) -> Iterator[str]:
    """Every text of a JSON document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _controls(text: str) -> set[str]:
    return {character for character in text if character in _CONTROLS or "\ud800" <= character <= "\udfff"}


@pytest.mark.parametrize(
    "command", ["trace", "trace --color always", "explain", "doctor", "trace --json", "explain --json", "doctor --json"]
)
def test_nothing_controls_a_terminal(command: str, hostile: Path) -> None:
    """Neither a view nor a message nor a text of the JSON document holds what a terminal would obey."""
    run = run_command([*command.split(), str(hostile), "--log-format", f"{{msg}}{_HOSTILE}", "--log-zone", "UTC"])
    assert _HOSTILE not in run.stderr
    run = run_command([*command.split(), str(hostile)])
    assert run.code == 0
    assert "\\x1b" in run.stdout
    shown = _STYLE.sub("", run.stdout) if "always" in command else run.stdout
    assert not _controls(shown) | _controls(run.stderr)
    if "json" in command:
        assert not _controls("".join(_texts(json.loads(run.stdout))))


def test_nothing_controls_a_viewer(hostile: Path) -> None:
    """No text of a trace does; what was there is still to be read, escaped."""
    texts = list(_texts(json.loads(run_command(["trace", str(hostile), "-o", "-"]).stdout)))
    assert not _controls("".join(texts))
    assert not [text for text in texts if "\n" in text]
    assert [text for text in texts if "connection refused" in text and "\\x1b" in text]


def test_options_control_nothing(tmp_path: Path) -> None:
    """What the caller names is printed, and sent, like what a log says."""
    name = os.fsdecode(b"h\xff\x1b[31m")
    options = ("--host", f"source={name}", "--migration-id", name, "-o", str(tmp_path / name), "--json")
    run = run_command(["trace", *map(str, _LOGS), *options])
    assert (run.code, run.raised) == (0, "")
    assert not _controls(run.stderr) | _controls("".join(_texts(json.loads(run.stdout))))
    (line,) = (tmp_path / name).read_text().splitlines()
    assert "h\\udcff\\x1b[31m" in list(_texts(json.loads(line)))
    for option in ("--pair", "--anchor", "--max-drift", "--log-zone", "--trace-parent", "--width", f"--{name}"):
        run = run_command(["trace", *map(str, _LOGS), option, name])
        assert (run.code, run.raised) == (2, "")
        assert not _controls(run.stderr)


@pytest.mark.parametrize("carry", ["docker", "journal", "store", "otlp"])
def test_halves_of_surrogate_pairs(carry: str, tmp_path: Path) -> None:
    """JSON can say them and UTF-8 cannot: one log that does costs nothing, and its migration is there, too."""
    lines = (CORPUS / "v52.0-basic" / "source.log").read_text().splitlines()
    log = tmp_path / "carried.json"
    texts = [f"{line}\ud800x\udc80".replace("tcp:", "tcp:\udfff") for line in lines]
    log.write_text("".join(json.dumps(_CARRIED[carry](text, "h\ud800\x1b")) + "\n" for text in texts))
    for command in ("explain", "doctor", "trace --json", "trace"):
        run = run_command([*command.split(), *map(str, _LOGS), str(log)])
        assert (run.code, run.raised) == (0, "")
        assert "internal error" not in run.stderr
    out = tmp_path / "out.jsonl"
    run = run_command(["trace", "-q", *map(str, _LOGS), str(log), "-o", str(out)])
    assert run.code == 0
    traces = out.read_text().splitlines()
    assert len(traces) > 1
    assert not _controls("".join(_texts([json.loads(line) for line in traces])))


_CARRIED: Final[dict[str, Callable[[str, str], object]]] = {
    "docker": lambda text, _: {"log": f"{text}\n", "time": "2026-11-23T15:30:06Z"},
    "journal": lambda text, host: {
        "__REALTIME_TIMESTAMP": "1780000000000001",
        "MESSAGE": text,
        "_PID": "1",
        "_HOSTNAME": host,
        "SYSLOG_IDENTIFIER": host,
    },
    "store": lambda text, host: {"message": text, "host": host, "timestamp": "2026-11-23T15:30:06Z", "file": host},
    "otlp": lambda text, host: {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": host}}]},
                "scopeLogs": [{"logRecords": [{"timeUnixNano": "1764000000000000000", "body": {"stringValue": text}}]}],
            }
        ]
    },
}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "utf-8"])
def test_terminal_that_lacks_characters(encoding: str, tmp_path: Path) -> None:
    """Bars are drawn with what there is, in one line said; JSON is JSON; the file is written."""
    out = tmp_path / "out.jsonl"

    def otelmig(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "otelmig", "trace", *_LOGS, *arguments],
            env=os.environ | {"PYTHONIOENCODING": f"{encoding}:strict"},
            capture_output=True,
            check=False,
        )

    done = otelmig("-o", out)
    assert done.returncode == 0
    assert out.exists()
    assert (b"stdout cannot show some characters" in done.stderr) == (encoding != "utf-8")
    if encoding == "ascii":
        assert re.search(rb"^precopy +=+", done.stdout, re.MULTILINE)
    done = otelmig("--json", "--migration-id", "☃")
    assert done.returncode == 0
    assert json.loads(done.stdout.decode(encoding))["migrations"][0]["migration_id"] == "☃"


@pytest.mark.parametrize("written_s", [253_402_300_800, 10**13, -(2**40)])
def test_file_from_another_millennium(written_s: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time of the last write that cannot be is said, and the others' traces are there."""
    log = tmp_path / "source.log"
    shutil.copy(CORPUS / "v53.0-basicv" / "source.log", log)
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        status = real(path, follow_symlinks=follow_symlinks)
        if str(path) != str(log):
            return status
        words, more = cast("tuple[tuple[int, ...], dict[str, float]]", status.__reduce__()[1])
        return os.stat_result(words, more | {"st_mtime": float(written_s), "st_mtime_ns": written_s * 10**9})

    file = open_input(log)
    monkeypatch.setattr(Path, "stat", stat)
    assert open_input(log).mtime_ns != written_s * 10**9 != file.mtime_ns
    out = tmp_path / "out.jsonl"
    run = run_command(["trace", "-q", *map(str, _LOGS), str(log), "-o", str(out)])
    assert (run.code, run.raised) == (0, "")
    assert len(out.read_text().splitlines()) == 2
    assert "source.log: written at an impossible time" in run.stderr


def test_printable() -> None:
    """Everything that controls is escaped, and nothing else changes."""
    assert printable("Größe — 1 ☃") == "Größe — 1 ☃"
    assert printable("a\x1b\x9b\u202e\ud800\n\t\U000e0041b") == "a\\x1b\\x9b\\u202e\\ud800\\n\\t\\U000e0041b"
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"
    assert not _controls(printable(_CONTROLS + _HOSTILE))


def test_fault_over_one_input_costs_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the reader is one line and exit code 70; the other inputs have their traces."""
    real = CloudHypervisorReader.take

    def take(reader: CloudHypervisorReader, line: Line) -> object:
        if line.stream.name == "poison.log":
            raise RuntimeError("a fault\x1b")
        return real(reader, line)

    monkeypatch.setattr(CloudHypervisorReader, "take", take)
    poison, out = tmp_path / "poison.log", tmp_path / "out.jsonl"
    shutil.copy(CORPUS / "v53.0-basicv" / "source.log", poison)
    run = run_command(["trace", "-q", str(poison), *map(str, _LOGS), "-o", str(out)])
    assert (run.code, run.raised) == (70, "")
    assert "otelmig: poison.log: internal error: RuntimeError: a fault\\x1b (OTELMIG_DEBUG=1 shows where)" in run.stderr
    assert run.stderr.splitlines()[-1].startswith("1 migration found, 1 written")
    assert len(out.read_text().splitlines()) == 1


def test_fault_over_one_migration_costs_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that no trace can be made of, or that an output cannot take, is one line; the others are there."""
    out = tmp_path / "out.jsonl"

    def build(migration: Migration, *rest: object) -> object:
        if migration.reference.name.startswith("poison"):
            raise RuntimeError("a fault")
        return build_trace(migration, *rest)  # type: ignore[arg-type] # passed on as given

    monkeypatch.setattr(pipeline, "build_trace", build)
    poison = tmp_path / "poison.log"
    shutil.copy(CORPUS / "v53.0-basicv" / "source.log", poison)
    run = run_command(["trace", "-q", str(poison), *map(str, _LOGS), "-o", str(out)])
    assert (run.code, run.raised) == (70, "")
    assert "the migration of poison.log: internal error: RuntimeError: a fault" in run.stderr
    assert len(out.read_text().splitlines()) == 1


def test_names_in_archives_control_nothing(tmp_path: Path) -> None:
    """Members are named by whoever made the archive."""
    log = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    archive = tmp_path / "logs.tar"
    with tarfile.open(archive, "w") as file:
        member = tarfile.TarInfo(os.fsdecode(b"a\x1b[31m\xff/so\nurce\xe2\x80\xae.log"))
        member.size, member.mtime = len(log), 10**11
        file.addfile(member, io.BytesIO(log))
    for command in ("trace", "explain", "doctor", "trace --json"):
        run = run_command([*command.split(), str(archive)])
        assert (run.code, run.raised) == (0, "")
        assert not _controls(run.stdout) | _controls(run.stderr)
    run = run_command(["trace", str(archive), "-o", "-"])
    assert run.code == 0
    assert not _controls("".join(_texts(json.loads(run.stdout))))
