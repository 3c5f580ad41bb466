"""The format of the spool: what earlier versions wrote is read, and what is written now is byte for byte the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from delivery_cases import delivery_to
from otlp_receiver import http_receiver

from otelmig.otlp.account import Reason
from otelmig.otlp.payload import Payload
from otelmig.otlp.spool.spool import Bounds, Spool

_RECORDED = Path(__file__).parent / "spool_of_format_1"
"""The spool of a process that was killed, written by otelmig before its modules were gathered into folders."""
_COLLECTOR = "http://collector:4318/v1/traces"
_GATEWAY = "https://gateway.example/otlp/v1/traces#0123456789abcdef"
_ARCHIVED = "http://[::1]:4318/a b%/v1/traces"
_BEGIN_S = 1_767_225_600
_FOR_EVER = Bounds(age_s=1 << 40)
"""The recorded times lie in the past, and age must not evict what this test reads."""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A copy of the recorded spool."""
    return Path(shutil.copytree(_RECORDED, tmp_path / "recorded"))


def _payloads() -> list[Payload]:
    """The five payloads of the recording, from the lines in its segment."""
    lines: dict[str, Payload] = {}
    for record in (_RECORDED / "segment-00000001").read_bytes().splitlines():
        if record.startswith(b"T "):
            payload = Payload.of_line(record.split(b" ", 7)[7])
            lines[payload.ident] = payload
    return list(lines.values())


def test_recorded_spool_is_read(recorded: Path) -> None:
    """Lines, endpoints, failures, doubts and receipts of the recorded spool mean today what they meant then."""
    one, two, three, four, five = _payloads()
    spool = Spool(recorded, _FOR_EVER)
    waiting = {(entry.ident, entry.endpoint): entry for entry in spool.waiting()}
    assert {key: (entry.uncertain, entry.reason, entry.spans, entry.digest) for key, entry in waiting.items()} == {
        (two.ident, _COLLECTOR): (True, "timeout", 2, two.digest),
        (three.ident, _COLLECTOR): (False, "unreachable", 2, three.digest),
        (four.ident, _COLLECTOR): (True, "", 2, four.digest),
        (five.ident, _GATEWAY): (True, "", 2, five.digest),
    }
    assert [spool.line(entry) for entry in waiting.values()] == [two.line, three.line, four.line, five.line]
    archived = spool.entry(five.ident, _ARCHIVED)
    assert archived is not None
    assert (archived.uncertain, archived.path) == (True, None)
    assert spool.delivered(one.ident, _COLLECTOR) == one.digest
    assert spool.delivered(five.ident, _GATEWAY) is None, "its receipt is struck out"
    assert spool.lost == 0
    spool.close()


def test_recorded_spool_is_delivered(recorded: Path) -> None:
    """What the recorded spool holds reaches a receiver, and a second run sends nothing."""
    with http_receiver() as receiver:
        words = []
        for _ in range(2):
            with delivery_to(receiver.url, recorded, [], bounds=_FOR_EVER) as delivery:
                assert delivery.deliver_spool()
            words.append(delivery.account.words())
        assert words == ["4 exported", "0 exported"]
        assert {span.trace_id.hex() for span in receiver.spans} == {payload.ident[:32] for payload in _payloads()[1:]}


def test_same_operations_write_the_same_bytes(tmp_path: Path) -> None:
    """The operations that wrote the recorded spool write it again, every byte of every file."""
    one, two, three, four, five = _payloads()
    now_s = [float(_BEGIN_S)]
    spool = Spool(tmp_path / "spool", Bounds(), now_s=lambda: now_s[0])
    spool.store([one, two, three, four], _COLLECTOR, lines=True, sending=True)
    now_s[0] += 1
    spool.acknowledge([one], _COLLECTOR)
    spool.fail([two, three], _COLLECTOR, Reason.TIMEOUT, uncertain=[True, False])
    now_s[0] += 1
    spool.fail([three], _COLLECTOR, Reason.UNREACHABLE, uncertain=[False])
    spool.store([two], _GATEWAY, lines=True, sending=False)
    spool.drop(spool.waiting(_GATEWAY))
    spool.store([five], _ARCHIVED, lines=False, sending=True)
    now_s[0] += 1
    spool.acknowledge([five], _GATEWAY)
    spool.store([five], _GATEWAY, lines=True, sending=True)
    for path in sorted(_RECORDED.iterdir()):
        assert (tmp_path / "spool" / path.name).read_bytes() == path.read_bytes(), path.name
    spool.close()
