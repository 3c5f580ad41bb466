"""Files that grow on this machine, and units of its journal -> records, each line once.

``targets`` (what is to be followed) -> ``inotify`` (when something changed) -> ``tailer`` (which file is which: new,
renamed, emptied, copied, moved) -> ``followed_file`` (its lines, and how far it was read). Or ``units`` (of the
journal) -> ``journalctl`` (a child process that prints entries) -> ``journal`` (whose they are, which was read last).
"""

from __future__ import annotations

from otelmig.inputs.tailing.followed_file import Checkpoint
from otelmig.inputs.tailing.journal import Journal
from otelmig.inputs.tailing.journalctl import check_journal
from otelmig.inputs.tailing.tailed import FileGone, Tailed
from otelmig.inputs.tailing.tailer import Tailer
from otelmig.inputs.tailing.targets import Target, target_of
from otelmig.inputs.tailing.units import Unit, unit_of

__all__ = [
    "Checkpoint",
    "FileGone",
    "Journal",
    "Tailed",
    "Tailer",
    "Target",
    "Unit",
    "check_journal",
    "target_of",
    "unit_of",
]
