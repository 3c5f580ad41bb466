"""Archives: their members are read like files, with the archive's name in front, and nothing is extracted."""

from __future__ import annotations

import gc
import gzip
import io
import lzma
import os
import sys
import tarfile
import tempfile
import zipfile
from typing import TYPE_CHECKING, Final

import pytest
from command_run import run_command
from trace_invariants import CORPUS, traced

from otelmig.inputs.opening import open_inputs
from otelmig.inputs.unpacking import archive
from otelmig.inputs.unpacking.section import Section
from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_FILES: Final = {
    f"{role}.{kind}": (CORPUS / "v53.0-twohosts" / f"{role}.{kind}").read_bytes()
    for role in ("source", "destination")
    for kind in ("log", "events.json")
}
_HOSTS: Final = {"hostA/ch.log": _FILES["source.log"], "hostB/ch.log": _FILES["destination.log"]}


def _tar(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload] # any of tarfile's modes
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1_780_000_000
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return packed.getvalue()


_KINDS: Final[dict[str, Callable[[Mapping[str, bytes]], bytes]]] = {
    "x.tar": _tar,
    "x.tar.gz": lambda files: _tar(files, "w:gz"),
    "x.tgz": lambda files: gzip.compress(_tar(files)),
    "x.tar.xz": lambda files: lzma.compress(_tar(files)),
    "x.tar.bz2": lambda files: _tar(files, "w:bz2"),
    "x.zip": _zip,
}


@pytest.mark.parametrize("name", _KINDS)
def test_members_are_read_where_they_lie(name: str, tmp_path: Path) -> None:
    """However an archive is packed, its files give the trace that they give by themselves, with its name in front."""
    (tmp_path / name).write_bytes(_KINDS[name](_FILES))
    (trace,) = traced([tmp_path / name])
    (plain,) = traced([CORPUS / "v53.0-twohosts" / each for each in _FILES])
    assert [span.span_id for span in trace.spans] == [span.span_id for span in plain.spans]
    start = plain.root.attributes["otelmig.evidence.start"]
    assert trace.root.attributes["otelmig.evidence.start"] == f"{name}/{start}"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
def test_logs_of_one_name_in_one_archive(name: str, tmp_path: Path) -> None:
    """The folders in an archive tell the hosts apart."""
    (tmp_path / name).write_bytes(_KINDS[name](_HOSTS))
    findings = read_findings([tmp_path / name], pairs=[("hostA/ch.log", f"{name}/hostB/ch.log")])
    ((side, other),) = [migration.sides for migration in findings.migrations]
    assert (side.name, other.name) == (f"{name}/hostA/ch.log", f"{name}/hostB/ch.log")


def test_an_archive_of_each_host(tmp_path: Path) -> None:
    """Two archives of one name, with one name in each, are told apart by the folders that they are in."""
    for host, role in (("a", "source"), ("b", "destination")):
        (tmp_path / host).mkdir()
        (tmp_path / host / "logs.tar").write_bytes(_tar({"./var/ch.log": _FILES[f"{role}.log"]}))
    (trace,) = traced([tmp_path / "a" / "logs.tar", tmp_path / "b"])
    assert str(trace.root.attributes["otelmig.evidence.guest"]).startswith("b/logs.tar/var/ch.log:")


def test_packed_members_rotations_and_archives_in_archives(tmp_path: Path) -> None:
    """A bundle of bundles: what is read of files is read of members, too."""
    log = _FILES["source.log"]
    cut = log.index(b"\n", len(log) // 2) + 1
    source = _tar({"ch.log.1.gz": gzip.compress(log[:cut]), "ch.log": log[cut:]})
    bundle = _zip({"source.tar": source, "destination.tgz": gzip.compress(_tar({"ch.log": _FILES["destination.log"]}))})
    (tmp_path / "bundle.zip").write_bytes(bundle)
    logs, errors, notes = open_inputs([tmp_path / "bundle.zip"])
    assert not errors
    assert not notes
    assert [log.name for log in logs] == ["bundle.zip/destination.tgz/ch.log", "bundle.zip/source.tar/ch.log"]
    (trace,) = traced([tmp_path / "bundle.zip"])
    assert len(trace.resources) == 2


def test_what_is_no_log_in_an_archive_is_a_note(tmp_path: Path) -> None:
    """Nobody said that every member is a log; hidden ones (macOS adds some) and empty ones are passed over."""
    others = {"notes.txt": b"no log\n", "._source.log": b"\x00\x05", ".git/x.log": b"x", "empty.log": b""}
    (tmp_path / "x.tar").write_bytes(_tar({"source.log": _FILES["source.log"], **others}))
    findings = read_findings([tmp_path / "x.tar"])
    assert not findings.errors
    assert not findings.notes
    assert findings.left_out == [f"{tmp_path}/x.tar: left out (no log that otelmig knows): x.tar/notes.txt"]


def test_names_lead_nowhere_and_control_nothing(tmp_path: Path) -> None:
    """A member's name is text: it climbs out of no folder, and is escaped where it is shown."""
    (tmp_path / "x.tar").write_bytes(_tar({"../../etc/a\x1b[2J\nb.log": b"x\n", "/abs/c.log": b"y\n"}))
    logs, _, _ = open_inputs([tmp_path / "x.tar"])
    assert [log.name for log in logs] == ["x.tar/abs/c.log", r"x.tar/etc/a\x1b[2J\nb.log"]


def test_of_two_members_of_one_name_the_later_is_meant(tmp_path: Path) -> None:
    """As `tar -r` and `tar -x` have it."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for content in (b"old\n", b"newer\n"):
            info = tarfile.TarInfo("a.log")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (log,), _, _ = open_inputs([tmp_path / "x.tar"])
    assert log.head == b"newer\n"


def test_a_member_was_written_when_the_archive_says(tmp_path: Path) -> None:
    """The end of that second, since the archive does not tell its parts."""
    (tmp_path / "x.tar").write_bytes(_tar({"a.log": b"x\n"}))
    (log,), _, _ = open_inputs([tmp_path / "x.tar"])
    assert log.mtime_ns == 1_780_000_000 * 10**9 + 999_999_999


@pytest.mark.parametrize(("name", "cut"), [("x.tar", 12_000), ("x.tar.gz", 3_000)])
def test_an_archive_that_is_cut(name: str, cut: int, tmp_path: Path) -> None:
    """What is whole is read, and a note says that there was more."""
    (tmp_path / name).write_bytes(_KINDS[name]({"a.log": b"x\n" * 9_000, "b.log": os.urandom(9_000)})[:-cut])
    logs, errors, notes = open_inputs([tmp_path / name])
    assert not errors
    assert [log.name for log in logs] == [f"{name}/a.log"]
    assert any("left out" in note or "ends early" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (_zip({"a.log": b"x"})[:-9], "a zip archive that is damaged or cut off"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7-Zip archive: want it unpacked"),
        (b"Rar!\x1a\x07\x00" + bytes(40), "a RAR archive: want it unpacked"),
        (_tar({".hidden": b"x"}), "an archive without files"),
        (_zip({}), "no log or event stream"),
        (_tar({"a": b"x" * 2_000_000}), "more than 0 GiB when unpacked"),
    ],
    ids=["cut", "7-Zip", "RAR", "hidden", "empty", "large"],
)
def test_what_cannot_be_read_is_refused_in_one_line(
    content: bytes, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other inputs are read all the same."""
    monkeypatch.setattr(archive, "_LARGEST", 1_000_000)
    (tmp_path / "x.bin").write_bytes(gzip.compress(content) if len(content) > 1_000_000 else content)
    findings = read_findings([tmp_path / "x.bin", CORPUS / "v53.0-twohosts" / "source.log"])
    (error,) = findings.errors
    assert wanted in str(error)
    assert "\n" not in str(error)
    assert len(findings.migrations) == 1


def test_a_header_that_leads_backwards_ends(tmp_path: Path) -> None:
    """A negative size is none; a reader that believed it would go round for ever."""
    header = bytearray(_tar({"a.log": b"x"})[:512])
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # base 256, negative: back to this very header
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(10_240))
    logs, errors, _ = open_inputs([tmp_path / "x.tar"])
    assert not logs
    assert errors


def test_an_archive_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from `ssh host tar c /var/log/ch | otelmig trace -`."""
    (tmp_path / "x").write_bytes(_tar(_HOSTS, "w:gz"))
    with (tmp_path / "x").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        result = run_command(["trace", "-"])
    assert result.code == 0
    assert "(stdin/hostB/ch.log:" in result.stdout


def test_what_was_unpacked_is_gone_with_its_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary file, as long as it is needed, or as it takes to find that it is not."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("x.tar.gz", "x.zip"):
        (tmp_path / name).write_bytes(_KINDS[name](_HOSTS))
        logs, _, _ = open_inputs([tmp_path / name])
        assert len(list((tmp_path / "temporary").iterdir())) == 1
        assert logs.pop().stream.head.lines
        logs.clear()
        gc.collect()
        assert not list((tmp_path / "temporary").iterdir())


def test_a_section_is_a_file_of_its_own(tmp_path: Path) -> None:
    """It begins and ends where it was told to, whatever is asked for."""
    (tmp_path / "x").write_bytes(b"0123456789")
    with Section(io.FileIO(tmp_path / "x"), 3, 4) as section:
        assert (section.read(2), section.tell(), section.read(), section.read(1)) == (b"34", 2, b"56", b"")
        assert (section.seek(-1, os.SEEK_END), section.read()) == (3, b"6")
        assert (section.seek(1), section.seek(1, os.SEEK_CUR), section.read()) == (1, 2, b"56")
