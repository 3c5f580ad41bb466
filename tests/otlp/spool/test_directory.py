"""The directory of a spool: where it is, what is left alone there, and who may use it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from otlp_receiver import Reply, http_receiver
from trace_invariants import inputs

from otelmig.errors import SpoolError, SpoolVersionError
from otelmig.otlp.spool.directory import check_spool, default_spool
from otelmig.otlp.spool.format import HEADLINE
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from conftest import Otelmig

_LOGS = inputs("v53.0-retry")


def test_newer_version(otelmig: Otelmig, tmp_path: Path) -> None:
    """A spool of a newer version is left as it is; one line says so, nothing is sent, the waterfall is printed."""
    directory = tmp_path / "spool"
    directory.mkdir()
    (directory / "format").write_text("otelmig-spool 2\n")
    (directory / "segment-00000001").write_text("something else\n")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}
    with pytest.raises(SpoolVersionError):
        check_spool(directory)
    with http_receiver() as receiver:
        done = otelmig("trace", *_LOGS, "--otlp", receiver.url)
        sent = otelmig("send", "--otlp", receiver.url)
        without = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url, "--no-spool")
        assert len(receiver.requests) == 1
    assert (done.returncode, sent.returncode, without.returncode) == (3, 3, 0)
    assert done.stdout.count("downtime") > 1
    lines = done.stderr.splitlines()
    assert len([line for line in lines if "a newer otelmig wrote the spool" in line]) == 1
    assert lines[-1] == "2 migrations found, 0 exported, 2 not exported (2 spool unavailable); 0 lines not understood"
    assert sent.stderr.count("a newer otelmig wrote the spool") == 1
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()} == before


def test_directory_that_is_no_spool(tmp_path: Path) -> None:
    """A directory with other things in it is not written to."""
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SpoolError, match="is no spool, and it is not empty"):
        Spool(tmp_path, Bounds())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    (tmp_path / "format").write_text("MS-DOS\n")
    with pytest.raises(SpoolError, match="does not say"):
        check_spool(tmp_path)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_directory_that_others_may_write_to(mode: int, otelmig: Otelmig, tmp_path: Path) -> None:
    """It is refused, whether it holds a spool already or not; the traces are sent, and not kept."""
    directory = tmp_path / "spool"
    for made in (False, True):
        if made:
            directory.chmod(0o700)
            Spool(directory, Bounds()).close()
        else:
            directory.mkdir()
        directory.chmod(mode)
        before = sorted(path.name for path in directory.iterdir())
        with pytest.raises(SpoolError, match="others may write to"):
            Spool(directory, Bounds())
        with http_receiver() as receiver:
            done = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url)
            assert len(receiver.requests) == 1
        assert f"others may write to the spool {directory}: want a directory of mode 0700" in done.stderr
        assert sorted(path.name for path in directory.iterdir()) == before
        assert otelmig("send", "--otlp", "http://127.0.0.1:1").returncode == 3
        if made:
            assert otelmig("send", "--dry-run").returncode == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns a directory can write to it; only root may, because root may write anywhere."""
    Spool(tmp_path, Bounds()).close()
    os.chown(tmp_path, 1234, -1)
    with pytest.raises(SpoolError, match="belongs to another user"):
        Spool(tmp_path, Bounds())
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    Spool(tmp_path, Bounds()).close()
    os.chown(tmp_path, 0, -1)
    Spool(tmp_path, Bounds()).close()


@pytest.mark.parametrize("name", ["lock", "format", "format.partial", "segment-00000001", "receipts"])
def test_links_in_a_spool_are_not_followed(name: str, tmp_path: Path) -> None:
    """Neither is what they lead to read, nor is it written to."""
    directory, victim = tmp_path / "spool", tmp_path / "victim"
    victim.write_text(HEADLINE if name == "format" else "precious\n")
    directory.mkdir(mode=0o700)
    if name != "format.partial":
        Spool(directory, Bounds()).close()
        (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to("../victim")
    before = victim.read_text()
    with pytest.raises(SpoolError, match="a link in it is not followed"):
        Spool(directory, Bounds())
    assert victim.read_text() == before


def test_two_processes(otelmig: Otelmig, tmp_path: Path) -> None:
    """The second process waits, says so once, and then finds what the first one did."""
    with http_receiver() as receiver:
        receiver.replies = [Reply(hangs=True)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
        environ = clean | {"OTELMIG_SPOOL": str(tmp_path / "spool")}
        command = [sys.executable, "-m", "otelmig", "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url]
        command += ["--timeout", "60"]  # the second one may be slow to start
        first = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        while not receiver.requests:
            assert first.poll() is None
        second = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        line = second.stderr.readline()
        assert line == f"otelmig: process {first.pid} uses the spool {tmp_path / 'spool'}: waiting for it\n"
        receiver.go_on.set()
        said = [process.communicate(timeout=60)[1] for process in (first, second)]
        assert (first.returncode, second.returncode) == (0, 0)
        assert said[0] == "2 migrations found, 2 exported; 0 lines not understood\n"
        assert said[1] == "2 migrations found, 0 exported, 2 already delivered; 0 lines not understood\n"
        assert not receiver.copies()
    assert otelmig("send", "--dry-run").stderr.startswith("0 traces found")


def test_where_the_spool_is() -> None:
    """The variable, else the state directory, else below the home directory, which a service has no variable for."""
    environ = {"OTELMIG_SPOOL": "/s", "XDG_STATE_HOME": "/state", "HOME": "/h"}
    assert default_spool(environ) == Path("/s")
    assert default_spool(environ | {"OTELMIG_SPOOL": ""}) == Path("/state/otelmig/spool")
    assert default_spool({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/otelmig/spool")
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert default_spool({}) == home / ".local/state/otelmig/spool"
