"""What is a log record, and what only looks like one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carried_logs import logs_of

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig


def test_an_unknown_format_is_named(otelmig: Otelmig, tmp_path: Path) -> None:
    """A log in a form that nobody named is not taken for something else."""
    text = "at 12.5 the vmm said: Sending migration: destination_url=tcp:192.0.2.20:4444,local=false\n"
    (tmp_path / "vm.log").write_text(text * 3)
    done = otelmig("trace", tmp_path / "vm.log")
    assert done.returncode == 2
    assert "give theirs with --log-format" in done.stderr


def test_quoted_lines_are_nobody_s(tmp_path: Path) -> None:
    """A line that quotes a log line is not one; it is counted."""
    log = logs_of("v53.0-basicv")["source"]
    quote = b"operator: did you see 'cloud-hypervisor:   1.000000s: <vmm> INFO:x.rs:1 -- Migration complete'?\r\n"
    (tmp_path / "source.log").write_bytes(quote + log + quote)
    findings = read_findings([tmp_path / "source.log"])
    assert len(findings.migrations) == 1
    assert findings.not_understood == {"no known line form": 2}


def test_a_log_whose_only_line_is_cut_is_one(tmp_path: Path) -> None:
    """It says nothing; that does not keep its partner from being read."""
    (tmp_path / "source.log").write_bytes(logs_of("v53.0-basicv")["source"])
    (tmp_path / "destination.log").write_text("cloud-hypervisor:   2.719166s: <vmm> INFO:vmm/src/a\r\n")
    findings = read_findings(sorted(tmp_path.iterdir()))
    assert findings.errors == []
    assert len(findings.migrations) == 1
