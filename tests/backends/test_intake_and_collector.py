"""A real Collector with the shipped live.yaml, and the service's own servers: nothing blocks the Collector's queue."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from intake_client import Inbox
from tls_receiver import certificate

from backends.backend_stack import GATE
from backends.retry import eventually
from otelmig.otlp.intake.access import Address, Tls, TokenFile
from otelmig.otlp.intake.exchange import Limits, ReceivedRequest, Verdict
from otelmig.otlp.intake.grpc import GrpcIntake
from otelmig.otlp.intake.http import HttpIntake
from otelmig.otlp.intake.request import decode_logs

if TYPE_CHECKING:
    from backends.backend_stack import BackendStack
    from otelmig.inputs.record import LogRecord
    from otelmig.otlp.intake.exchange import Refusal

pytestmark = pytest.mark.backend


def _lines(inbox: Inbox) -> list[LogRecord]:
    return [line for each in inbox.requests for line in decode_logs(each.body, is_json=each.is_json).records]


def _texts(inbox: Inbox) -> list[str]:
    return sorted({line.text for line in _lines(inbox)})


def _has(text: str, texts: list[str]) -> bool:
    return text in texts


def _is_longer(count: int, refusals: tuple[Refusal, ...]) -> bool:
    return len(refusals) > count


def test_a_collector_is_never_kept_waiting(stack: BackendStack) -> None:
    """What is refused for good is dropped, what may come again comes again; lines after either arrive."""
    inbox = Inbox()
    waited: list[ReceivedRequest] = []

    def handle(received: ReceivedRequest) -> Verdict:
        if b"poison" in received.body:
            return Verdict(HTTPStatus.BAD_REQUEST, "no request")
        if b"patience" in received.body and len(waited) < 3:
            waited.append(received)
            return Verdict(HTTPStatus.SERVICE_UNAVAILABLE, "the disk is full", 1.0)
        return inbox(received)

    server = HttpIntake(Address("127.0.0.1", stack.port(4319)), handle, limits=Limits(inflated_bytes=100_000))
    server.start()
    stack.host("alpha")
    log = stack.folder("/var/log/alpha") / "ch.log"
    said = b""
    for line in ("first", "poison", "second", "x" * 150_000, "third", "caf\xe9 \udcff", "patience", "last"):
        said += line.encode("utf-8", "surrogateescape") + b"\r\n"
        log.write_bytes(said)
        if line not in ("poison", "x" * 150_000):
            expected = line.replace("\udcff", "\ufffd")
            assert expected in eventually(partial(_texts, inbox), partial(_has, expected))
        else:
            count = len(server.refusals())
            eventually(server.refusals, partial(_is_longer, count))
    server.stop(grace_s=5.0)
    assert _texts(inbox) == sorted(["first", "second", "third", "caf\xe9 \ufffd", "patience", "last"])
    for record in _lines(inbox):
        assert record.file == ("alpha", str(log))
        assert record.host is not None
        assert (record.host.name, record.host.id, record.host.ips) == ("alpha", "alpha", ("10.9.0.1",))
        assert record.offset is not None
        assert said[record.offset :].startswith(record.text.replace("\ufffd", "").strip().encode())
        assert record.number == said[: record.offset].count(b"\n") + 1
    assert [(each.status, each.times) for each in server.refusals()] == [(503, 3), (400, 1), (413, 1)]


def _collect(stack: BackendStack, edits: dict[str, str]) -> Path:
    """Have a Collector run with an edited live.yaml; return the log that it reads."""
    folder = stack.folder("/var/log/cloud-hypervisor")
    folder.mkdir(parents=True)
    stack.collector(stack.place("live.yaml", edits), health=13143, options=[GATE])
    return folder / "ch.log"


@pytest.mark.parametrize(
    "how", ["compression: none", "compression: deflate", "compression: zstd", "compression: zlib", "encoding: json"]
)
def test_encodings_of_a_collector(stack: BackendStack, how: str) -> None:
    """However a Collector is told to send, what it sends is read."""
    inbox = Inbox()
    server = HttpIntake(Address("127.0.0.1", stack.port(4319)), inbox)
    server.start()
    _collect(stack, {"timeout: 30s": f"timeout: 30s, {how}"}).write_text("one\n\ntwo\n")
    lines = eventually(lambda: _lines(inbox), lambda lines: len(lines) >= 2)
    server.stop(grace_s=5.0)
    assert [(line.text, line.offset, line.number) for line in lines] == [("one", 0, 1), ("two", 5, 3)]


def test_a_collector_over_tls_with_a_token(stack: BackendStack, tmp_path: Path) -> None:
    """Certificates on both ends and a token, over HTTP and over gRPC at once."""
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    pem = {name: Path(certificate(f"{name}")) for name in ("server.pem", "server.key", "ca.pem")}
    tls = Tls(certificate=pem["server.pem"], key=pem["server.key"], client_ca=pem["ca.pem"])
    over_http, over_grpc = Inbox(), Inbox()
    http = HttpIntake(Address("127.0.0.1", 0), over_http, tls=tls, token=TokenFile(secret))
    grpc = GrpcIntake(Address("127.0.0.1", 0), over_grpc, tls=tls, token=TokenFile(secret))
    files = f"ca_file: {pem['ca.pem']}, cert_file: {certificate('client.pem')}, key_file: {certificate('client.key')}"
    common = f'tls: {{{files}}}, headers: {{authorization: "Bearer s3cret"}}'
    over_tls = f'https://localhost:{http.address.port}", {common}'
    also = f'otlp_grpc/live: {{endpoint: "localhost:{grpc.address.port}", {common}}}'
    for server in (http, grpc):
        server.start()
    edits = {'http://127.0.0.1:4319"': over_tls, "exporters: {otlp_http": f"exporters: {{{also}, otlp_http"}
    edits["exporters: [otlp_http/live]"] = "exporters: [otlp_http/live, otlp_grpc/live]"
    _collect(stack, edits).write_text("one\ntwo\n")
    try:
        for inbox in (over_http, over_grpc):
            assert eventually(partial(_texts, inbox), lambda texts: len(texts) == 2) == ["one", "two"]
    finally:
        for server in (http, grpc):
            server.stop(grace_s=5.0)
