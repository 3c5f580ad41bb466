"""What is told of a destination URL: what its trace tells of it, too, and never what is secret in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmig.instrument.endpoint import endpoint_attributes
from otelmig.migration.url import MigrationUrl


def _told(url: str) -> tuple[object, ...]:
    attributes = endpoint_attributes(url)
    return tuple(attributes.get(name) for name in ("network.transport", "server.address", "server.port"))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("tcp:192.0.2.20:4444", ("tcp", "192.0.2.20", 4444)),
        ("tcp:[2001:db8::7]:4444", ("tcp", "2001:db8::7", 4444)),
        ("tcp:Node-B.example:4444", ("tcp", "node-b.example", 4444)),
        ("tcp://node-b:4444", ("tcp", "node-b", 4444)),
        ("tcp:node-b", ("tcp", "node-b", None)),
        ("tcp:node-b:port", ("tcp", None, None)),
        ("tcp:[node-b:1", ("tcp", None, None)),
        ("rdma:node-b:4444", (None, "node-b", 4444)),
        ("qemu+ssh://root:sesame@node-b/system?keyfile=/root/sesame", (None, "node-b", None)),
        ("tcp:root:ses@me@node-b:4444/sesame", ("tcp", "node-b", 4444)),
        ("unix:/run/sesame.sock", ("unix", None, None)),
        ("exec:ssh node-b sesame", (None, None, None)),
        ("fd:7", (None, None, None)),
        ("192.0.2.20:4444", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_urls(url: str, told: tuple[object, ...]) -> None:
    """Transport, address and port, as far as they are there."""
    assert _told(url) == told
    assert "sesame" not in repr(endpoint_attributes(url))


_HOSTS = st.sampled_from(["node-b", "192.0.2.20", "[2001:db8::7]", "[fe80::1%eth0]", "", "NODE", "a b", "[", "x@y"])
_PORTS = st.sampled_from([":4444", ":0", ":65535", ":65536", "", ":", ":x", ":-1", ":٣"])


@given(st.one_of(st.builds("tcp:{}{}".format, _HOSTS, _PORTS), st.text(max_size=30).map("tcp:{}".format)))
def test_an_announcement_says_what_the_log_says(url: str) -> None:
    """For a URL that the hypervisor is given, the endpoint is the one that is read in its log."""
    if url.startswith("tcp://"):
        return  # a form that no log of the supported hypervisors has
    logged = MigrationUrl.of(url)
    assert _told(url) == (logged.transport, logged.host or None, logged.port)
