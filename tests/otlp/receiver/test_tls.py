"""TLS of every protocol: delivered over a connection that is proved to be the right one, or kept with one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivery_cases import PROTOCOLS, check_delivered, delivered, payloads
from otlp_receiver import grpc_receiver, receiver_of
from tls_receiver import CLIENT, TRUSTED, certificate, tls_receiver
from trace_invariants import inputs

from otelmig.otlp.account import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Otelmig


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("mutual", "options", "good"),
    [
        (False, TRUSTED, True),
        (True, TRUSTED | CLIENT, True),
        (False, {}, False),
        (False, {"certificate": certificate("other-ca.pem")}, False),
        (True, TRUSTED, False),
    ],
    ids=["trusted", "mutual", "unknown authority", "other authority", "no client certificate"],
)
def test_tls(protocol: str, *, mutual: bool, options: dict[str, str], good: bool, tmp_path: Path) -> None:
    """Delivered over a connection that is proved to be the right one, or kept with one line about TLS."""
    traces = payloads(2)
    said: list[str] = []
    with tls_receiver(protocol, mutual=mutual) as receiver:
        account = delivered(traces, receiver.url, tmp_path, said, protocol=protocol, timeout_s=0.5, **options)
        if good:
            assert account.words() == "2 exported"
            check_delivered(traces, receiver, [account])
        else:
            assert account.spooled.traces == 2
            assert not receiver.requests
            assert said
            assert mutual or account.reasons == {Reason.TLS: account.spooled}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_plain_and_tls_mixed_up(protocol: str, tmp_path: Path) -> None:
    """TLS to a plain port, and plain words to a TLS port: kept, with a line."""
    said: list[str] = []
    with receiver_of(protocol)() as plain, tls_receiver(protocol) as secure:
        for number, url in enumerate((plain.url.replace("http:", "https:"), secure.url.replace("https:", "http:"))):
            directory = tmp_path / str(number)
            account = delivered(payloads(1), url, directory, said, protocol=protocol, timeout_s=0.5, **TRUSTED)
            assert account.spooled.traces == 1
            assert said
            said.clear()


def test_tls_failure_is_one_line(otelmig: Otelmig) -> None:
    """The command says what is wrong with TLS once, without anything that a library adds."""
    with grpc_receiver() as plain, tls_receiver("grpc") as secure:
        url = plain.url.replace("http:", "https:")
        for target, why in ((url, "does the port speak TLS?"), (secure.url, "its certificate is not trusted")):
            done = otelmig(
                "trace", "-q", *inputs("v53.0-twohosts"), "--protocol", "grpc", "--otlp", target, "--no-spool"
            )
            assert done.stderr.splitlines() == [
                f"otelmig: {target}: TLS failed ({why})",
                "1 migration found, 0 exported, 1 not exported (1 tls); 0 lines not understood",
            ]
