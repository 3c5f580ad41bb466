"""Whatever carried a log, it tells the same story: containers, syslog, the journal, compression, rotation, a pipe."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import framings
import pytest
from command_run import run_command
from restamp import shifted
from trace_invariants import CORPUS, anchored_findings, check_traces, traced

from otelmig.hypervisors.cloud_hypervisor.reading.message_index import wanted
from otelmig.inputs import open_input
from otelmig.inputs.compression import compression_of
from otelmig.pipeline import read_findings, trace_migrations
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Otelmig

    from otelmig.trace.span import Trace

_BEGAN = {"source": 1_780_000_000 * 10**9, "destination": 1_780_000_005 * 10**9}
_IDS = {"source": 4711, "destination": 815}
_BY_PROCESS = ("host", "pid")


def _carriers() -> dict[str, Callable[[bytes, str], bytes]]:
    def of(name: str, *extra: str) -> Callable[[bytes, str], bytes]:
        function = getattr(framings, name)

        def carry(log: bytes, role: str) -> bytes:
            given: dict[str, object] = {"began_ns": _BEGAN[role], "host": f"{role}-host", "pid": _IDS[role]}
            given |= {"machine_id": f"{_IDS[role]:032x}", "boot_id": f"{_IDS[role] + 1:032x}", "native": True}
            wrapped: bytes = function(log, **{key: given[key] for key in ("began_ns", *extra)})
            return wrapped

        return carry

    return {
        "docker json-file": of("docker_json"),
        "docker timestamps": of("docker_timestamps"),
        "cri": of("cri"),
        "syslog short": of("syslog_rfc3164", *_BY_PROCESS),
        "syslog iso": of("syslog_rfc3339", *_BY_PROCESS),
        "syslog": of("syslog_rfc5424", *_BY_PROCESS),
        "journald short": of("journal_short", *_BY_PROCESS),
        "journald short-iso-precise": of("journal_short_iso_precise", *_BY_PROCESS),
        "journald short-monotonic": of("journal_short_monotonic", *_BY_PROCESS),
        "journalctl -o json": of("journal_json", *_BY_PROCESS, "machine_id", "boot_id"),
        "journalctl -o json, native": of("journal_json", *_BY_PROCESS, "machine_id", "boot_id", "native"),
        "journalctl -o export": of("journal_export", *_BY_PROCESS, "machine_id", "boot_id"),
        "journalctl -o export, native": of("journal_export", *_BY_PROCESS, "machine_id", "boot_id", "native"),
        "LF": lambda log, _: framings.lf_only(log),
        "docker compose": lambda log, _: _prefixed(log, b"vm-1  | "),
        "docker compose, timestamps": lambda log, _: _prefixed(log, b"vm-1  | 2026-05-21T06:02:15.542701123Z "),
        "kubectl logs --prefix": lambda log, _: _prefixed(log, b"[pod/vm-0/vmm] "),
        "journald short-full": lambda log, _: _prefixed(log, b"Thu 2026-05-21 06:02:15 UTC host-a ch[12]: "),
        "journald short-unix": lambda log, _: _prefixed(log, b"1779343335.542701 host-a ch[12]: "),
        "docker json-file of syslog of cri": lambda log, _: _in_docker(_prefixed(_prefixed(log, _POD), _FORWARDED)),
        "syslog with priority": lambda log, _: _prefixed(log, b"<30>May 21 06:02:15 host-a ch[12]: "),
    }


def _prefixed(log: bytes, prefix: bytes) -> bytes:
    """Each line as a transport shows it that only puts something before it."""
    return b"".join(prefix + line + b"\n" for line in framings.lf_only(log).split(b"\n")[:-1])


_POD = b"2026-05-21T06:02:15.542701123Z stdout F "
_FORWARDED = b"<30>May 21 06:02:15 host-a ch[12]: "


def _in_docker(lines: bytes) -> bytes:
    """Each line as Docker's json-file driver writes it."""
    entries = [{"log": f"{line}\n", "stream": "stdout"} for line in lines.decode().split("\n")[:-1]]
    return "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()


_CARRIERS = _carriers()
_NAMES = ("v48.0-basic", "v51.1-noisy", "v53.0-basicv", "v53.0-retry")


def _logs(name: str) -> dict[str, bytes]:
    return {role: (CORPUS / name / f"{role}.log").read_bytes() for role in ("source", "destination")}


def _shape(traces: list[Trace]) -> list[list[tuple[str, str, int, str | None]]]:
    """What a trace tells, short of absolute time and places in files."""
    return [[(span.name, span.role, span.duration_ns, span.error) for span in trace.spans] for trace in traces]


@cache
def _plain(name: str) -> tuple[list[list[tuple[str, str, int, str | None]]], tuple[str, ...]]:
    traces = traced([CORPUS / name / f"{role}.log" for role in ("source", "destination")])
    return _shape(traces), tuple(trace.trace_id for trace in traces)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("carrier", _CARRIERS)
def test_same_story_by_any_transport(carrier: str, name: str, tmp_path: Path) -> None:
    """The transport comes off, and the trace is the one of the plain logs, ids included."""
    for role, log in _logs(name).items():
        (tmp_path / f"{role}.log").write_bytes(_CARRIERS[carrier](log, role))
    findings = anchored_findings(sorted(tmp_path.iterdir()))
    assert not findings.errors
    assert not findings.not_understood
    traces = list(findings.traces(TraceOptions()))
    check_traces(traces)
    assert (_shape(traces), tuple(trace.trace_id for trace in traces)) == _plain(name)


@pytest.mark.parametrize(
    ("carrier", "host"),
    [
        ("journalctl -o json", True),
        ("journalctl -o export", True),
        ("journald short-iso-precise", True),
        ("syslog iso", True),
        ("syslog", True),
        ("cri", False),
        ("docker json-file", False),
        ("docker timestamps", False),
    ],
)
def test_receipts_place_the_trace(carrier: str, tmp_path: Path, *, host: bool) -> None:
    """A transport that stamps lines in full says when a log without a wall clock was written; some name the host."""
    for role, log in _logs("v53.0-basicv").items():
        (tmp_path / f"{role}.log").write_bytes(_CARRIERS[carrier](log, role))
    (trace,) = trace_migrations(sorted(tmp_path.iterdir()))
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    began_ns = _BEGAN["source"] + 5_504_863_000
    assert 0 <= trace.root.start_ns - began_ns <= 200_000, "150 us to the receipt, and rounding"
    names = {role: resource.get("host.name") for role, resource in trace.resources.items()}
    assert names == ({"source": "source-host", "destination": "destination-host"} if host else dict.fromkeys(names))


@pytest.mark.parametrize("time", ["2026-05-21T06:02:15.54G701Z", "2026-02-30T06:02:15Z", "now", "", "9999-99-99"])
def test_a_damaged_receipt_is_no_receipt(time: str, tmp_path: Path) -> None:
    """A transport's time that is none leaves the line as it is."""
    for role, log in _logs("v53.0-basicv").items():
        wrapped = _CARRIERS["docker json-file"](log, role)
        (tmp_path / f"{role}.log").write_bytes(re.sub(rb'"time":"[^"]*"', b'"time":"%b"' % time.encode(), wrapped))
    assert _shape(traced(sorted(tmp_path.iterdir()))) == _plain("v53.0-basicv")[0]


def _merged_journal(*streams: bytes) -> bytes:
    lines: list[bytes] = [line for stream in streams for line in stream.splitlines() if line]
    lines.sort(key=_received)
    return b"\n".join(lines) + b"\n"


def _received(line: bytes) -> int:
    return int(json.loads(line)["__REALTIME_TIMESTAMP"])


def test_several_processes_in_one_journal(tmp_path: Path) -> None:
    """Both VMs of a migration, and another migration's, in one journal are told apart by their process ids."""
    carry = _CARRIERS["journalctl -o json"]
    first = [carry(log, role) for role, log in _logs("v53.0-retry").items()]
    later = [
        carry(shifted(log, 1_500_000), role).replace(b'"%d"' % _IDS[role], b'"%d"' % (_IDS[role] + 1))
        for role, log in _logs("v53.0-tls").items()
    ]
    noise = b'{"__REALTIME_TIMESTAMP":"1780000000000001","MESSAGE":"session opened","_PID":"1"}\n' * 200
    (tmp_path / "journal.json").write_bytes(noise + _merged_journal(*first, *later))
    traces = traced([tmp_path / "journal.json"])
    check_traces(traces)
    assert sorted(trace.root.attributes["vm.migration.result"] for trace in traces) == ["failure", "success", "success"]
    assert sum(trace.first("receive") is not None for trace in traces) == 2


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "bzip2"])
def test_compressed_files(kind: str, tmp_path: Path) -> None:
    """Compression is told by the content, whatever the name."""
    for role, log in _logs("v53.0-basicv").items():
        if kind == "zstd":
            packed = subprocess.run([sys.executable, "-c", _ZSTD], input=log, capture_output=True, check=True).stdout
        else:
            packed = _PACKERS[kind](log)
        assert compression_of(packed) == kind
        (tmp_path / f"{role}.packed").write_bytes(packed)
    assert _shape(traced(sorted(tmp_path.iterdir()))) == _plain("v53.0-basicv")[0]


_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
_ZSTD = """
import sys
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
sys.stdout.buffer.write(zstd.compress(sys.stdin.buffer.read()))
"""


def test_truncated_archive(otelmig: Otelmig, tmp_path: Path) -> None:
    """What can be unpacked is read, and a note says that the rest could not be."""
    log = _logs("v53.0-basicv")["source"]
    packed = gzip.compress(log)
    (tmp_path / "source.log.gz").write_bytes(packed[: len(packed) * 9 // 10])
    done = otelmig("trace", tmp_path / "source.log.gz")
    assert done.returncode == 0
    assert "source.log.gz: the compressed data ends early" in done.stderr
    assert "1 migration found" in done.stderr


def test_rotations_in_any_order(tmp_path: Path) -> None:
    """The rotations of one log are one log, in the order in which they were written, compressed or not."""
    log = _logs("v53.0-basicv")["source"]
    cuts = [log.index(b"migration-memory-iteration"), log.index(b"snapshotting")]
    first, second = (log.rindex(b"\n", 0, cut) + 1 for cut in cuts)
    (tmp_path / "vm.log.2.gz").write_bytes(gzip.compress(log[:first]))
    (tmp_path / "vm.log.1").write_bytes(log[first:second])
    (tmp_path / "vm.log").write_bytes(log[second:])
    (tmp_path / "destination.log").write_bytes(_logs("v53.0-basicv")["destination"])
    paths = sorted(tmp_path.iterdir())
    traces = traced(paths)
    assert _shape(traces) == _plain("v53.0-basicv")[0]
    assert _shape(traced(paths[::-1])) == _plain("v53.0-basicv")[0]
    assert traces[0].root.attributes["otelmig.evidence.start"].startswith("vm.log.2.gz:")  # type: ignore[union-attr] # a string


def test_a_line_that_a_rotation_cut(tmp_path: Path) -> None:
    """A record that was being written when the log was rotated is put together again."""
    log = _logs("v53.0-basicv")["source"]
    cut = log.index(b"Migration completed after") + 12
    (tmp_path / "source.log.1").write_bytes(log[:cut])
    (tmp_path / "source.log").write_bytes(log[cut:])
    (trace,) = traced(sorted(tmp_path.iterdir()))
    assert trace.root.attributes["vm.migration.downtime.duration"] == 0.446
    assert not read_findings(sorted(tmp_path.iterdir())).not_understood


def test_standard_input_and_pipes(tmp_path: Path) -> None:
    """``-`` is standard input; a pipe works like a file."""
    logs = _logs("v53.0-basicv")
    (tmp_path / "destination.log").write_bytes(logs["destination"])
    done = subprocess.run(
        [sys.executable, "-m", "otelmig", "trace", "-", str(tmp_path / "destination.log")],
        input=gzip.compress(logs["source"]),
        capture_output=True,
        check=True,
    )
    assert b"446 ms" in done.stdout
    assert done.stderr.splitlines()[-1].startswith(b"1 migration found")


def test_restart_within_a_file(tmp_path: Path) -> None:
    """Processes that append to one log one after the other are different processes, in the order of time."""
    logs = [_logs(name)["source"] for name in ("v53.0-basicv", "v53.0-retry", "v53.0-killsrc", "v48.0-basicv")]
    (tmp_path / "vm.log").write_bytes(b"".join(logs))
    traces = list(trace_migrations([tmp_path / "vm.log"]))
    check_traces(traces)
    results = [trace.root.attributes["vm.migration.result"] for trace in traces]
    assert results == ["success", "failure", "success", "unknown", "success"]
    assert all(trace.root.start_ns > 1_600_000_000 * 10**9 for trace in traces), "never 1970"


def test_two_processes_in_turns(tmp_path: Path) -> None:
    """Two VMs that write to one file without naming themselves are told apart by their clocks."""
    logs = _logs("v53.0-basicv")
    other = shifted(logs["destination"], 7_000_000_000)
    lines = [
        (number, line) for log in (logs["source"], other) for number, line in enumerate(log.splitlines(keepends=True))
    ]
    (tmp_path / "both.log").write_bytes(b"".join(line for _, line in sorted(lines, key=lambda item: item[0])))
    traces = traced([tmp_path / "both.log"])
    check_traces(traces)
    assert [name for name, *_ in _shape(traces)[0]] == [name for name, *_ in _plain("v53.0-basicv")[0][0]]


@pytest.mark.parametrize("name", ["v53.0-basicv", "v53.0-dirty", "v48.0-basic"])
def test_lines_that_were_delivered_twice(name: str, tmp_path: Path) -> None:
    """A transport that delivers lines again changes nothing."""
    for role, log in _logs(name).items():
        lines = log.splitlines(keepends=True)
        twice = [line for at, each in enumerate(lines) for line in [each] * (1 + (at % 3 == 0))]
        (tmp_path / f"{role}.log").write_bytes(b"".join(twice))
    assert _shape(traced(sorted(tmp_path.iterdir()))) == _plain(name)[0]


@pytest.mark.parametrize("name", ["v53.0-conn4", "v53.0-dirty", "v51.1-noisy", "head-postcopy"])
def test_threads_that_overtake_each_other(name: str, tmp_path: Path) -> None:
    """Lines of different threads may stand in another order than their stamps: the stamps count."""
    for role, log in _logs(name).items():
        lines = log.splitlines(keepends=True)
        for at in range(1, len(lines)):
            one, other = (line.split(b"> ")[0].rpartition(b"<")[2] for line in lines[at - 1 : at + 1])
            if one != other and b"migrat" not in lines[at - 1] + lines[at]:
                lines[at - 1 : at + 1] = lines[at], lines[at - 1]
        (tmp_path / f"{role}.log").write_bytes(b"".join(lines))
    names = [[span for span, *_ in trace] for trace in _shape(traced(sorted(tmp_path.iterdir())))]
    assert names == [[span for span, *_ in trace] for trace in _plain(name)[0]]


def test_a_line_that_is_wanted_twice_is_given_once(tmp_path: Path) -> None:
    """A message and the mark of a report in one line, or the mark twice, make one line with its own number."""
    mark, message = "==== Possible seccomp violation ====", " -- Migration complete"
    lines = [message, f"{message} {mark}", "between", f"{mark} {mark}", message, "after", f"{message} {mark} {mark}"]
    path = tmp_path / "source.log"
    path.write_text("".join(f"{line}\n" for line in [*lines, mark]))
    given = open_input(path).lines(wanted((" -- ",)))
    assert [(line.where.line, line.text) for line in given] == [
        (number, line) for number, line in enumerate([*lines, mark], start=1) if line not in ("between", "after")
    ]


def test_an_unknown_format_is_named(otelmig: Otelmig, tmp_path: Path) -> None:
    """A log in a form that nobody named is not taken for something else."""
    text = "at 12.5 the vmm said: Sending migration: destination_url=tcp:192.0.2.20:4444,local=false\n"
    (tmp_path / "vm.log").write_text(text * 3)
    done = otelmig("trace", tmp_path / "vm.log")
    assert done.returncode == 2
    assert "give theirs with --log-format" in done.stderr


def test_quoted_lines_are_nobody_s(tmp_path: Path) -> None:
    """A line that quotes a log line is not one; it is counted."""
    log = _logs("v53.0-basicv")["source"]
    quote = b"operator: did you see 'cloud-hypervisor:   1.000000s: <vmm> INFO:x.rs:1 -- Migration complete'?\r\n"
    (tmp_path / "source.log").write_bytes(quote + log + quote)
    findings = read_findings([tmp_path / "source.log"])
    assert len(findings.migrations) == 1
    assert findings.not_understood == {"no known line form": 2}


@pytest.mark.parametrize("limit", [150, 220, 400])
def test_lines_that_a_container_runtime_cut(limit: int, tmp_path: Path) -> None:
    """CRI marks the pieces of a line with ``P``: they are one line again, and none is lost."""
    for role, log in _logs("v53.0-dirty").items():
        (tmp_path / f"{role}.log").write_bytes(framings.cri(log, began_ns=_BEGAN[role], limit=limit))
    assert b" stderr P " in (tmp_path / "source.log").read_bytes()
    paths = sorted(tmp_path.iterdir())
    assert not read_findings(paths).not_understood
    assert _shape(traced(paths)) == _plain("v53.0-dirty")[0]


def test_lines_longer_than_docker_keeps_whole(tmp_path: Path) -> None:
    """A configuration of more than 16 KiB comes in pieces; what it says at its end is known all the same."""
    log = _logs("v53.0-basicv")["source"]
    long = log.replace(b"memory: MemoryConfig", b'disks: Some("%b"), memory: MemoryConfig' % (b"/dev/x " * 3_000))
    assert max(map(len, long.splitlines())) > 1 << 14
    (tmp_path / "source.log").write_bytes(framings.docker_json(long, began_ns=_BEGAN["source"]))
    (trace,) = traced([tmp_path / "source.log"])
    assert trace.root.attributes["vm.memory.size"] == 256 << 20


_SINCE_START = re.compile(rb"cloud-hypervisor: +(\d+)\.(\d{6})s: ")


def _received_at(log: bytes, began_ns: int, head: Callable[[int], str]) -> bytes:
    """Each line after what ``head`` makes of the time at which it was written and, at once, received."""
    ns, found = began_ns, b""
    for line in framings.lf_only(log).splitlines(keepends=True):
        if match := _SINCE_START.match(line):
            ns = began_ns + int(match[1] + match[2]) * 1_000
        found += head(ns).encode() + line
    return found


def _utc(ns: int, digits: int) -> str:
    fraction = f".{ns % 10**9:09d}"[: digits + 1] if digits else ""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _epoch_ns(log: bytes, folder: Path) -> int:
    """When the process's clock read zero, by its transport."""
    (folder / "source.log").write_bytes(log)
    (trace,) = trace_migrations([folder / "source.log"])
    assert trace.root.attributes["otelmig.clock.epoch.origin"] == "receipt"
    return int(str(trace.root.attributes["otelmig.clock.epoch.shift"]))


@pytest.mark.parametrize("digits", [0, 3, 6, 9])
def test_a_receipt_is_not_before_the_line(digits: int, tmp_path: Path) -> None:
    """A printed time is cut: the line came up to one last digit later, never earlier than it was written."""
    began_ns = _BEGAN["source"] + 123_457_000
    log = _received_at(_logs("v53.0-dirty")["source"], began_ns, lambda ns: f"{_utc(ns, digits)} stderr F ")
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 10 ** (9 - digits) + 1_000


def test_a_journal_s_receipt_is_not_before_the_line(tmp_path: Path) -> None:
    """The times of journald are cut to microseconds."""
    began_ns = _BEGAN["source"] + 123_457_900
    lines = _received_at(_logs("v53.0-dirty")["source"], began_ns, lambda ns: f"{ns // 1_000}\t").splitlines()
    names = ("__REALTIME_TIMESTAMP", "MESSAGE")
    entries = (dict(zip(names, line.decode().split("\t", 1), strict=True)) for line in lines)
    log = "".join(json.dumps(entry | {"_PID": "1"}) + "\n" for entry in entries).encode()
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000


def test_the_earliest_receipt_counts(tmp_path: Path) -> None:
    """A runtime that was busy took some lines over seconds late: those that it took over at once say when it was."""
    began_ns = _BEGAN["source"]
    log = _received_at(
        _logs("v53.0-dirty")["source"],
        began_ns,
        lambda ns: f"{_utc(ns + (3 * 10**9 if ns // 1_000_000 % 2 else 0), 9)} stderr F ",
    )
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000


def test_the_receipt_nearest_to_the_writer_counts(tmp_path: Path) -> None:
    """A relay stamps what it forwards two seconds late, by a clock of its own: the runtime's stamp is inside."""
    began_ns = _BEGAN["source"]

    def relayed(ns: int) -> str:
        return f"{_utc(ns + 2 * 10**9, 6)} collector relay[7]: {_utc(ns, 9)} stderr F "

    log = _received_at(_logs("v53.0-dirty")["source"], began_ns, relayed)
    assert 0 <= _epoch_ns(log, tmp_path) - began_ns <= 2_000


def test_the_host_is_the_one_that_wrote_the_line(tmp_path: Path) -> None:
    """A syslog that was forwarded to a collector: the collector's name is not the host's."""
    for role, log in _logs("v53.0-basicv").items():
        own = _CARRIERS["syslog iso"](log, role)
        (tmp_path / f"{role}.log").write_bytes(_prefixed(own, b"2026-05-21T06:02:15.542701+00:00 collector relay[7]: "))
    (trace,) = traced(sorted(tmp_path.iterdir()))
    names = {role: resource["host.name"] for role, resource in trace.resources.items()}
    assert names == {"source": "source-host", "destination": "destination-host"}


@pytest.mark.parametrize("output", [("-o", "-"), ("--json",), ()])
def test_a_host_named_by_its_address(output: tuple[str, ...], tmp_path: Path) -> None:
    """Some syslogs give an address for the host: it leaves the machine unless ``--no-addresses`` is given."""
    address = "198.51.100.77"
    for role, log in _logs("v53.0-basicv").items():
        carried = framings.syslog_rfc3339(log, began_ns=_BEGAN[role], host=address, pid=_IDS[role])
        (tmp_path / f"{role}.log").write_bytes(carried)
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    if output == ("-o", "-"):
        assert address in run_command(["trace", *output, *paths]).stdout
    kept = run_command(["trace", *output, "--no-addresses", *paths])
    assert kept.code == 0
    assert address not in kept.stdout + kept.stderr
