"""The files for service managers: their commands are taken, and what they promise of security is in them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from document_parts import REPOSITORY

from otelmig.cli.main import build_parser

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER: Final = REPOSITORY / "contrib"
_UNITS: Final = {"serve": _FOLDER / "otelmig-serve.service", "watch": _FOLDER / "otelmig-watch.service"}
_CONTAINER: Final = _FOLDER / "Containerfile.serve"


@pytest.mark.parametrize("command_name", _UNITS)
def test_the_unit_starts_what_there_is(command_name: str) -> None:
    """Its command is one that the parser takes, and its state is where the unit has a folder for it."""
    text = _UNITS[command_name].read_text()
    (command,) = re.findall(r"(?m)^ExecStart=(.*)$", text)
    program, *arguments = shlex.split(command)
    given = build_parser().parse_args(arguments)
    assert (program, given.command) == ("/usr/bin/otelmig", command_name)
    assert given.state == "${STATE_DIRECTORY}"
    for line in (
        "Type=notify",
        "DynamicUser=yes",
        "StateDirectoryMode=0700",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
    ):
        assert f"\n{line}\n" in text


def test_the_watcher_only_reads() -> None:
    """Nothing but its state can be written, and no log but the hypervisors' is there."""
    text = _UNITS["watch"].read_text()
    for line in ("ReadOnlyPaths=/", "BindReadOnlyPaths=-/var/log/cloud-hypervisor", "CapabilityBoundingSet="):
        assert f"\n{line}\n" in text


def test_the_container_starts_what_there_is() -> None:
    """Its command is one that the parser takes; the state is on the volume, the port the one that is looked at."""
    text = _CONTAINER.read_text()
    (command,) = re.findall(r"(?m)^CMD (\[.*\])$", text)
    given = build_parser().parse_args(json.loads(command))
    assert given.state.startswith(re.findall(r"(?m)^VOLUME (\S+)$", text)[0])
    assert given.listen == f"0.0.0.0:{re.findall(r'(?m)^EXPOSE (.+)$', text)[0]}"
    assert "127.0.0.1:4319/status" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("command_name", _UNITS)
def test_systemd_takes_the_unit(command_name: str, tmp_path: Path) -> None:
    """No setting is unknown or malformed, and what a break-in could do is little ("OK": below 2)."""
    unit = tmp_path / _UNITS[command_name].name
    unit.write_text(_UNITS[command_name].read_text().replace("/usr/bin/otelmig", shutil.which("true") or ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    command = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
