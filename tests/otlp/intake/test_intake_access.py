"""Who may send: TLS, certificates of clients, tokens of a file; and addresses to listen on."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import pytest
from intake_client import PROTOBUF_HEADERS, Inbox, WireClient, intake
from sent_logs import file_record, request
from tls_receiver import certificate

from otelmig.errors import UsageError
from otelmig.otlp.intake.access import Address, Tls, TokenFile
from otelmig.otlp.intake.exchange import Limits

BODY = request([file_record("a", 0, 1)]).SerializeToString()
SERVER = Path(certificate("server.pem"))
KEY = Path(certificate("server.key"))
CA = Path(certificate("ca.pem"))


def _client(*, with_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=CA)
    if with_certificate:
        context.load_cert_chain(certificate("client.pem"), certificate("client.key"))
    return context


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:4319", Address("127.0.0.1", 4319)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:4319", Address("::1", 4319)),
        ("[::]:1", Address("::", 1)),
        (":4319", Address("", 4319)),
    ],
)
def test_addresses_are_parsed(text: str, address: Address) -> None:
    """A host and a port; an IPv6 address stands in brackets. What is parsed is what is shown."""
    assert Address.parse(text, "listen") == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4319",
        "host",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "::1:4319",
        "[::1]",
        "[host]:1",
        "http://h:1",
        "h:\u0661",
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    """Whatever cannot be listened on is a mistake of whoever said it, and the parameter is named."""
    with pytest.raises(UsageError, match=re.escape(f"`listen` {text}: want HOST:PORT")):
        Address.parse(text, "listen")


@pytest.mark.parametrize("with_certificate", [False, True])
def test_tls(*, with_certificate: bool) -> None:
    """A sender that trusts the authority is served over TLS, with a certificate of its own or without."""
    inbox = Inbox()
    tls = Tls(certificate=SERVER, key=KEY, client_ca=CA if with_certificate else None)
    with (
        intake(inbox, tls=tls) as server,
        WireClient(server.address, _client(with_certificate=with_certificate)) as client,
    ):
        assert [client.post(BODY).status for _ in range(3)] == [200] * 3
    assert len(inbox.requests) == 3


def test_a_sender_without_a_certificate() -> None:
    """Where senders must have certificates, one without is not heard; others are served."""
    inbox = Inbox()
    with intake(inbox, tls=Tls(certificate=SERVER, key=KEY, client_ca=CA)) as server:
        with pytest.raises(OSError, match=r"."), WireClient(server.address, _client()) as client:
            client.post(BODY)
        with WireClient(server.address) as client, pytest.raises(OSError, match=r"."):
            client.post(BODY)
        with WireClient(server.address, _client(with_certificate=True)) as client:
            assert client.post(BODY).status == 200
    assert len(inbox.requests) == 1


def test_a_handshake_that_does_not_come() -> None:
    """Whoever connects and says nothing is not waited for, and holds up nobody meanwhile."""
    with (
        intake(tls=Tls(certificate=SERVER, key=KEY), limits=Limits(head_s=2.0)) as server,
        WireClient(server.address) as silent,
    ):
        with WireClient(server.address, _client()) as client:
            assert client.post(BODY).status == 200
        assert silent.is_closed()


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        (Tls(certificate=Path("none.pem")), "cannot use the certificate or key none.pem: no such file or directory"),
        (Tls(certificate=KEY), f"cannot use the certificate or key {KEY}: "),
        (Tls(certificate=SERVER, key=CA), f"cannot use the certificate or key {SERVER}: "),
        (Tls(certificate=SERVER, key=KEY, client_ca=KEY), f"cannot use the certificate or key {KEY}: "),
    ],
)
def test_certificates_that_are_none(tls: Tls, message: str) -> None:
    """A file that cannot be used is named at once, in one line."""
    with pytest.raises(UsageError) as error:
        tls.context()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_tokens(tmp_path: Path) -> None:
    """Without a token of the file nothing is taken, and nothing is told; it is never shown."""
    path = tmp_path / "token"
    path.write_text("s3cret-1\n\ns3cret-2\r\n")
    inbox = Inbox()
    with intake(inbox, token=TokenFile(path), status=lambda: (200, {})) as server:
        for given, status in (
            (None, 401),
            ("Bearer", 401),
            ("Bearer s3cret", 401),
            ("Bearer s3cret-1 ", 200),
            ("bearer  s3cret-2", 200),
            ("Basic s3cret-1", 401),
            ("Bearer s3cret-1,s3cret-2", 401),
            ("Bearer \xff", 401),
        ):
            with WireClient(server.address) as client:
                answer = client.post(BODY, PROTOBUF_HEADERS | ({} if given is None else {"Authorization": given}))
                assert answer.status == status, given
                assert b"s3cret" not in answer.body
                assert answer.headers.get("www-authenticate") == (None if status == 200 else "Bearer")
        with WireClient(server.address) as client:
            client.send(b"GET /status HTTP/1.1\r\n\r\n")
            assert client.answer().status == 401
        assert [(each.status, each.times) for each in server.refusals()] == [(401, 7)]
    assert len(inbox.requests) == 2


def test_a_token_is_replaced_in_its_file(tmp_path: Path) -> None:
    """The file is read again when it changes; while it is missing or empty, the last tokens hold."""
    path = tmp_path / "token"
    path.write_text("old")
    tokens = TokenFile(path)
    assert tokens.is_in("Bearer old")
    path.write_text("old\nnewer")
    os.utime(path, ns=(1, 1))
    assert tokens.is_in("Bearer old")
    assert tokens.is_in("Bearer newer")
    path.unlink()
    assert tokens.is_in("Bearer newer")
    path.write_text("\n")
    assert tokens.is_in("Bearer newer")
    path.write_text("newest")
    assert tokens.is_in("Bearer newest")
    assert not tokens.is_in("Bearer newer")
    assert "newest" not in repr(tokens)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), (b" \n", "it is empty"), (b"x" * 70_000, "it is too large")],
)
def test_files_without_a_token(tmp_path: Path, content: bytes | None, why: str) -> None:
    """A server that would let everybody in, or nobody, does not start."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"cannot read a token from {path}: {why}"):
        TokenFile(path)
