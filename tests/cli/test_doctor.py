"""``otelmig doctor``: every line accounted for, what is missing named, and which flag would tell it at what cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from command_run import run_command
from restamp import aged
from trace_invariants import CORPUS, RECORDINGS, inputs

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig


def _examined(*paths: Path) -> dict[str, dict[str, Any]]:
    done = run_command(["doctor", "--json", *map(str, paths)])
    assert done.code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "otelmig.doctor/1"
    return {found["input"]: found for found in document["inputs"]}


@pytest.mark.parametrize("name", RECORDINGS[::4])
def test_every_line_is_accounted_for(name: str) -> None:
    """Used, about other things and not understood add up to the lines of the file."""
    for path in inputs(name):
        (found,) = _examined(path).values()
        lines = found["lines"]
        parts = [lines["used"], *lines["irrelevant"].values(), *lines["not_understood"].values()]
        assert sum(parts) == lines["total"]
        if path.suffix == ".log":
            assert lines["total"] == path.read_bytes().count(b"\n")
        assert not lines["not_understood"], found["samples"]


def _remedies(found: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {gap["missing"]: (gap["remedy"], gap["cost"]) for gap in found["lacks"]}


def test_verbosity_and_its_cost() -> None:
    """At -v the printed parts are missing: -vv would tell them, and costs downtime; so does -vv where it was used."""
    found = _examined(CORPUS / "v53.0-basicv" / "source.log")["source.log"]
    assert (found["verbosity"], found["release"], found["attempts"]) == ("-v", "v53.0-dirty", {"source": 1})
    ((remedy, cost),) = [each for missing, each in _remedies(found).items() if "printed parts" in missing]
    assert remedy == "-vv"
    assert "57 of 533 ms" in (cost or "")
    found = _examined(CORPUS / "v53.0-linux" / "source.log")["source.log"]
    assert found["verbosity"] == "-vv"
    ((remedy, _),) = [each for missing, each in _remedies(found).items() if "took 57 ms" in missing]
    assert remedy == "-v with --event-monitor path=FILE"


def test_old_releases_print_no_downtime() -> None:
    """Until v51 no flag would print the downtime; the event monitor tells when the vCPUs stopped."""
    folder = CORPUS / "v48.0-basicv"
    found = _examined(folder / "source.log")["source.log"]
    assert any(remedy == "Cloud Hypervisor v52.0 or later" for remedy, _ in _remedies(found).values())
    assert any(remedy == "--event-monitor path=FILE" for remedy, _ in _remedies(found).values())
    together = _examined(folder / "source.log", folder / "source.events.json")["source.log"]
    assert not any("when the vCPUs stopped" in missing for missing in _remedies(together))
    assert "recommendation" in together


def test_only_an_event_stream_replaces_an_event_stream() -> None:
    """What else is given beside a log, such as a crash report, carries no events: the advice stands."""
    folder = CORPUS / "v48.0-seccomp"
    alone = _examined(folder / "source.log")["source.log"]
    beside = _examined(folder / "source.log", folder / "source.stderr")["source.log"]
    assert any("when the vCPUs stopped" in missing for missing in _remedies(alone))
    assert _remedies(beside) == _remedies(alone)


def test_coarse_stamps(tmp_path: Path) -> None:
    """After a day of uptime the default stamp is 8 ms wide: the event monitor or a wall clock would be exact."""
    log = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    (tmp_path / "source.log").write_bytes(aged(log, 86_400))
    found = _examined(tmp_path / "source.log")["source.log"]
    assert 0.0078 <= found["resolution_s"] <= 0.0079
    remedies = [remedy for remedy, _ in _remedies(found).values()]
    assert "--event-monitor path=FILE" in remedies
    assert any("{wallclock}" in (remedy or "") for remedy in remedies)


def test_events_alone() -> None:
    """A stream with migration events is traced; one of an old release cannot say that it was a migration."""
    new = _examined(CORPUS / "v53.0-basicv" / "source.events.json")["source.events.json"]
    assert new["kind"] == "event stream"
    assert new["attempts"] == {"source": 1}
    old = _examined(CORPUS / "v48.0-basicv" / "source.events.json")["source.events.json"]
    assert old["attempts"] == {}
    assert any("until v51 no event says so" in missing for missing in _remedies(old))


def test_a_crash_report_belongs_to_its_log(otelmig: Otelmig) -> None:
    """What the SIGSYS handler printed into a file called like the log says how the source ended."""
    folder = CORPUS / "v53.0-localseccomp"
    found = _examined(folder / "source.log", folder / "source.stderr")
    assert found["source.stderr"]["kind"] == "crash report"
    done = otelmig("trace", folder / "source.log", folder / "source.stderr")
    assert "killed by its seccomp filter (Syscall number: 262" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("1 migration found")


def test_warnings_alone(tmp_path: Path) -> None:
    """Without -v nothing of a migration is logged, and the doctor says which flag is missing."""
    log = (CORPUS / "v53.0-refused" / "source.log").read_bytes()
    warnings = b"".join(line + b"\r\n" for line in log.split(b"\r\n") if b" WARN:" in line or b" ERROR:" in line)
    (tmp_path / "source.log").write_bytes(warnings)
    found = _examined(tmp_path / "source.log")["source.log"]
    assert found["verbosity"] == "default (warnings)"
    assert any(remedy == "-v" for remedy, _ in _remedies(found).values())


def test_what_is_not_understood_is_shown_redacted(otelmig: Otelmig, tmp_path: Path) -> None:
    """One sample per reason, without secrets; other programs' lines are no riddle."""
    log = (CORPUS / "v53.0-basicv" / "source.log").read_bytes()
    extra = b"cloud-hypervisor:  12.100000s: <vmm> INFO:vmm/src/lib.rs:1 -- "
    extra += b"Migration of /secret/disk.img token=abc paused\r\n"
    (tmp_path / "source.log").write_bytes(log + extra)
    done = otelmig("doctor", tmp_path / "source.log")
    assert "source.log:53: no known form of this message: Migration of <path>" in done.stdout
    assert "secret" not in done.stdout
    assert "abc" not in done.stdout
    assert done.stderr.splitlines()[-1] == "1 input, 53 lines: 27 used, 25 about other things, 1 not understood"


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        (
            "source.log",
            b"2026-13-45T15:31:00.000000Z cloud-hypervisor:  20.100000s: <vmm> INFO:a.rs:1 -- Migration complete",
            "an impossible time",
        ),
        (
            "source.log",
            b"cloud-hypervisor: yesterday: <vmm> INFO:a.rs:1 -- Migration complete",
            "no known line form",
        ),
        (
            "source.log",
            b"cloud-hypervisor:  20.100000s: <vmm> INFO:a.rs:1 -- Migration took a walk",
            "no known form of this message",
        ),
        ("source.events.json", b'{"not": "an event"}', "no event in this JSON"),
    ],
)
def test_one_reason_for_one_line(file: str, line: bytes, reason: str, tmp_path: Path) -> None:
    """What the account of a trace calls a line that it did not understand, doctor calls it too."""
    data = (CORPUS / "v53.0-twohosts" / file).read_bytes()
    (tmp_path / file).write_bytes(data + line + b"\r\n")
    assert read_findings([tmp_path / file]).not_understood == {reason: 1}
    assert _examined(tmp_path / file)[file]["lines"]["not_understood"] == {reason: 1}


def test_nothing_usable(otelmig: Otelmig, tmp_path: Path) -> None:
    """A file of something else is one line and exit code 2."""
    (tmp_path / "notes.txt").write_text("nothing\n")
    done = otelmig("doctor", tmp_path / "notes.txt")
    assert done.returncode == 2
    first, account = done.stderr.splitlines()
    assert "no log or event stream" in first
    assert account.endswith("0 not understood; 1 input not read")
