"""Compressed inputs: told by their content, and read as far as they are whole."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from carried_logs import logs_of, plain, shape_of
from trace_invariants import traced

from otelmig.inputs.unpacking.compression import compression_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Otelmig


@pytest.mark.parametrize("kind", ["gzip", "xz", "zstd", "bzip2"])
def test_compressed_files(kind: str, tmp_path: Path) -> None:
    """Compression is told by the content, whatever the name."""
    for role, log in logs_of("v53.0-basicv").items():
        if kind == "zstd":
            packed = subprocess.run([sys.executable, "-c", _ZSTD], input=log, capture_output=True, check=True).stdout
        else:
            packed = _PACKERS[kind](log)
        assert compression_of(packed) == kind
        (tmp_path / f"{role}.packed").write_bytes(packed)
    assert shape_of(traced(sorted(tmp_path.iterdir()))) == plain("v53.0-basicv")[0]


_PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "xz": lzma.compress, "bzip2": bz2.compress}
_ZSTD = """
import sys
if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd
sys.stdout.buffer.write(zstd.compress(sys.stdin.buffer.read()))
"""


def test_truncated_archive(otelmig: Otelmig, tmp_path: Path) -> None:
    """What can be unpacked is read, and a note says that the rest could not be."""
    log = logs_of("v53.0-basicv")["source"]
    packed = gzip.compress(log)
    (tmp_path / "source.log.gz").write_bytes(packed[: len(packed) * 9 // 10])
    done = otelmig("trace", tmp_path / "source.log.gz")
    assert done.returncode == 0
    assert "source.log.gz: the compressed data ends early" in done.stderr
    assert "1 migration found" in done.stderr
