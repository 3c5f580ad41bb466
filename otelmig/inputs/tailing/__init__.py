"""Files that grow on this machine, and units of its journal -> records, each line once.

``targets`` (what is to be followed) -> ``inotify`` (when something changed) -> ``tailer`` (which file is which: new,
renamed, emptied, copied, moved) -> ``followed_file`` (its lines, and how far it was read).
"""

from __future__ import annotations

from otelmig.inputs.tailing.followed_file import Checkpoint
from otelmig.inputs.tailing.tailer import FileGone, Tailed, Tailer
from otelmig.inputs.tailing.targets import Target, target_of

__all__ = ["Checkpoint", "FileGone", "Tailed", "Tailer", "Target", "target_of"]
