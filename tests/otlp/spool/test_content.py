"""The content of a spool: it is read without a lock, and reading it changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery_cases import payloads
from open_spool import HERE, THERE, open_spool

from otelmig.errors import SpoolError
from otelmig.otlp.account import Reason
from otelmig.otlp.spool.content import SpoolContent

if TYPE_CHECKING:
    from pathlib import Path


def test_content_is_read_while_another_uses_the_spool(tmp_path: Path) -> None:
    """Entries, lines and receipts of an open spool are what its user wrote so far, and no file is touched."""
    one, two, three = payloads(3)
    with open_spool(tmp_path) as spool:
        spool.store([one, two], HERE, lines=True, sending=True)
        spool.fail([two], HERE, Reason.TIMEOUT, uncertain=[True])
        spool.acknowledge([one], HERE)
        spool.store([three], THERE, lines=False, sending=True)
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
        content = SpoolContent(tmp_path, since_s=0)
        assert [(entry.ident, entry.reason) for entry in content.waiting()] == [(two.ident, "timeout")]
        assert content.waiting(THERE) == []
        assert content.line(content.waiting()[0]) == two.line
        assert content.delivered(one.ident, HERE) == one.digest
        assert content.delivered(one.ident, THERE) is None
        archived = content.entry(three.ident, THERE)
        assert archived is not None
        with pytest.raises(SpoolError, match="is not there"):
            content.line(archived)
        assert content.lost == 0
        assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_content_that_cannot_be_read(tmp_path: Path) -> None:
    """A directory that does not exist, or a file in its place, is one error with the reason of the system."""
    (tmp_path / "file").touch()
    for directory, why in ((tmp_path / "missing", "no such file or directory"), (tmp_path / "file", "not a directory")):
        with pytest.raises(SpoolError, match=why):
            SpoolContent(directory, since_s=0)
