"""Records of files, sent in any order, with copies and holes -> the lines of each file in order, numbered.

A :class:`~otelmig.inputs.record.LogRecord` says where in its file its line stood; a file that was emptied or replaced
under its name is another generation. Which line belongs where is decided by texts and places; times break ties only.

>>> from otelmig.inputs.record import FileKey, LogRecord
>>> files, file = RebuiltFiles(), FileKey("host", "/var/log/ch.log")
>>> first = LogRecord("one", file, offset=0, number=1, size=3)
>>> third = LogRecord("three", file, offset=8, number=3, size=5)
>>> second = LogRecord("two", file, offset=4, number=2, size=3)
>>> for record in (first, third, second, first):
...     [(placed.line, placed.record.text) for placed in files.take(record, now_s=0.0)]
[(1, 'one')]
[]
[(2, 'two'), (3, 'three')]
[]
"""

from __future__ import annotations

from otelmig.inputs.rebuilding.rebuilt_file import Placed, RebuiltFile
from otelmig.inputs.rebuilding.rebuilt_files import RebuiltFiles

__all__ = ["Placed", "RebuiltFile", "RebuiltFiles"]
