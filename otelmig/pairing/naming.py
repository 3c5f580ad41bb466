"""Which side, or whose log, a caller means by a name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelmig.migration.vmm import Vmm

__all__ = ["ambiguous", "domain_of", "meant_by"]

_OF_LIBVIRT: Final = re.compile(r"/libvirt/[^/\s]+/([^/\s]+?)\.log\b")
"""Where libvirt keeps what a hypervisor writes: the file is called as the domain is."""


def meant_by(name: str, known: Iterable[tuple[str, Vmm]]) -> list[int]:
    """Return the positions of those of ``known`` (each a name, and the process that has it) that ``name`` may mean.

    It is theirs as it was printed, or a path of their log: as it was given, or the end of it.
    """
    known = list(known)
    exact = [index for index, (own, _) in enumerate(known) if own == name]
    return exact or [index for index, (own, vmm) in enumerate(known) if _may_be(name, own, vmm)]


def _may_be(name: str, own: str, vmm: Vmm) -> bool:
    end = f"/{os.path.normpath(name)}"
    whole = os.path.abspath(name)  # noqa: PTH100 - links stay as they were named
    return any(path.endswith(end) or path == whole for path in (f"/{own}", *_paths(own, vmm)))


def _paths(own: str, vmm: Vmm) -> Iterable[str]:
    """Yield ``own`` behind the folders of each of the process's inputs."""
    for key in vmm.inputs:
        folders = Path(os.path.abspath(key)).parents  # noqa: PTH100 - as above
        depth = own.partition("[")[0].count("/")
        if depth < len(folders):
            yield str(folders[depth] / own)


def domain_of(vmm: Vmm) -> str | None:
    """Return what libvirt calls the VM of ``vmm``, if its log lies where libvirt keeps logs."""
    named = (_OF_LIBVIRT.search(text) for text in (vmm.name, *vmm.inputs))
    return next((match[1] for match in named if match is not None), None)


def ambiguous(parameter: str, name: str, candidates: Sequence[str]) -> UsageError:
    """Return the error that ``name`` may mean any of ``candidates``."""
    return UsageError(f"`{parameter}`: {name!r} may be {' or '.join(candidates)}: want one of these")
