"""A spool that fails in the middle of a run: one line about it, and the delivery goes on."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest
from delivery_cases import delivered, delivery_to, payloads
from open_spool import open_spool
from otlp_receiver import Reply, free_port, http_receiver
from trace_invariants import inputs

from otelmig.otlp.account import Reason
from otelmig.otlp.delivery import Origin
from otelmig.otlp.spool import directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Otelmig
    from otlp_receiver import Receiver

    from otelmig.otlp.payload import Payload

_LOGS = inputs("v53.0-retry")


def test_read_only_file_system(tmp_path: Path) -> None:
    """A spool that was made and can no longer be written: one line, and everything is sent all the same."""
    directory = tmp_path / "small"
    directory.mkdir()
    with _small_file_system(directory) as mounted:
        if not mounted:
            pytest.skip("mounting needs CAP_SYS_ADMIN; test_spool_that_cannot_be_made does without")
        said: list[str] = []
        delivered(payloads(1), f"http://127.0.0.1:{free_port()}", directory / "spool", timeout_s=0.1)
        assert ctypes.CDLL(None).mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0x21, b"size=512k") == 0
        with http_receiver() as receiver:
            account = delivered(payloads(3), receiver.url, directory / "spool", said)
        assert account.words() == "3 exported, 3 without a receipt"
        assert len([text for text in said if "read-only file system" in text]) == len(said) == 1


def test_damaged_line_is_given_up(tmp_path: Path) -> None:
    """A line that changed on the disk is not sent as something else: it is counted, and the others go out."""
    said: list[str] = []
    port = free_port()
    delivered(payloads(3), f"http://127.0.0.1:{port}", tmp_path, timeout_s=0.1)
    (segment,) = tmp_path.glob("segment-*")
    segment.write_bytes(segment.read_bytes().replace(b'"name":"migration"', b'"name":"MIGRATION"', 1))
    with http_receiver(port) as receiver:
        account = delivered([], receiver.url, tmp_path, said)
        assert account.words() == "0 exported, 2 more from the spool, 1 evicted from the spool (1 broken line)"
        assert len(said) == 1
        assert "damaged" in said[0]
        assert delivered([], receiver.url, tmp_path).words() == "0 exported"


def test_spool_that_cannot_be_made(otelmig: Otelmig, tmp_path: Path) -> None:
    """Below a file, or on a read-only file system: one line, and what can be delivered without it is."""
    (tmp_path / "file").touch()
    with http_receiver() as receiver:
        done = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url, "--spool", "file/spool")
        assert done.stderr.splitlines() == [
            "otelmig: cannot use the spool file/spool: not a directory; what is not delivered now is not kept",
            "2 migrations found, 2 exported, 2 without a receipt; 0 lines not understood",
        ]
        assert done.returncode == 0
        kernel = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url, "--spool", "/proc/spool")
        assert kernel.returncode == 0
        assert kernel.stderr.startswith("otelmig: cannot use the spool /proc/spool: ")
    down = otelmig(
        "trace", "-q", *_LOGS, "--otlp", f"http://127.0.0.1:{free_port()}", "--timeout", "0.1", "--spool", "file/spool"
    )
    assert down.returncode == 3
    last = "2 migrations found, 0 exported, 2 not exported (2 spool unavailable, 2 unreachable); 0 lines not understood"
    assert down.stderr.splitlines()[-1] == last


_BOUND_BY_PERMISSIONS: Final = "import ctypes; ctypes.CDLL(None).prctl(24, 1)"
"""Permission bits hold for the process, also if it is root's: it drops ``CAP_DAC_OVERRIDE`` from its bounding set."""
_LIMITED: Final = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"
"""What the process may write into one file."""


def _after(first: str, *arguments: str) -> list[str]:
    """The command line of ``otelmig``, run by a Python that does something else first.

    The process that runs the tests has threads of gRPC's: what it forks may do nothing but start another program.
    """
    run = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'otelmig', *sys.argv[1:]])"
    return [sys.executable, "-c", f"{first}; {run}", *arguments]


def test_directory_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files can be written, but none can be added or removed: one line in the next runs, and all is sent."""
    directory = tmp_path / "spool"
    with http_receiver() as receiver:

        def run() -> str:
            done = subprocess.run(
                _after(_BOUND_BY_PERMISSIONS, "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url),
                env=os.environ | {"OTELMIG_SPOOL": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0
            return done.stderr

        take = receiver.take

        def taking(body: bytes, headers: dict[str, str]) -> Reply:
            if list(directory.glob("segment-*")):
                directory.chmod(0o500)
            return take(body, headers)

        delivered(payloads(1), receiver.url, directory)  # there are receipts

        monkeypatch.setattr(receiver, "take", taking)
        last = "2 migrations found, 2 exported; 0 lines not understood\n"
        assert run() == last
        assert len(list(directory.glob("segment-*"))) == 1
        said = f"cannot use the spool {directory}: permission denied; what is not delivered now is not kept"
        known = "2 migrations found, 0 exported, 2 already delivered; 0 lines not understood\n"
        assert run() == f"otelmig: {said}\n{known}", "what was recorded before can be read"
        directory.chmod(0o700)
        monkeypatch.setattr(receiver, "take", take)
        assert run() == known
        assert not list(directory.glob("segment-*"))


@pytest.mark.parametrize("at", [0, 55])
@pytest.mark.parametrize("replaced", [False, True])
def test_spool_that_is_removed(at: int, *, replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever removes the spool of a run, or puts another in its place, is told that nothing is kept there."""
    directory, away = tmp_path / "spool", tmp_path / "away"
    said: list[str] = []
    with http_receiver() as receiver:
        take = receiver.take

        def taking(body: bytes, headers: dict[str, str]) -> Reply:
            if len(receiver.requests) == at + 1 and not away.exists():
                directory.rename(away)
                if replaced:
                    shutil.copytree(away, directory)
            return take(body, headers)

        monkeypatch.setattr(receiver, "take", taking)
        receiver.reply = Reply(status=400, takes=False)
        account = delivered(payloads(60), receiver.url, directory, said)
    assert away.exists()
    assert account.words() == "0 exported, 60 not exported (60 rejected by receiver, 60 spool unavailable)"
    assert not account.waiting.traces
    words = f"the spool {directory} is not there any longer; what is not delivered now is not kept"
    assert [text for text in said if "the spool" in text] == [words]


@pytest.mark.parametrize("room", [5, 2_000, 30_000])
def test_no_room_for_the_spool(room: int, tmp_path: Path) -> None:
    """The kernel refuses to write more, early or late: one line; all is delivered; nothing half-written is read."""
    with http_receiver() as receiver:
        done = subprocess.run(
            _after(_LIMITED.format(room), "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url),
            env=os.environ | {"OTELMIG_SPOOL": str(tmp_path / "spool"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0
        lines = done.stderr.splitlines()
        missing = ", 2 without a receipt" * (room == 5)
        assert lines[-1] == f"2 migrations found, 2 exported{missing}; 0 lines not understood"
        assert len([line for line in lines if "cannot use the spool" in line]) == (room < 30_000)
        again = delivered([], receiver.url, tmp_path / "spool")
        assert again.words() == "0 exported"


def test_disk_full(tmp_path: Path) -> None:
    """A file system without space, a real one: what is there stays whole, the rest is delivered or said to be lost."""
    directory = tmp_path / "small"
    directory.mkdir()
    with _small_file_system(directory) as mounted:
        if not mounted:
            pytest.skip("mounting needs CAP_SYS_ADMIN; test_no_room_for_the_spool injects the same at the file")
        traces = payloads(200)
        said: list[str] = []
        with http_receiver() as receiver:
            account = delivered(traces, receiver.url, directory / "spool", said)
            assert account.words() == "200 exported"
        assert not said, "what was delivered makes room"
        url = f"http://127.0.0.1:{free_port()}"
        more = payloads(200, 1000)
        account = delivered(more, url, directory / "spool", said, timeout_s=0.1)
        assert account.spooled.traces + account.not_exported.traces == 200
        assert account.reasons[Reason.SPOOL_FULL] == account.not_exported
        assert len([text for text in said if "no space left on device" in text]) == 1
        with open_spool(directory / "spool") as spool:
            lines = [spool.line(entry) for entry in spool.waiting()]
        assert lines == [payload.line for payload in more[: account.spooled.traces]]


@contextmanager
def _small_file_system(directory: Path) -> Iterator[bool]:
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, b"size=512k") == 0
    try:
        yield mounted
    finally:
        if mounted:
            libc.umount(os.fsencode(directory))


def test_lock_that_is_held_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was delivered is known all the same; receipts are left beside the spool, and the next run takes them in."""
    monkeypatch.setattr(directory, "_LOCK_WAIT_S", 0.1)
    old, new = payloads(2), payloads(3, 10)
    said: list[str] = []
    with http_receiver() as receiver:
        delivered(old, receiver.url, tmp_path)
        with open_spool(tmp_path):
            account = delivered([*old, *new], receiver.url, tmp_path, said)
            assert account.words() == "3 exported, 2 already delivered"
            assert len([path for path in tmp_path.iterdir() if path.name.startswith("late-")]) == 1
            again = delivered([*old, *new], receiver.url, tmp_path)
            assert again.words() == "0 exported, 5 already delivered"
        assert delivered([*old, *new], receiver.url, tmp_path).words() == "0 exported, 5 already delivered"
        assert not [path for path in tmp_path.iterdir() if path.name.startswith("late-")]
        assert delivered([*old, *new], receiver.url, tmp_path).words() == "0 exported, 5 already delivered"
        assert not receiver.copies()
    assert any("waited in vain" in text for text in said)


def test_send_that_may_have_arrived_while_the_lock_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run knows that its send may make a copy, and counts it."""
    monkeypatch.setattr(directory, "_LOCK_WAIT_S", 0.1)
    with http_receiver() as receiver:
        with open_spool(tmp_path):
            receiver.replies = [Reply(status=500)]
            account = delivered(payloads(1), receiver.url, tmp_path)
            assert account.words() == "0 exported, 1 not exported (1 receiver error, 1 spool unavailable)"
        assert delivered(payloads(1), receiver.url, tmp_path).words() == "1 exported, 1 re-sent"
        assert receiver.copies().total() == 1


@pytest.mark.parametrize("call", ["fsync", "write", "flock", "replace"])
@pytest.mark.parametrize("number", range(1, 7))
def test_failure_that_passes(call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call fails, as on a disk that is full for a moment: what it kept from being recorded is recorded later."""
    module = fcntl if call == "flock" else os
    real, calls = getattr(module, call), 0

    def failing(*arguments: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            raise OSError(errno.ENOSPC, "no space")
        return real(*arguments, **more)

    accounts = []
    with http_receiver() as receiver:
        monkeypatch.setattr(module, call, failing)
        accounts.append(delivered(payloads(3), receiver.url, tmp_path))
        monkeypatch.setattr(module, call, real)
        accounts.append(delivered(payloads(3), receiver.url, tmp_path))
        accounts.append(delivered(payloads(3), receiver.url, tmp_path))
        copies = receiver.copies().total()
    assert copies <= sum(account.re_sent.traces + account.without_receipt.traces for account in accounts)
    assert accounts[0].words() == "3 exported"
    assert [account.words() for account in accounts[1:]] == ["0 exported, 3 already delivered"] * 2


def test_failure_that_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be recorded: the account says how many went without a receipt."""

    def failing(*_: object) -> object:
        raise OSError(errno.EIO, "broken")

    with http_receiver() as receiver:
        delivered(payloads(1), receiver.url, tmp_path)
        monkeypatch.setattr(os, "fsync", failing)
        account = delivered(payloads(3), receiver.url, tmp_path)
    assert account.words() == "2 exported, 1 already delivered, 2 without a receipt"
    assert account.document()["without_receipt"] == account.exported.document()


def test_copies_of_runs_that_were_killed_one_after_the_other(tmp_path: Path) -> None:
    """A second run that is killed while it sends again tells of no copy: the next one counts them all."""
    trace = payloads(1)
    with http_receiver() as receiver:
        for _ in range(3):
            _killed_while_sending(trace, receiver, tmp_path)
        account = delivered(trace, receiver.url, tmp_path)
        assert receiver.copies().total() == 3 == account.re_sent.traces
        assert account.exported.traces == 1
        assert delivered(trace, receiver.url, tmp_path).words() == "0 exported, 1 already delivered"


def test_copies_of_a_run_that_was_killed_after_its_receipt(tmp_path: Path) -> None:
    """It has no account either: the next run, which has nothing to send, counts them; the one after it does not."""
    trace, others = payloads(1), payloads(1, 5)
    with http_receiver() as receiver:
        receiver.replies = [Reply(status=400, takes=False)]
        delivered(others, receiver.url, tmp_path)  # something waits, so that segments stay
        _killed_while_sending(trace, receiver, tmp_path)
        _killed_while_sending(trace, receiver, tmp_path, acknowledged=True)
        account = delivered(trace, receiver.url, tmp_path)
        assert account.words() == "0 exported, 1 re-sent, 1 already delivered"
        assert receiver.copies().total() == 1
        assert delivered(trace, receiver.url, tmp_path).words() == "0 exported, 1 already delivered"


def _killed_while_sending(
    trace: list[Payload], receiver: Receiver, folder: Path, *, acknowledged: bool = False
) -> None:
    """A run that sends, and dies before it says what became of it."""
    child = os.fork()
    if not child:
        with suppress(BaseException), delivery_to(receiver.url, folder, []) as delivery:
            if acknowledged:
                delivery.deliver(trace, Origin.TRACED)
            else:
                ledger = delivery._ledger  # noqa: SLF001 - the state of a run in the middle
                ledger.record_exported = lambda *_, **__: os._exit(9)  # type: ignore[method-assign] # it dies
                delivery.deliver(trace, Origin.TRACED)
            os._exit(9)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
