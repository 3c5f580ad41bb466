"""Lines of no form that is read: of releases that are too old, and of nobody known; each refused by what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from carried_logs import logs_of
from command_run import run_command

from otelmig.pipeline import read_findings

if TYPE_CHECKING:
    from pathlib import Path

_OLD: Final = (
    "cloud-hypervisor: 812.5µs: <main> INFO:src/main.rs:590 -- starting\r\n"
    "cloud-hypervisor: 3.763743ms: <vmm> INFO:vmm/src/lib.rs:400 -- API request event: VmInfo\r\n"
    "cloud-hypervisor: 2.910989591s: <vmm> INFO:vmm/src/lib.rs:1142 -- Sending migration: destination_url = unix:/s\r\n"
    "cloud-hypervisor: 5.076909s: <vmm> INFO:vmm/src/lib.rs:1087 -- Dirty memory migration 0 of 5\r\n"
    "cloud-hypervisor: 5.07690917s: <vmm> INFO:vmm/src/lib.rs:1087 -- Dirty memory migration 1 of 5\r\n"
)
_REFUSAL: Final = "lines of Cloud Hypervisor before v36.0 (nine digits of a second): not supported"


@pytest.mark.parametrize("mark", ["", "    ", "> ", "[2022-05-01T12:00:00.000Z] "])
@pytest.mark.parametrize("before", [0, 10, 200])
def test_releases_before_v36_are_refused_by_name(mark: str, before: int, tmp_path: Path) -> None:
    """Also behind what a paste puts before them, and where their first second alone could be a later release's."""
    early = "".join(
        f"cloud-hypervisor: {at}.000001ms: <vmm> INFO:a.rs:1 -- x\r\n" for at in range(100, 100 + before // 50)
    )
    (tmp_path / "source.log").write_text("".join(f"{mark}{line}\n" for line in (early + _OLD).splitlines()))
    for command in ("trace", "doctor"):
        run = run_command([command, str(tmp_path / "source.log")])
        assert run.code == 2
        assert f"source.log: {_REFUSAL}" in run.stderr


def test_a_log_that_an_upgrade_goes_through_is_read(tmp_path: Path) -> None:
    """Its few old lines are said to be what they are."""
    log = logs_of("v48.0-basicv")["source"].decode()
    old = "".join(line for line in _OLD.splitlines(keepends=True) if "Dirty memory" not in line)
    (tmp_path / "source.log").write_text(old + log, newline="")
    findings = read_findings([tmp_path / "source.log"])
    assert not findings.errors
    assert len(findings.migrations) == 1
    assert findings.not_understood == {"a line of a release before v36.0": 1}


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (
            "12:00 vmm INFO Sending migration: destination_url=unix:/run/secret.sock,local=false",
            "destination_url=<redacted>,local=<redacted> (there is no 'cloud-hypervisor:' in it)",
        ),
        (
            "cloud-hypervisor: 2.910989s: [vmm] INFO:a.rs:1 -- Receiving migration: receiver_url=unix:/run/secret",
            "(no thread after 'cloud-hypervisor: 2.910989s:')",
        ),
        ("cloud-hypervisor: at 2 s: Migration failed", "(no time after 'cloud-hypervisor:')"),
        ("cloud-hypervisor: 2.910989s: <vmm> NOTE:a.rs:1 -- Migration failed", "<vmm>')"),
    ],
)
def test_lines_of_no_known_form_are_shown(line: str, sample: str, tmp_path: Path) -> None:
    """The first one that speaks of a migration, redacted, and how far it is a default line."""
    (tmp_path / "x.log").write_text(f"hello\n{line}\n")
    run = run_command(["doctor", str(tmp_path / "x.log")])
    assert run.code == 2
    assert (
        "x.log: speaks of migrations in lines of no known form; give theirs with --log-format; the first: "
        in run.stderr
    )
    assert sample in run.stderr
    assert "secret" not in run.stderr
