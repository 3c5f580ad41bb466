"""What of a hypervisor's log may leave the host as log records: the generated lists of two files in collector-config.

``make golden`` writes them from the message table and the events, and a test compares. ``file_log.yaml`` has what a
person reads beside the traces; ``live_private.yaml`` has all that traces are made of, and rewrites what is private.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.events import EVENTS
from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.messages import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FILE_LOG", "LIVE_PRIVATE", "allowed_heads", "rendered"]

_FOLDER: Final = Path(__file__).parents[1] / "collector-config"
FILE_LOG: Final = _FOLDER / "file_log.yaml"
LIVE_PRIVATE: Final = _FOLDER / "live_private.yaml"
_PART: Final = re.compile(r"( */\* generated: ([\w ]+) \*/\n).*?( */\* end \*/\n)", re.DOTALL)
_WITHHELD: Final = (
    "API request event: VmCreate",  # carries the VM's configuration
    "API request event: VmRestore",  # carries paths
    "API request event: VmSnapshot",
    "GPA: ",  # one line for every run of dirty pages
)
_INDENT: Final = " " * 10
_WIDTH: Final = 118


def allowed_heads(*, chains: bool = False, live: bool = False) -> list[str]:
    """Return how the messages begin that may leave, none of them the beginning of another.

    Of ``chains``, those alone; to be traced ``live``, also those whose arguments are taken out on the way.
    """
    withheld = {Kind.IRRELEVANT} if live else {Kind.IRRELEVANT, Kind.VM_CONFIG}
    rows = [row for row in TABLE if row.kind not in withheld and (row.multiline or not chains)]
    heads = {head for row in rows for head in row.search_prefixes or (row.head,) if head}
    if not live:
        heads -= set(_WITHHELD)
    if not chains:
        heads |= {
            f"Event: source = {source} event = {name}"
            for (source, name), form in EVENTS.items()
            if form.kind is not Kind.IRRELEVANT
        }
    return sorted(head for head in heads if not any(head != other and head.startswith(other) for other in heads))


def rendered(text: str) -> str:
    """``text`` with its generated lists as the message table gives them now."""
    parts = {
        "heads": allowed_heads(),
        "heads of chains": allowed_heads(chains=True),
        "heads of live lines": allowed_heads(live=True),
    }
    return _PART.sub(lambda part: f"{part[1]}{_listed(parts[part[2]])}{part[3]}", text)


def _listed(heads: Iterable[str]) -> str:
    """The elements of a list, as many on a line as fit; the file has them in a single-quoted text of YAML."""
    lines = [""]
    quoted = (json.dumps(head, ensure_ascii=False).replace("'", "''") for head in heads)
    for item in ", \n".join(quoted).split("\n"):
        if lines[-1] and len(_INDENT + lines[-1] + item) > _WIDTH:
            lines.append("")
        lines[-1] += item
    return "".join(f"{_INDENT}{line.rstrip()}\n" for line in lines)


def main() -> None:
    """Rewrite the generated lists."""
    for path in (FILE_LOG, LIVE_PRIVATE):
        path.write_text(rendered(path.read_text()))


if __name__ == "__main__":
    main()
