"""The spool on real files and file systems: what is in it stays, whoever writes, crashes, or fills the disk."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from delivery_cases import delivered, delivery_to, payloads
from otlp_receiver import Reply, free_port, http_receiver
from trace_invariants import inputs

from otelmig.errors import SpoolError, SpoolFullError, SpoolVersionError
from otelmig.otlp.account import Reason
from otelmig.otlp.delivery import Origin
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.directory import check_spool, default_spool
from otelmig.otlp.spool.spool import Bounds, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Otelmig

_HERE = "http://here/v1/traces"
_THERE = "http://there/v1/traces"
_LOGS = inputs("v53.0-retry")


@contextmanager
def _open(
    directory: Path, bounds: Bounds | None = None, evicted: list[tuple[str, Reason]] | None = None
) -> Iterator[Spool]:
    gone = evicted if evicted is not None else []
    spool = Spool(directory, bounds or Bounds(), on_evicted=lambda entry, reason: gone.append((entry.ident, reason)))
    try:
        yield spool
    finally:
        spool.close()


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    """Lines, whom they are for, whether they were sent and why they failed: all of it survives the process."""
    one, two, three, four = payloads(4)
    with _open(tmp_path / "a" / "spool") as spool:
        spool.store([one, two, three], _HERE, lines=True, sending=False)
        spool.store([two, three, four], _HERE, lines=True, sending=True)
        spool.store([one], _THERE, lines=True, sending=False)
        spool.fail([three], _HERE, Reason.TIMEOUT, uncertain=[False])
        spool.acknowledge([four], _HERE)
    with _open(tmp_path / "a" / "spool") as spool:
        waiting = spool.waiting(_HERE)
        assert [Payload.of_line(spool.line(entry)) for entry in waiting] == [one, two, three]
        assert [(entry.uncertain, entry.reason) for entry in waiting] == [(False, ""), (True, ""), (False, "timeout")]
        assert [entry.ident for entry in spool.waiting(_THERE)] == [one.ident]
        assert spool.delivered(four.ident, _HERE) == four.digest
        assert spool.delivered(four.ident, _THERE) is None
        spool.drop(spool.waiting(_THERE))
        spool.acknowledge([one, two, three], _HERE)
    left = sorted(path.name for path in (tmp_path / "a" / "spool").iterdir())
    assert left == ["format", "lock", "receipts"], "what was delivered is not left behind"
    with _open(tmp_path / "a" / "spool") as spool:
        assert spool.waiting() == []
    assert (tmp_path / "a" / "spool").stat().st_mode & 0o077 == 0


def test_torn_at_every_byte(tmp_path: Path) -> None:
    """A file that ends anywhere: whole records count, the rest is not read, and what comes later is not harmed."""
    one, two, three = payloads(3)
    with _open(tmp_path) as spool:
        spool.store([one, two], _HERE, lines=True, sending=True)
        spool.acknowledge([one], _HERE)
        segment, receipts = tmp_path / "segment-00000001", tmp_path / "receipts"
        whole, acknowledged = segment.read_bytes(), receipts.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4
    near = {end + step for end in ends for step in (-2, -1, 0, 1)} | set(range(0, len(whole), 997))
    for cut in sorted(each for each in near if 0 <= each <= len(whole)):
        segment.write_bytes(whole[:cut])
        receipts.unlink(missing_ok=True)
        with _open(tmp_path) as spool:
            found = [entry.ident for entry in spool.waiting()]
            assert found == [payload.ident for payload, end in zip((one, two), ends, strict=False) if cut >= end]
            assert [spool.line(entry) for entry in spool.waiting()] == [one.line, two.line][: len(found)]
            spool.store([three], _HERE, lines=True, sending=False)
        with _open(tmp_path) as spool:
            assert [entry.ident for entry in spool.waiting()] == [*found, three.ident]
            spool.acknowledge([three], _HERE)
        for path in tmp_path.glob("segment-*"):
            path.unlink()
    for cut in range(len(acknowledged) - 1):
        receipts.write_bytes(acknowledged[:cut])
        segment.write_bytes(whole)
        with _open(tmp_path) as spool:
            assert len(spool.waiting()) == 2
            spool.acknowledge([two], _HERE)
        with _open(tmp_path) as spool:
            assert spool.delivered(two.ident, _HERE) == two.digest
            assert [entry.ident for entry in spool.waiting()] == [one.ident]
        for path in tmp_path.glob("segment-*"):
            path.unlink()


def test_archive_in_flight(tmp_path: Path) -> None:
    """Of a line out of an archive the spool knows only that it was being sent: enough to count the second copy."""
    given = payloads(3)
    with http_receiver() as receiver:
        place = f"{receiver.url}/v1/traces"
        with _open(tmp_path) as spool:
            spool.store(given[:2], place, lines=False, sending=True)
            spool.fail(given[1:2], place, Reason.UNREACHABLE, uncertain=[False])
            assert spool.waiting() == []
        with delivery_to(receiver.url, tmp_path, []) as delivery:
            delivery.deliver(given, Origin.ARCHIVE)
        assert delivery.account.words() == "3 exported, 1 re-sent"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["format", "lock", "receipts"]


def test_line_that_was_delivered_does_not_come_back(tmp_path: Path) -> None:
    """Sent again out of an archive, a payload does not wait because of a line that is still in an old segment."""
    stuck, other, given = payloads(3)
    with _open(tmp_path) as spool:
        spool.store([stuck, other, given], _HERE, lines=True, sending=True)
        spool.acknowledge([other, given], _HERE)
        spool.store([given], _HERE, lines=False, sending=True)
        spool.fail([given], _HERE, Reason.UNREACHABLE, uncertain=[True])
    assert given.line in (tmp_path / "segment-00000001").read_bytes()
    with _open(tmp_path) as spool:
        assert [entry.ident for entry in spool.waiting()] == [stuck.ident]
        entry = spool.entry(given.ident, _HERE)
        assert entry is not None
        assert entry.uncertain
        assert (spool.delivered(other.ident, _HERE), spool.delivered(given.ident, _HERE)) == (other.digest, None)


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
        assert account.words() == "3 exported"
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


def test_any_byte_of_a_head_may_be_damaged(tmp_path: Path) -> None:
    """A trace whose record is damaged is counted once, and gone; the other one stays what it is."""
    one, two = payloads(2)
    with _open(tmp_path) as spool:
        spool.store([one, two], _HERE, lines=True, sending=False)
    (segment,) = tmp_path.glob("segment-*")
    whole = segment.read_bytes()
    for at in range(whole.index(b" {")):
        segment.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        evicted: list[tuple[str, Reason]] = []
        with _open(tmp_path, evicted=evicted) as spool:
            assert (spool.lost, [entry.ident for entry in spool.waiting()]) == (1, [two.ident])
            spool.tidy()
            spool.tidy()
            assert evicted == [("", Reason.BROKEN_LINE)]
        with _open(tmp_path) as spool:
            assert (spool.lost, [spool.line(entry) for entry in spool.waiting()]) == (0, [two.line])
        for path in tmp_path.glob("segment-*"):
            path.unlink()


def test_names_of_others_are_left_alone(tmp_path: Path) -> None:
    """A copy that somebody made of a segment is neither read nor removed, and gives no segment its number."""
    with _open(tmp_path) as spool:
        spool.store(payloads(1), _HERE, lines=True, sending=False)
    copy = tmp_path / "segment-00000001.bak"
    copy.write_bytes((tmp_path / "segment-00000001").read_bytes())
    with _open(tmp_path) as spool:
        spool.store(payloads(1, 2), _HERE, lines=True, sending=False)
        assert len(spool.waiting()) == 2
        spool.acknowledge(payloads(2), _HERE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["format", "lock", "receipts", copy.name]


def test_what_was_delivered_long_ago_is_not_evicted(tmp_path: Path) -> None:
    """A receipt that is about to be forgotten still says that nothing was lost, and that nothing need be sent."""
    old, new = payloads(2)
    (tmp_path / "kept").mkdir()
    with _open(tmp_path / "kept") as spool:
        spool.store([old, new], _HERE, lines=True, sending=True)
        (segment,) = (tmp_path / "kept").glob("segment-*")
        content = segment.read_bytes()
        spool.acknowledge([old], _HERE)
    for path in (tmp_path / "kept").glob("segment-*"):
        path.unlink()
    segment.write_bytes(content)
    later = segment.stat().st_mtime + 1000
    gone: list[str] = []
    bounds = Bounds(age_s=100)
    spool = Spool(tmp_path / "kept", bounds, on_evicted=lambda entry, _: gone.append(entry.ident), now_s=lambda: later)
    spool.tidy()
    spool.close()
    assert gone == [new.ident], "it is too old, and was never delivered"
    with _open(tmp_path / "kept") as spool:
        assert spool.waiting() == []


def test_size_is_bounded(tmp_path: Path) -> None:
    """The oldest go first, each counted; the directory stays within the bound; the newest is there."""
    bounds = Bounds(size=1 << 20)
    evicted: list[tuple[str, Reason]] = []
    given = payloads(400)
    assert sum(len(payload.line) for payload in given) > 1.2 * (1 << 20)
    with _open(tmp_path, bounds, evicted) as spool:
        for at in range(0, len(given), 20):
            spool.store(given[at : at + 20], _HERE, lines=True, sending=False)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bounds.size
        left = [entry.ident for entry in spool.waiting()]
    assert {reason for _, reason in evicted} == {Reason.EVICTED_SIZE}
    assert [ident for ident, _ in evicted] + left == [payload.ident for payload in given]
    assert len(left) > 100
    with _open(tmp_path, bounds) as spool:
        assert [entry.ident for entry in spool.waiting()] == left
        assert Payload.of_line(spool.line(spool.waiting()[-1])) == given[-1]


def test_eviction_is_accounted_for(tmp_path: Path) -> None:
    """What a full spool lets go of in the same run is not called spooled."""
    given = payloads(400)
    account = delivered(given, f"http://127.0.0.1:{free_port()}", tmp_path, bounds=Bounds(size=1 << 20), timeout_s=0.1)
    assert account.spooled == account.waiting
    assert account.spooled.traces + account.not_exported.traces == 400
    assert account.not_exported == account.evicted == account.reasons[Reason.EVICTED_SIZE]
    assert account.evicted.traces > 0


def test_one_stuck_trace_does_not_keep_the_delivered_ones(tmp_path: Path) -> None:
    """What was delivered makes room, also behind a trace that nobody takes."""
    bounds = Bounds(size=1 << 20)
    evicted: list[tuple[str, Reason]] = []
    given = payloads(400)
    with _open(tmp_path, bounds, evicted) as spool:
        spool.store(given[:1], _HERE, lines=True, sending=True)
        spool.fail(given[:1], _HERE, Reason.REJECTED_SPANS, uncertain=[True])
        for at in range(1, len(given), 19):
            spool.store(given[at : at + 19], _HERE, lines=True, sending=True)
            spool.acknowledge(given[at : at + 19], _HERE)
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bounds.size
    assert evicted == []
    with _open(tmp_path, bounds) as spool:
        (entry,) = spool.waiting()
        assert (entry.ident, entry.uncertain, entry.reason) == (given[0].ident, True, "rejected_spans")
        assert spool.line(entry) == given[0].line
        assert all(spool.delivered(payload.ident, _HERE) for payload in given[1:])


def test_age_is_bounded(tmp_path: Path) -> None:
    """What is too old goes, counted; its receipts are forgotten, too."""
    old, new = payloads(2)
    now = [1_000_000.0]
    evicted: list[tuple[str, Reason]] = []
    bounds = Bounds(age_s=100)

    def opened() -> Spool:
        return Spool(
            tmp_path, bounds, on_evicted=lambda entry, why: evicted.append((entry.ident, why)), now_s=lambda: now[0]
        )

    spool = opened()
    spool.store([old], _HERE, lines=True, sending=False)
    spool.acknowledge([old], _THERE)
    now[0] += 60
    spool.store([new], _HERE, lines=True, sending=False)
    spool.close()
    now[0] += 60
    spool = opened()
    spool.tidy()
    assert [entry.ident for entry in spool.waiting()] == [new.ident]
    assert evicted == [(old.ident, Reason.EVICTED_AGE)]
    assert spool.delivered(old.ident, _THERE) is None
    spool.close()
    spool = opened()
    spool.tidy()
    assert [entry.ident for entry in spool.waiting()] == [new.ident]
    assert len(evicted) == 1
    spool.close()


def test_receipts_are_bounded(tmp_path: Path) -> None:
    """Of very many receipts the newer ones stay."""
    given = payloads(2000)
    with _open(tmp_path, Bounds(size=1 << 20)) as spool:
        for at in range(0, len(given), 100):
            spool.acknowledge(given[at : at + 100], _HERE)
        assert (tmp_path / "receipts").stat().st_size > 1 << 17
        spool.tidy()
        assert (tmp_path / "receipts").stat().st_size <= 1 << 17
        assert spool.delivered(given[-1].ident, _HERE)
        assert not spool.delivered(given[0].ident, _HERE)
        spool.acknowledge(given[:1], _HERE)
    with _open(tmp_path) as spool:
        assert spool.delivered(given[-1].ident, _HERE)
        assert spool.delivered(given[0].ident, _HERE)


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


def test_two_processes(otelmig: Otelmig, tmp_path: Path) -> None:
    """The second process waits, says so once, and then finds what the first one did."""
    with http_receiver() as receiver:
        receiver.replies = [Reply(hangs=True)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL")}
        environ = clean | {"OTELMIG_SPOOL": str(tmp_path / "spool")}
        command = [sys.executable, "-m", "otelmig", "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url]
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


def test_spool_that_cannot_be_made(otelmig: Otelmig, tmp_path: Path) -> None:
    """Below a file, or on a read-only file system: one line, and what can be delivered without it is."""
    (tmp_path / "file").touch()
    with http_receiver() as receiver:
        done = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url, "--spool", "file/spool")
        assert done.stderr.splitlines() == [
            "otelmig: cannot use the spool file/spool: not a directory; what is not delivered now is not kept",
            "2 migrations found, 2 exported; 0 lines not understood",
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


def test_directory_that_may_not_be_written(tmp_path: Path) -> None:
    """Its files can be written, but none can be added or removed: one line in the next runs, and all is sent."""
    directory = tmp_path / "spool"
    with http_receiver() as receiver:

        def run() -> str:
            done = subprocess.run(
                [sys.executable, "-m", "otelmig", "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url],
                env=os.environ | {"OTELMIG_SPOOL": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
                preexec_fn=_bound_by_permissions,
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

        receiver.take = taking  # type: ignore[method-assign] # this receiver alone
        last = "2 migrations found, 2 exported; 0 lines not understood\n"
        assert run() == last
        assert len(list(directory.glob("segment-*"))) == 1
        said = f"cannot use the spool {directory}: permission denied; what is not delivered now is not kept"
        assert run() == f"otelmig: {said}\n{last}"
        directory.chmod(0o700)
        receiver.take = take  # type: ignore[method-assign] # this receiver alone
        assert run() == "2 migrations found, 0 exported, 2 already delivered; 0 lines not understood\n"
        assert not list(directory.glob("segment-*"))


@pytest.mark.parametrize("at", [0, 55])
@pytest.mark.parametrize("replaced", [False, True])
def test_spool_that_is_removed(at: int, replaced: bool, tmp_path: Path) -> None:  # noqa: FBT001 - drawn
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

        receiver.take = taking  # type: ignore[method-assign] # this receiver alone
        receiver.reply = Reply(status=400, takes=False)
        account = delivered(payloads(60), receiver.url, directory, said)
    assert away.exists()
    assert account.words() == "0 exported, 60 not exported (60 rejected by receiver, 60 spool unavailable)"
    assert not account.waiting.traces
    words = f"the spool {directory} is not there any longer; what is not delivered now is not kept"
    assert [text for text in said if "the spool" in text] == [words]


def test_segment_that_is_removed(tmp_path: Path) -> None:
    """Also of what earlier runs left it is known whether it is there."""
    with _open(tmp_path) as spool:
        spool.store(payloads(1), _HERE, lines=True, sending=False)
    with _open(tmp_path) as spool:
        assert spool.exists
        (tmp_path / "segment-00000001").unlink()
        assert not spool.exists


def _bound_by_permissions() -> None:
    """Permission bits hold for the process that is about to start, also if it is root's."""
    drop_from_bounding_set, dac_override = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override)  # who is not root may not, and need not


def _limited(size: int) -> None:
    """What the process that is about to start may write into one file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("room", [5, 2_000, 30_000])
def test_no_room_for_the_spool(room: int, tmp_path: Path) -> None:
    """The kernel refuses to write more, early or late: one line; all is delivered; nothing half-written is read."""
    with http_receiver() as receiver:
        done = subprocess.run(
            [sys.executable, "-m", "otelmig", "trace", "-q", *map(str, _LOGS), "--otlp", receiver.url],
            env=os.environ | {"OTELMIG_SPOOL": str(tmp_path / "spool"), "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: _limited(room),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0
        lines = done.stderr.splitlines()
        assert lines[-1] == "2 migrations found, 2 exported; 0 lines not understood"
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
        given = payloads(200)
        said: list[str] = []
        with http_receiver() as receiver:
            account = delivered(given, receiver.url, directory / "spool", said)
            assert account.words() == "200 exported"
        assert not said, "what was delivered makes room"
        url = f"http://127.0.0.1:{free_port()}"
        more = payloads(200, 1000)
        account = delivered(more, url, directory / "spool", said, timeout_s=0.1)
        assert account.spooled.traces + account.not_exported.traces == 200
        assert account.reasons[Reason.SPOOL_FULL] == account.not_exported
        assert len([text for text in said if "no space left on device" in text]) == 1
        with _open(directory / "spool") as spool:
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


def test_spool_that_fills_up_by_its_own_bound(tmp_path: Path) -> None:
    """One trace that is larger than the whole spool may be is not kept; it is said."""
    with _open(tmp_path, Bounds(size=1000)) as spool, pytest.raises(SpoolFullError, match="may not grow beyond 1000"):
        spool.store(payloads(1), _HERE, lines=True, sending=False)


def test_where_the_spool_is() -> None:
    """The variable, else the state directory, else below the home directory, which a service has no variable for."""
    environ = {"OTELMIG_SPOOL": "/s", "XDG_STATE_HOME": "/state", "HOME": "/h"}
    assert default_spool(environ) == Path("/s")
    assert default_spool(environ | {"OTELMIG_SPOOL": ""}) == Path("/state/otelmig/spool")
    assert default_spool({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/otelmig/spool")
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert default_spool({}) == home / ".local/state/otelmig/spool"
