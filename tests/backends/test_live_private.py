"""All recordings through a real Collector with live_private.yaml: traces stay right, and no configuration is sent."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import pytest
from trace_invariants import RECORDINGS, anchored_findings, inputs

from backends.log_receiver import log_receiver
from backends.retry import eventually
from backends.sent_lines import sent_lines
from otelmig.otlp.encoding.json_lines import json_line
from otelmig.trace.options import TraceOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs

    from backends.backend_stack import BackendStack

pytestmark = pytest.mark.backend

_PLANTED: Final = "hunter2"
_LINE: Final = "cloud-hypervisor:   0.100000s: <vmm> INFO:vmm/src/api/mod.rs:1 -- "
_SECRETS: Final = (
    f"{_LINE}Booting VM from config: Mutex {{ data: VmConfig {{ memory: MemoryConfig {{ size: 1, file: {_PLANTED}",
    f"{_LINE}Booting VM from config: Mutex {{ data: VmConfig {{ platform: {_PLANTED} VmConfig {{ cpus: {_PLANTED}",
    f"{_LINE}API request event: VmCreate VmConfig {{ cmdline: {_PLANTED} }}",
    f"{_LINE}API request event: VmRestore RestoreConfig {{ source_url: {_PLANTED} }}",
    f"{_LINE}API request event: VmAddDisk DiskConfig {{ path: {_PLANTED} }}",
    f"{_LINE}{_PLANTED}",
    f"    platform: PlatformConfig {{ oem_strings: {_PLANTED} }},",
    f"    {_PLANTED}",
    _PLANTED,
)
"""Lines that no release writes like this, or that say what must stay."""
_LAST: Final = f"{_LINE}iter=the last line\n".encode()
"""Behind every file, so that it is known when all of it was sent."""


def _rebuilt(folder: Path, received: Iterable[ResourceLogs]) -> None:
    """Write the files as far as they were sent: a line that was not sent is empty, so that numbers stay."""
    files: dict[str, dict[int, bytes]] = defaultdict(dict)
    for line in sent_lines(received):
        files[line.path][line.number] = line.body
    for path, lines in files.items():
        recording, name = path.rsplit("/", 1)[1].split("#")
        (folder / recording).mkdir(exist_ok=True)
        texts = (lines.get(number, b"") for number in range(1, max(lines)))  # without the last one
        (folder / recording / name).write_bytes(b"".join(text + b"\n" for text in texts))


def test_traces_are_those_of_whole_logs(stack: BackendStack, tmp_path: Path) -> None:
    """Byte for byte, for every recording but one, which has disks; what a VM's configuration says stays."""
    folder = stack.folder("/var/log/alpha")
    folder.mkdir(parents=True)
    contents = {f"{name}#{path.name}": path.read_bytes() for name in RECORDINGS for path in inputs(name)}
    contents["secrets#source.log"] = "".join(f"{line}\n" for line in _SECRETS).encode()
    for name, content in contents.items():
        (folder / name).write_bytes(content + _LAST)
    secrets = {_PLANTED.encode()}
    for content in contents.values():
        secrets |= set(re.findall(rb'(?:path|file|kernel|cmdline): Some\("([^"]{6,})"', content))
    assert len(secrets) > 10
    with log_receiver(stack.port(4319)) as receiver:
        stack.host("alpha", "live_private.yaml")
        eventually(
            lambda: {line.path for line in sent_lines(receiver.received) if line.body + b"\n" == _LAST},
            lambda paths: len(paths) == len(contents),
        )
        content = receiver.content
        received = list(receiver.received)
    assert not [secret for secret in secrets if secret in content]
    assert {line.path.rsplit("/", 1)[1] for line in sent_lines(received)} == contents.keys()
    _rebuilt(tmp_path, received)
    different = {name: changed for name in RECORDINGS if (changed := _changed(inputs(name), _files(tmp_path / name)))}
    # disks and MAC addresses tell one VM from another: without them it is the endpoint alone that names the pair
    assert different == {"v53.0-disk": {f"otelmig.pairing.{name}" for name in ("basis", "doubt", "reasons")}}


def _changed(whole: Iterable[Path], sent: Iterable[Path]) -> set[str]:
    """Return the names of the attributes that differ; all else must be the same, byte for byte."""
    before, after = ([*anchored_findings(paths).traces(TraceOptions())] for paths in (whole, sent))
    if [*map(json_line, before)] == [*map(json_line, after)]:
        return set()
    names = set()
    for one, other in zip(before, after, strict=True):
        for span, again in zip(one.spans, other.spans, strict=True):
            assert (span.name, span.start_ns, span.end_ns) == (again.name, again.start_ns, again.end_ns)
            keys = {*span.attributes, *again.attributes}
            names |= {key for key in keys if span.attributes.get(key) != again.attributes.get(key)}
    return names


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())
