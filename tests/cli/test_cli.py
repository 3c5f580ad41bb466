"""The command as a user meets it: outputs, exit codes, bad input, identity, and what must never leave."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from otlp_receiver import http_receiver
from trace_invariants import CORPUS, RECORDINGS, check_traces, inputs, recorded, traced

from otelmig.otlp.encoding.json_lines import json_line
from otelmig.pipeline import read_findings
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig

_LOGS = [CORPUS / "v53.0-twohosts" / "source.log", CORPUS / "v53.0-twohosts" / "destination.log"]


def test_waterfall_file_and_account(otelmig: Otelmig, tmp_path: Path) -> None:
    """The main job: a waterfall on stdout, OTLP/JSON in the file, the account last on stderr."""
    done = otelmig("trace", *_LOGS, "-o", "out.jsonl")
    assert done.returncode == 0
    assert "downtime 461 ms, target 300 ms missed by 161 ms" in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout
    assert done.stderr.splitlines()[-1] == ("1 migration found, 1 written to out.jsonl; 0 lines not understood")
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 1
    assert not list(tmp_path.glob("*.partial"))


def test_demo_needs_nothing(otelmig: Otelmig) -> None:
    """`otelmig demo` traces the shipped recording, which is one of the corpus."""
    done = otelmig("demo", "--json")
    assert json.loads(done.stdout)["migrations"][0]["downtime"]["duration_s"] == 0.461
    shipped = CORPUS.parent.parent / "otelmig" / "recordings"
    for path in _LOGS:
        assert (shipped / path.name).read_bytes() == path.read_bytes()


def test_summary_is_stable(otelmig: Otelmig) -> None:
    """`--json` prints one document of a named schema; every migration has the same keys."""
    done = otelmig("trace", "--json", *inputs("v53.0-retry"), *inputs("v53.0-local"))
    document = json.loads(done.stdout)
    assert document["schema"] == "otelmig.summary/1"
    assert len({tuple(found) for found in document["migrations"]}) == 1


def test_bad_inputs_are_one_line_each_and_the_others_are_traced(otelmig: Otelmig, tmp_path: Path) -> None:
    """Missing, an empty directory, binary: each says so on one line; the good files are traced; exit code 2."""
    (tmp_path / "binary.log").write_bytes(random.Random(1).randbytes(5000))
    (tmp_path / "folder").mkdir()
    done = otelmig("trace", "missing.log", "folder", "binary.log", *_LOGS)
    assert done.returncode == 2
    assert "missing.log: No such file or directory" in done.stderr
    assert "folder: a directory without files" in done.stderr
    assert "binary.log: no log or event stream" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("1 migration found; ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["trace", "explain", "doctor"])
def test_what_was_left_out_of_a_folder_is_said_behind_the_results(tmp_path: Path, command: str) -> None:
    """Whoever names a folder reads of its migrations first; what else lies there comes before the account, once."""
    for path in (*_LOGS, CORPUS / "v53.0-twohosts" / "truth.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    run = [sys.executable, "-m", "otelmig", command, str(tmp_path)]
    lines = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout
    *results, left_out, _ = lines.splitlines()
    assert left_out == f"otelmig: {tmp_path}: left out (no log that otelmig knows): truth.json"
    assert results
    assert not [line for line in results if line.startswith("otelmig: ")]


def test_unreadable_file(tmp_path: Path) -> None:
    """A file that may not be read is reported like one that is missing."""
    if os.geteuid() == 0:
        path = tmp_path / "loop.log"
        path.symlink_to(path)  # root may read everything but this
    else:
        path = tmp_path / "secret.log"
        path.touch(mode=0)
    findings = read_findings([path])
    assert len(findings.errors) == 1


def test_empty_and_nothing_found(otelmig: Otelmig, tmp_path: Path) -> None:
    """An empty file is no error, but nothing was found: exit code 4."""
    (tmp_path / "empty.log").touch()
    done = otelmig("trace", "empty.log")
    assert done.returncode == 4
    assert "empty.log: empty" in done.stderr
    idle = otelmig("trace", CORPUS / "v53.0-refused" / "destination.log")
    assert idle.returncode == 4
    assert idle.stderr.splitlines()[-1] == "0 migrations found; 0 lines not understood"


def test_lines_not_understood_are_counted(otelmig: Otelmig, tmp_path: Path) -> None:
    """A line that speaks of a migration in unknown words is counted with a reason."""
    data = _LOGS[0].read_bytes() + b"cloud-hypervisor:  20.000000s: <vmm> INFO:a.rs:1 -- Migration took a walk\r\n"
    (tmp_path / "a.log").write_bytes(
        data.replace(b"cloud-hypervisor:  20", b"2026-11-23T15:31:00.000000Z cloud-hypervisor:  20")
    )
    done = otelmig("trace", "-q", "a.log")
    assert done.stderr.splitlines()[-1].endswith("1 line not understood (1 no known form of this message)")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--anchor", "source=yesterday"],
        ["--anchor", "source=2026-01-01T00:00:00"],
        ["--anchor", "nobody.log=2026-01-01T00:00:00Z"],
        ["--host", "third=x"],
        ["--pair", "a"],
        ["--trace-parent", "00-0-0-01"],
        ["--otlp", "ftp://x"],
    ],
)
def test_usage_errors(otelmig: Otelmig, arguments: list[str]) -> None:
    """A wrong option is one line and exit code 2."""
    done = otelmig("trace", "-q", *_LOGS, *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("otelmig: ")


def test_identity_and_parent(otelmig: Otelmig) -> None:
    """TRACEPARENT puts the root under an outer span; --migration-id names the trace; --host and --anchor are kept."""
    outer = otelmig("trace", "-o", "-", *_LOGS, TRACEPARENT=f"00-{'a' * 32}-{'b' * 16}-00")
    spans = [span for group in json.loads(outer.stdout)["resourceSpans"] for span in group["scopeSpans"][0]["spans"]]
    assert {span["traceId"] for span in spans} == {"a" * 32}
    assert [span["name"] for span in spans if span.get("parentSpanId") == "b" * 16] == ["migration"]
    named = [json.loads(otelmig("trace", "--json", "--migration-id", text, *_LOGS).stdout) for text in ("x", "x", "y")]
    ids = [each["migrations"][0]["trace_id"] for each in named]
    assert ids[0] == ids[1] != ids[2]
    placed = otelmig(
        "trace",
        "-o",
        "-",
        "--host",
        "source=alpha",
        "--anchor",
        "source=2026-01-02T03:04:05+01:00",
        *inputs("v53.0-dirty"),
    )
    assert '"alpha"' in placed.stdout
    assert '"anchor"' in placed.stdout


def test_secrets_appear_nowhere(otelmig: Otelmig, tmp_path: Path) -> None:
    """Secrets in command lines, paths and error texts of the inputs reach no output at all."""
    secret = "hunter2SECRET99"  # noqa: S105 - the bait
    for name in ("v53.0-killdst", "v53.0-disk", "v53.0-postcopy"):
        for path in inputs(name):
            data = path.read_bytes().decode("utf-8")
            data = data.replace("pages=", f"token={secret} pages=").replace("/tmp/", f"/srv/{secret}/")  # noqa: S108 - in the log
            data = re.sub(r"(Migration failed: [^\r]*)", rf"\1: cannot open /etc/{secret}/key: password {secret}", data)
            data = data.replace("Failed to receive", f'Failed at "/x/{secret}" key={secret} to receive')
            target = tmp_path / name / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data.encode())
            assert secret in data or path.suffix == ".json" or "destination" in path.name
    files = sorted(tmp_path.glob("*/*"))
    for arguments in (["-o", "-"], ["--json"], ["--width", "200"]):
        done = otelmig("trace", *arguments, *files)
        assert done.returncode == 0
        assert secret not in done.stdout + done.stderr


def test_no_addresses(otelmig: Otelmig) -> None:
    """--no-addresses keeps the destination's address out of everything."""
    done = otelmig("trace", "--no-addresses", "-o", "-", *_LOGS)
    assert "10.9.0.2" not in done.stdout + done.stderr


_EXPORTED = "1 migration found, 1 exported; 0 lines not understood"


def test_output_that_cannot_be_written(otelmig: Otelmig) -> None:
    """A file that cannot be written is one line and exit code 3; the waterfall and the export go on."""
    with http_receiver() as receiver:
        done = otelmig("trace", *_LOGS, "-o", "no/such/folder/x.jsonl", "--otlp", receiver.url, "--link-template=")
        assert receiver.requests
    assert done.returncode == 3
    assert "downtime" in done.stdout
    assert done.stderr.splitlines() == [
        "otelmig: cannot write no/such/folder/x.jsonl: No such file or directory",
        _EXPORTED,
    ]


@pytest.mark.parametrize(
    ("options", "shell", "code", "said"),
    [
        ("", "| true", 0, ""),
        ("-o -", "| true", 0, ""),
        ("--json", "| true", 0, ""),
        ("", ">/dev/full", 3, "stdout: No space left on device"),
        ("-o -", ">/dev/full", 3, "stdout: No space left on device"),
        ("--json", ">/dev/full", 3, "stdout: No space left on device"),
        ("-q -o x.jsonl --no-spool", "", 3, "x.jsonl: File too large"),
    ],
)
def test_dead_output_loses_no_export(options: str, shell: str, code: int, said: str, tmp_path: Path) -> None:
    """Nobody reads, or the disk fills up in the middle: that output is given up, the export is not, the account is."""
    limit = "ulimit -f 8;" if "x.jsonl" in options else ""
    logs = " ".join(map(str, _LOGS))
    with http_receiver() as receiver:
        target = f"--otlp {receiver.url} --link-template="
        command = f"{sys.executable} -m otelmig trace {logs} {options} {target}; echo $? >code"
        done = subprocess.run(
            ["sh", "-c", f"{limit} {{ {command}; }} {shell}"],
            cwd=tmp_path,
            env=os.environ | {"OTELMIG_SPOOL": str(tmp_path / "spool")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert receiver.requests
    assert done.stderr.splitlines() == ([f"otelmig: cannot write {said}"] if said else []) + [_EXPORTED]
    assert int((tmp_path / "code").read_text()) == code
    assert not [path for path in tmp_path.iterdir() if "jsonl" in path.name or "partial" in path.name]


@pytest.mark.parametrize("command", ["explain", "explain --json", "doctor", "doctor --json"])
def test_full_standard_output_is_one_line(command: str, tmp_path: Path) -> None:
    """What could not be written is said, and the account is given all the same."""
    logs = " ".join(map(str, _LOGS))
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m otelmig {command} {logs} >/dev/full"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    first, account = done.stderr.splitlines()
    assert first == "otelmig: cannot write stdout: No space left on device"
    assert account.startswith(("1 migration explained", "2 inputs, "))
    assert done.returncode == 3


_ALL = [
    path
    for name in ("v53.0-retry", "v48.0-basic", "head-postcopy", "v52.0-paused", "v53.0-killsrc")
    for path in inputs(name)
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(_ALL), unique=True), st.randoms(use_true_random=False))
def test_any_subset_in_any_order_gives_the_same_valid_forest(paths: list[Path], shuffle: random.Random) -> None:
    """Whatever files are there, in whatever order: a valid forest, and the same bytes every time."""
    traces = traced(paths)
    check_traces(traces)
    again = list(paths)
    shuffle.shuffle(again)
    assert [json_line(trace) for trace in traces] == [json_line(trace) for trace in traced(again)]


@pytest.mark.parametrize("name", RECORDINGS)
def test_waterfall_fits_any_width(name: str) -> None:
    """No line is longer than the terminal, nothing depends on colour, and both sides are there."""
    for trace in recorded(name):
        for width in (60, 80, 120, 200):
            plain = render_waterfall(trace, width=width, color=False)
            assert max(map(len, plain.splitlines())) <= width
            assert "\x1b" not in plain
        assert "\x1b" in render_waterfall(trace, width=100, color=True)
        assert ("receive  (dest.)" in plain) == (trace.first("receive") is not None)
        assert "setup" in plain
        if trace.root.attributes["vm.migration.result"] == "failure":
            assert "FAILED" in plain


def test_parts_of_less_than_a_column_are_drawn() -> None:
    """A phase of two milliseconds in a migration of twelve seconds still has a mark in the zoom."""
    (trace,) = traced(_LOGS)
    lines = render_waterfall(trace, width=80, color=False).splitlines()
    (row,) = [line for line in lines if line.startswith("  unaccounted") and "1.46 ms" in line]
    assert "╸" in row or "━" in row


@pytest.mark.parametrize("name", ["v53.0-twohosts", "v48.0-basic", "head-postcopy"])
def test_each_side_alone(name: str) -> None:
    """A source without a destination and the reverse give a trace each, with the right root."""
    for role, kind in (("source", "CLIENT"), ("destination", "INTERNAL")):
        (trace,) = traced([CORPUS / name / f"{role}.log"])
        check_traces([trace])
        assert trace.root.kind == kind
        assert trace.root.attributes["otelmig.evidence.completeness"] == "partial"
        assert set(trace.resources) == {role}
        text = render_waterfall(trace, width=80, color=False)
        missing = {"source": "destination", "destination": "source"}[role]
        assert f"only one: add the {missing}'s log" in text
        assert f"evidence is partial: add the {missing}'s log" in text
        assert ("receive  (dest.)" in text) == (role == "destination")
        assert ("\ndowntime " in text) == (role == "source")
