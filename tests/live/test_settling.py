"""A trace is made once its last line settled, and no later."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from live_run import LiveRun
from sent_files import recording_requests
from trace_invariants import CORPUS

from otelmig.inputs.record import FileKey

if TYPE_CHECKING:
    from pathlib import Path

_HOSTS = {"source": "host-a", "destination": "host-b"}


@pytest.mark.parametrize("stem", [None, "vm"], ids=["names of their own", "one name on both hosts"])
def test_it_settles_once(stem: str | None, tmp_path: Path) -> None:
    """Logs of one name are read again under names that tell the hosts apart, which is no news of the migration."""
    with LiveRun(directory=tmp_path / "state") as run:
        for request in recording_requests(CORPUS / "v53.0-twohosts", _HOSTS, 1000):
            run.take([record._replace(file=_named(record.file, stem)) for record in request])
        run.wait(run.options.settle_s * 0.9)
        assert not run.finished
        run.wait(run.options.settle_s * 0.2)
        (finished,) = run.finished
        named = {str(finished.trace.root.attributes["otelmig.evidence.guest"]).partition(":")[0]}
    assert named == {"destination.log" if stem is None else "host-b/vm.log"}


def _named(file: FileKey, stem: str | None) -> FileKey:
    path = PurePosixPath(file.path)
    return file if stem is None else FileKey(file.host, str(path.with_name(stem + "".join(path.suffixes))))
