"""Where a delivered trace can be seen: told for each trace that the receiver has, and for no other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from otlp_receiver import Reply, free_port, grpc_receiver, http_receiver
from trace_invariants import CORPUS, inputs, traced

from otelmig.cli.links import say_links

if TYPE_CHECKING:
    from conftest import Otelmig

_DEMO = "b5cc7a2b980a25901dc483a13dcfb6d7"


def _links(stderr: str) -> list[str]:
    return re.findall(r"(?m)^otelmig: see (\S+)", stderr)


def test_the_demo_says_where_its_trace_is(otelmig: Otelmig) -> None:
    """By default where Jaeger is on the receiver's host; the second time, too, when nothing is sent."""
    with http_receiver() as receiver:
        for account in ("1 exported", "0 exported, 1 already delivered"):
            done = otelmig("demo", "--otlp", f"{receiver.url.replace('://', '://user:secret@')}/v1/traces?token=secret")
            assert _links(done.stderr) == [f"http://127.0.0.1:16686/trace/{_DEMO}"]
            assert "Jaeger's usual place" in done.stderr
            assert done.stderr.splitlines()[-1].startswith(f"1 migration found, {account}")


def test_a_link_to_another_viewer(otelmig: Otelmig) -> None:
    """The template may have other braces in it; that it is a guess is not said."""
    template = 'https://grafana/explore?left={"query":"{trace_id}"}'
    with grpc_receiver() as receiver:
        done = otelmig("demo", "--otlp", receiver.url, "--protocol", "grpc", "--link-template", template)
    assert _links(done.stderr) == [f'https://grafana/explore?left={{"query":"{_DEMO}"}}']
    assert "usual place" not in done.stderr


def test_a_receiver_by_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    """The brackets of an IPv6 address stay."""
    say_links(None, "https://[::1]:4318/v1/traces", [_DEMO])
    assert _links(capsys.readouterr().err) == [f"http://[::1]:16686/trace/{_DEMO}"]


def test_no_link_to_what_is_not_there(otelmig: Otelmig) -> None:
    """Neither to a trace that waits in the spool nor to one that was refused."""
    done = otelmig("demo", "--timeout", "1", "--otlp", f"http://127.0.0.1:{free_port()}")
    assert "1 spooled" in done.stderr
    assert not _links(done.stderr)
    with http_receiver() as receiver:
        receiver.reply = Reply(status=400)
        done = otelmig("demo", "--no-spool", "--otlp", receiver.url)
    assert "1 not exported" in done.stderr
    assert not _links(done.stderr)


@pytest.mark.parametrize("options", [("-q",), ("--json",), ("--link-template", "")])
def test_no_link_where_none_is_wanted(options: tuple[str, ...], otelmig: Otelmig) -> None:
    """Scripts read the account; an empty template is nobody's viewer."""
    with http_receiver() as receiver:
        done = otelmig("demo", *options, "--otlp", receiver.url)
    assert "1 exported" in done.stderr
    assert not _links(done.stderr)
    assert "see" not in done.stderr


def test_many_traces_get_few_links(otelmig: Otelmig) -> None:
    """The first three, and how many there are besides."""
    logs = [path for name in ("v53.0-basicv", "v53.0-conn4", "v53.0-tls", "v53.0-retry") for path in inputs(name)]
    ids = {trace.trace_id for trace in traced(logs)}
    assert len(ids) > 4
    with http_receiver() as receiver:
        options = ("--otlp", receiver.url, "--link-template", "x:{trace_id}")
        done = otelmig("trace", *options, *logs)
    told = {link.removeprefix("x:") for link in _links(done.stderr) if link != "also"}
    assert len(told) == 3
    assert told < ids
    assert f"otelmig: see also {len(ids) - 3} other traces, by their ids" in done.stderr.splitlines()


def test_a_template_without_a_place_for_the_id(otelmig: Otelmig) -> None:
    """It is answered before anything is read."""
    done = otelmig("trace", "--link-template", "http://jaeger/", CORPUS / "v53.0-basicv" / "source.log")
    assert done.returncode == 2
    assert "--link-template http://jaeger/: want a URL with {trace_id} in it" in done.stderr
