"""`otelmig send`: archives and the spool to a receiver, each trace once, whatever shape they are in."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
from command_run import run_command
from delivery_cases import payloads
from otlp_lines import parsed_line
from otlp_receiver import Reply, free_port, http_receiver, receiver_of
from trace_invariants import inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def otelmig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """The command, run in this process: most of the time of a process of its own is spent on loading it."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("OTEL", "TRACEPARENT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTELMIG_SPOOL", str(tmp_path / "spool"))

    def run(*arguments: str | Path) -> Done:
        result = run_command([str(argument) for argument in arguments])
        assert not result.raised
        return Done(returncode=result.code, stdout=result.stdout, stderr=result.stderr)

    return run


class Done(NamedTuple):
    """How a command ended."""

    returncode: int | None
    stdout: str
    stderr: str


_LOGS = [*inputs("v53.0-retry"), *inputs("v53.0-twohosts")]


def _last(stderr: str) -> str:
    return stderr.splitlines()[-1]


def _archive(path: Path, count: int = 30) -> list[bytes]:
    lines = [payload.line for payload in payloads(count)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return lines


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_archive_twice(protocol: str, otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """What `trace -o` wrote arrives span for span; a second run sends nothing and says so; --resend overrides."""
    assert otelmig("trace", "-q", *_LOGS, "-o", "a.jsonl").returncode == 0
    lines = (tmp_path / "a.jsonl").read_bytes().splitlines()
    with receiver_of(protocol)() as receiver:
        command = ("send", "a.jsonl", "--otlp", receiver.url, "--protocol", protocol)
        first, second = otelmig(*command), otelmig(*command)
        spans = [
            span
            for line in lines
            for resource in parsed_line(line).resource_spans
            for span in resource.scope_spans[0].spans
        ]
        assert receiver.spans == spans
        if protocol == "http/json":
            assert receiver.bodies == lines
        third = otelmig(*command, "--resend")
        assert set(receiver.copies().values()) == {1}
    assert (first.returncode, second.returncode, third.returncode) == (0, 0, 0)
    assert first.stderr == "3 lines found, 3 exported\n"
    assert second.stderr == "3 lines found, 0 exported, 3 already delivered\n"
    assert third.stderr == "3 lines found, 3 exported, 3 re-sent\n"


def test_traced_then_sent(otelmig: Callable[..., Done]) -> None:
    """A trace that was exported when it was made is not sent again out of the archive, and the reverse."""
    with http_receiver() as receiver:
        both = otelmig("trace", "-q", *_LOGS, "-o", "a.jsonl", "--otlp", receiver.url)
        assert _last(both.stderr).startswith("3 migrations found, 3 written to a.jsonl, 3 exported;")
        assert otelmig("send", "a.jsonl", "--otlp", receiver.url).stderr.endswith("0 exported, 3 already delivered\n")
        assert not receiver.copies()


def test_half_an_archive_and_the_rest(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """A line that is cut off is counted with its number; once the archive is whole, only what was missing is sent."""
    lines = _archive(tmp_path / "a.jsonl")
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "a.jsonl").write_bytes(whole[: len(whole) // 2 + 100])
    with http_receiver() as receiver:
        half = otelmig("send", "a.jsonl", "--otlp", receiver.url)
        count = (len(whole) // 2 + 100) // (len(lines[0]) + 1)
        assert half.returncode == 3
        assert half.stderr.splitlines() == [
            f"otelmig: a.jsonl:{count + 1}: the line is cut off",
            f"{count + 1} lines found, {count} exported, 1 not exported (1 broken line)",
        ]
        (tmp_path / "a.jsonl").write_bytes(whole.removesuffix(b"\n"))
        rest = otelmig("send", "a.jsonl", "--otlp", receiver.url)
        assert rest.returncode == 0
        assert _last(rest.stderr) == f"30 lines found, {30 - count} exported, {count} already delivered"
        assert not receiver.copies()
        assert len({span.trace_id for span in receiver.spans}) == 30


def test_broken_lines_among_good_ones(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """Each broken line is counted, the first ones are named, the others are sent; the exit code says it."""
    lines = _archive(tmp_path / "a.jsonl")
    broken = [
        b'{"resourceSpans":',
        lines[7].replace(b'"spanId":"', b'"spanId":"x', 1),
        b'{"other":[]}',
        b"garbage",
    ]
    text = b"\n".join([*lines[:7], *broken, b"", *lines[7:]]) + b"\r\n" + b"\n".join([b"no"] * 20) + b"\n"
    (tmp_path / "a.jsonl").write_bytes(text)
    with http_receiver() as receiver:
        done = otelmig("send", "a.jsonl", "--json", "--otlp", receiver.url)
        assert len({span.trace_id for span in receiver.spans}) == 30
    assert done.returncode == 3
    said = done.stderr.splitlines()
    assert said[0] == "otelmig: a.jsonl:8: not JSON"
    assert said[1].startswith("otelmig: a.jsonl:9: no valid OTLP traces")
    assert said[2:4] == [
        "otelmig: a.jsonl:10: no OTLP traces (there are no resourceSpans)",
        "otelmig: a.jsonl:11: not JSON",
    ]
    assert said[9] == "otelmig: a.jsonl:41: not JSON; more such lines are only counted"
    assert said[10:] == ["54 lines found, 30 exported, 24 not exported (24 broken line)"]
    delivery = json.loads(done.stdout)["delivery"]
    assert delivery["reasons"] == {"broken_line": {"traces": 24, "spans": 0}}
    assert delivery["exported"]["traces"] == 30


def test_other_forms_of_archives(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """A pretty-printed request arrives once, whatever form it had before; names in the place of numbers are refused."""
    (line,) = _archive(tmp_path / "a.jsonl", 1)
    document = json.loads(line)
    (tmp_path / "pretty.json").write_text(json.dumps(document, indent=2))
    (tmp_path / "array.json").write_text(json.dumps([document, document]))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["kind"] = "SPAN_KIND_INTERNAL"
    (tmp_path / "named.jsonl").write_text(json.dumps(document) + "\n")
    with http_receiver() as receiver:
        first = otelmig("send", "pretty.json", "--otlp", receiver.url)
        assert (first.returncode, first.stderr) == (0, "1 line found, 1 exported\n")
        for name, count in (("a.jsonl", "1 line"), ("array.json", "2 lines")):
            again = otelmig("send", name, "--otlp", receiver.url)
            assert again.stderr == f"{count} found, 0 exported, {count[0]} already delivered\n"
        named = otelmig("send", "named.jsonl", "--otlp", receiver.url)
        assert named.returncode == 3
        assert named.stderr.splitlines()[0] == (
            "otelmig: named.jsonl:1: no valid OTLP traces (kind: want a number, not 'SPAN_KIND_INTERNAL')"
        )
        assert len({span.trace_id for span in receiver.spans}) == 1
        assert not receiver.copies()


@pytest.mark.parametrize("more", [["--dry-run"], []])
def test_lines_of_other_signals(more: list[str], otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """A Collector may write all signals into one file: what is no trace is counted, and nothing is to be repaired."""
    (line,) = _archive(tmp_path / "a.jsonl", 1)
    others = [f'{{"resource{signal}":[{{}}]}}'.encode() for signal in ("Metrics", "Logs", "Profiles")]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([others[0], line, *others[1:]]) + b"\n")
    (tmp_path / "none.jsonl").write_bytes(b"\n".join(others))
    with http_receiver() as receiver:
        done = otelmig("send", "a.jsonl", "--json", *more, "--otlp", receiver.url)
        none = otelmig("send", "none.jsonl", *more, "--otlp", receiver.url)
    assert done.returncode == 0
    assert done.stderr.startswith("1 line found, 1 ")
    assert done.stderr.endswith("; 3 lines of other signals passed over\n")
    assert json.loads(done.stdout)["other_signals"] == 3
    assert none.returncode == 4


def test_line_that_is_too_long(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """It is one broken line, with its number; those after it keep theirs."""
    lines = _archive(tmp_path / "a.jsonl", 2)
    with (tmp_path / "a.jsonl").open("wb") as file:
        for line in (lines[0], b" " * (130 << 20), b"no", lines[1]):
            file.write(line + b"\n")
        file.write(b" " * (65 << 20))
    done = otelmig("send", "a.jsonl", "--dry-run")
    assert done.stderr.splitlines()[:3] == [
        "otelmig: a.jsonl:2: the line is too long",
        "otelmig: a.jsonl:3: not JSON",
        "otelmig: a.jsonl:5: the line is too long",
    ]
    assert _last(done.stderr).startswith("5 lines found, 2 would be sent")


def test_packed_archives_and_lines_of_others(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """Compressed archives, damaged ones, and what another exporter wrote: spans of several traces in a line."""
    lines = _archive(tmp_path / "a.jsonl", 3)
    packed = gzip.compress((tmp_path / "a.jsonl").read_bytes())
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / "b.jsonl.gz").write_bytes(packed[:-200])
    merged = {"resourceSpans": [resource for line in lines for resource in json.loads(line)["resourceSpans"]]}
    for number, resource in enumerate(merged["resourceSpans"]):
        resource["scopeSpans"][0]["spans"][0]["traceId"] = f"{number + 77:032x}"
    (tmp_path / "c.jsonl").write_text(json.dumps(merged, ensure_ascii=True) + "\n")
    with http_receiver() as receiver:
        done = otelmig("send", "a.jsonl.gz", "c.jsonl", "missing.jsonl", "--otlp", receiver.url)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            "otelmig: missing.jsonl: No such file or directory",
            "4 lines found, 4 exported; 1 input not read",
        ]
        assert {f"{number + 77:032x}" for number in range(3)} <= {span.trace_id.hex() for span in receiver.spans}
        damaged = otelmig("send", "b.jsonl.gz", "--otlp", receiver.url)
        assert damaged.returncode == 3
        assert "the compressed data ends early or is damaged" in damaged.stderr


def test_spool_is_sent(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """What could not be exported is sent to whatever endpoint is named, once; by its name or by default."""
    down = otelmig("trace", "-q", *_LOGS, "--otlp", f"http://127.0.0.1:{free_port()}", "--timeout", "0.1")
    assert down.returncode == 3
    assert down.stderr.splitlines()[-2] == (
        f"otelmig: 3 traces are in the spool {tmp_path / 'spool'}; `otelmig send` delivers them"
    )
    with http_receiver() as receiver:
        plan = otelmig("send", "--dry-run", "--otlp", receiver.url)
        assert plan.stderr == f"3 traces found, 3 would be sent to {receiver.url}/v1/traces, 0 already delivered\n"
        assert not receiver.headers
        done = otelmig("send", "--otlp", receiver.url)
        assert (done.returncode, done.stderr) == (0, "3 traces found, 3 exported\n")
        again = otelmig("send", "spool", "--otlp", receiver.url)
        assert (again.returncode, again.stderr) == (0, "0 traces found, 0 exported\n")
        traced = otelmig("trace", "-q", *_LOGS, "--otlp", receiver.url)
        assert "0 exported, 3 already delivered" in traced.stderr
        assert not receiver.copies()


def test_interrupted_archive(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """The receiver goes away in the middle: the archive keeps the rest, and the next run sends just that."""
    _archive(tmp_path / "a.jsonl", 60)
    with http_receiver() as receiver:
        receiver.replies = [Reply(), Reply(status=404, takes=False)]
        part = otelmig("send", "a.jsonl", "--otlp", receiver.url)
        assert part.returncode == 3
        assert _last(part.stderr) == "60 lines found, 50 exported, 10 not exported (10 not otlp)"
        assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["format", "lock", "receipts"]
        plan = otelmig("send", "a.jsonl", "--dry-run", "--json", "--otlp", receiver.url)
        assert json.loads(plan.stdout)["dry_run"]["already_delivered"] == 50
        rest = otelmig("send", "a.jsonl", "--otlp", receiver.url)
        assert _last(rest.stderr) == "60 lines found, 10 exported, 50 already delivered"
        assert not receiver.copies()


def test_another_content_is_not_sent_silently(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """The same trace in another form would give its spans two contents: it is said, and sent only with --resend."""
    lines = _archive(tmp_path / "a.jsonl", 3)
    with http_receiver() as receiver:
        command = ("send", "a.jsonl", "--otlp", receiver.url)
        assert otelmig(*command).returncode == 0
        (tmp_path / "a.jsonl").write_bytes(lines[0].replace(b"connection_failed", b"tls_error") + b"\n")
        other = otelmig(*command)
        assert other.returncode == 3
        assert (
            "already has a different version of trace 00000000000000000000000000000001 (see --resend)" in other.stderr
        )
        assert "1 not exported (1 delivered before with other content)" in _last(other.stderr)
        assert otelmig(*command, "--resend").returncode == 0


def test_usage(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """Contradictions are one line and exit code 2."""
    (tmp_path / "a").mkdir()
    for arguments in (["a", "b.jsonl"], ["a", "--spool", "b"], ["--no-spool"], ["x", "--spool-size", "1"]):
        done = otelmig("send", *arguments)
        assert done.returncode == 2
        assert "want" in _last(done.stderr)
    without = otelmig("send", "missing.jsonl", "--no-spool", "--otlp", f"http://127.0.0.1:{free_port()}")
    assert without.returncode == 2
    assert not list((tmp_path / "a").iterdir())


@pytest.mark.parametrize("files", [[], ["missing.jsonl"], ["empty.jsonl"]])
def test_a_receiver_is_asked_only_where_there_is_something_to_send(
    files: list[str], otelmig: Callable[..., Done], tmp_path: Path
) -> None:
    """With nothing to send, it does not matter that the receiver is not there; nothing will be tried again."""
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "one.jsonl").write_bytes(payloads(1)[0].line + b"\n")
    url = f"http://127.0.0.1:{free_port()}"
    done = otelmig("send", *files, "--otlp", url)
    assert "cannot reach" not in done.stderr
    assert "0 exported" in _last(done.stderr)
    with http_receiver() as receiver:
        otelmig("send", *files, "--otlp", receiver.url)
        assert not receiver.requests
    done = otelmig("send", "one.jsonl", "--otlp", url, "--timeout", "0.1")
    assert done.stderr.startswith(f"otelmig: cannot reach {url}/v1/traces: connection refused; will be tried again\n")


def test_one_trace_is_in_the_spool(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """What is said about it is said of one trace; once it is delivered, the receiver is not asked again."""
    url = f"http://127.0.0.1:{free_port()}"
    down = otelmig("trace", "-q", *inputs("v53.0-basicv"), "--otlp", url, "--timeout", "0.1")
    spool = tmp_path / "spool"
    assert f"otelmig: 1 trace is in the spool {spool}; `otelmig send` delivers it\n" in down.stderr
    with http_receiver() as receiver:
        assert otelmig("send", "--otlp", receiver.url).stderr == "1 trace found, 1 exported\n"
        asked = len(receiver.requests)
        assert asked
        assert otelmig("send", "--otlp", receiver.url).stderr == "0 traces found, 0 exported\n"
        assert len(receiver.requests) == asked


def test_dry_run_changes_nothing(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """It looks at the spool, also while somebody uses it, and leaves every byte; what is broken is counted."""
    url = f"http://127.0.0.1:{free_port()}"
    otelmig("trace", "-q", *_LOGS, "--otlp", url, "--timeout", "0.1")
    spool = tmp_path / "spool"
    (segment,) = spool.glob("segment-*")
    head, name, tail = segment.read_bytes().rpartition(b'"migration"')
    segment.write_bytes(head.replace(b"T ", b"U ", 1) + name.upper() + tail)
    (tmp_path / "a.jsonl").write_bytes(payloads(1)[0].line + b"\nno\n")
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in spool.iterdir()}
    with (spool / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = otelmig("send", "--dry-run", "--json", "--otlp", url, "--spool-age", "1", "--spool-size", "1M")
        archive = otelmig("send", "a.jsonl", "--dry-run", "--otlp", url)
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in spool.iterdir()} == before
    place = f"{url}/v1/traces"
    assert plan.stderr == f"3 traces found, 1 would be sent to {place}, 0 already delivered, 2 broken\n"
    assert json.loads(plan.stdout)["dry_run"] == {
        "endpoint": place,
        "found": 3,
        "already_delivered": 0,
        "broken_line": 2,
    }
    assert _last(archive.stderr) == f"2 lines found, 1 would be sent to {place}, 0 already delivered, 1 broken"


@pytest.mark.parametrize(
    ("content", "code"), [(b"", 4), (b"no JSON\n", 3), (b"WHOLE\nno JSON\n", 3), (b"WHOLE\n", 0), (None, 2)]
)
def test_dry_run_ends_as_the_run_does(
    content: bytes | None, code: int, otelmig: Callable[..., Done], tmp_path: Path
) -> None:
    """Nothing there, not all of it usable, or unreadable: a script need not send to find out."""
    if content is not None:
        (tmp_path / "a.jsonl").write_bytes(content.replace(b"WHOLE", payloads(1)[0].line))
    with http_receiver() as receiver:
        for more in (["--dry-run"], []):
            assert otelmig("send", "a.jsonl", "--otlp", receiver.url, *more).returncode == code


def test_what_the_spool_lost_is_said(otelmig: Callable[..., Done], tmp_path: Path) -> None:
    """A trace that the spool had to give up makes the exit code 3, once."""
    otelmig("trace", "-q", *_LOGS, "--otlp", f"http://127.0.0.1:{free_port()}", "--timeout", "0.1")
    (segment,) = (tmp_path / "spool").glob("segment-*")
    segment.write_bytes(segment.read_bytes().replace(b"T ", b"U ", 1))
    with http_receiver() as receiver:
        first, second = (otelmig("send", "--otlp", receiver.url) for _ in range(2))
    assert (first.returncode, second.returncode) == (3, 0)
    assert first.stderr.splitlines() == [
        f"otelmig: {tmp_path / 'spool'}: a trace is damaged, given up",
        "2 traces found, 2 exported, 1 evicted from the spool (1 broken line)",
    ]
