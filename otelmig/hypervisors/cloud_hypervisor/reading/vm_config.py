"""The printed ``VmConfig`` -> the few facts that may leave the machine, and keys that only serve for comparing.

A config dump carries command lines, disk paths and OEM strings; none of them is kept. Disks, MAC addresses and
the vsock CID are what tells one VM from another of the same size, so their digest is kept for pairing, never shown.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelmig.migration.observation import Value

__all__ = ["vm_config_values"]

_VCPUS: Final = re.compile(r"boot_vcpus: (\d{1,6})\b")
_MEMORY: Final = re.compile(r"memory: MemoryConfig \{ size: (\d{1,18})\b")
# each begins with a plain text, which is found faster than a boundary or any one of several; that no other word ends
# with it is asked afterwards
_UUID: Final = re.compile(r'uuid: (?:(?<!\wuuid: )|(?<=\bsystem_uuid: ))Some\("([0-9A-Fa-f-]{1,64})"\)')
_IDENTITY: Final = tuple(
    re.compile(expression)
    for expression in (
        r'path: (?<!\wpath: )Some\("((?:[^"\\\r\n]|\\.){1,4096})"\), readonly',
        r"mac: (?<!\wmac: )(?:MacAddr \{ bytes: )?([^,}\r\n]{1,64})",
        r"cid: (?<!\wcid: )(\d{1,10})\b",
    )
)


def vm_config_values(config: str) -> Mapping[str, Value]:
    """Return allow-listed facts of a ``VmConfig`` in Debug form: ``vcpus``, ``memory_bytes``, ``vm_id``, ``identity``.

    ``identity`` is a digest of the VM's disks, MAC addresses and CID; absent if there are none.
    """
    values: dict[str, Value] = {}
    if vcpus := _VCPUS.search(config):
        values["vcpus"] = int(vcpus[1])
    if memory := _MEMORY.search(config):
        values["memory_bytes"] = int(memory[1])
    if uuid := _UUID.search(config):
        values["vm_id"] = uuid[1].lower()
    if parts := sorted(part for pattern in _IDENTITY for part in pattern.findall(config)):
        values["identity"] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return values
