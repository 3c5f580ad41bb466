"""Whose address a source connects to: the receiving host's own, another host's, or one that nobody here knows."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otelmig.inputs import Host
    from otelmig.migration.side import Side

__all__ = ["Address", "address_of", "connects_to", "first_label", "own_addresses", "target_of"]

Address = IPv4Address | IPv6Address


def connects_to(source: Side, destination: Side) -> bool | None:
    """Return whether the source connects to the destination's host; None if that is not known.

    An address that is known to be that host's is. Another one is known not to be only where all addresses of the host
    are known (``host.ip``). Loopback says nothing: proxies on both hosts may carry it from one to the other.
    """
    url, address = source.sent.terms.url, target_of(source)
    if url is None or address is None:
        return None
    host, listening = destination.vmm.host, destination.received.url
    if isinstance(address, str):
        return None if host is None else _is_called(host, url.host or "")
    if listening is not None and listening.host and address_of(listening.host) == address:
        return True
    if host is None:
        return None
    if address in own_addresses(host):
        return True
    return False if host.ips else None


def target_of(source: Side) -> Address | str | None:
    """Return the address that ``source`` connects to, or the name without its domain; None if it tells no host.

    Loopback and addresses that hold on one link only tell none.
    """
    url = source.sent.terms.url
    if url is None or not url.is_tcp or not url.host:
        return None
    address = address_of(url.host)
    if address is None:
        return first_label(url.host) or None
    return None if address.is_loopback or address.is_unspecified or address.is_link_local else address


def own_addresses(host: Host | None) -> frozenset[Address]:
    """Return the addresses that are known to be ``host``'s own, without those that every host has."""
    return frozenset() if host is None else _parsed((*host.ips, host.name or ""))


@lru_cache(maxsize=4096)
def _parsed(texts: tuple[str, ...]) -> frozenset[Address]:
    addresses = (address_of(text) for text in texts)
    return frozenset(
        address for address in addresses if address is not None and not (address.is_loopback or address.is_unspecified)
    )


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """Return the address that ``text`` is, without its zone; None if it is a name or nothing."""
    try:
        address = ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


_EVERYWHERE: Final = frozenset({"localhost", "ip6-localhost"})
"""Names that every host has."""


def first_label(name: str) -> str:
    """Return a host's name without its domain, to be compared; empty for an address, and for what every host is."""
    label = name.lower().partition(".")[0]
    return "" if label in _EVERYWHERE or address_of(name) is not None else label


def _is_called(host: Host, name: str) -> bool | None:
    """Return whether ``host`` has that name; None if that is not known: two domains of one name may be one host."""
    one, other = first_label(name), first_label(host.name or "")
    if not one or not other:
        return None
    if one != other:
        return False
    domains = {text.lower().rstrip(".").partition(".")[2] for text in (name, host.name or "")}
    return True if len(domains - {""}) <= 1 else None
