"""One migration that somebody asked for, and where it was to go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from otelmig.pairing.traits.addresses import address_of, first_label

if TYPE_CHECKING:
    from otelmig.migration.side import Side
    from otelmig.pairing.traits.addresses import Address

__all__ = ["Announced", "Place", "endpoint_of", "vm_of"]

Place: TypeAlias = "tuple[Address | str, int | None] | str"
"""What an announcement and a source have in common: an address (or a name without its domain) and a port, or a VM."""


class Announced(NamedTuple):
    """A migration that somebody asked for."""

    trace_id: str
    span_id: str
    is_sampled: bool
    """Whether the caller's span is exported."""
    address: str
    port: int | None
    vm_id: str
    announced_ns: int
    """When the service heard of it (Unix epoch)."""
    returned_ns: int | None = None
    """When it heard that the caller has the answer."""
    has_failed: bool = False
    """Whether the caller had an error for an answer, or waited for none."""
    used_by: str = ""
    """The identity of the attempt that was found for it, in hexadecimal digits."""
    traced_ns: int | None = None
    """When a trace was made of the attempt that was found for it, or of one that it may have asked for."""
    is_late: bool = False
    """Whether it came after the trace of a migration that it may have asked for."""

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from all others."""
        return self.trace_id, self.span_id

    @property
    def latest_ns(self) -> int:
        """When the service dealt with it last."""
        return max(self.returned_ns or self.announced_ns, self.traced_ns or 0)

    @property
    def endpoint(self) -> Place | None:
        """Where the migration was to go; None where that was not told."""
        return _endpoint(self.address, self.port) if self.address else None

    @property
    def vm(self) -> Place | None:
        """Which VM was to go; None where that was not told."""
        return self.vm_id.lower() or None

    @property
    def places(self) -> tuple[Place, ...]:
        """Both, as far as they were told."""
        return tuple(place for place in (self.endpoint, self.vm) if place is not None)

    def saved(self) -> str:
        """Return it as JSON."""
        return json.dumps(list(self))

    @classmethod
    def loaded(cls, text: str) -> Announced:
        """Return what :meth:`saved` gave."""
        values: list[Any] = json.loads(text)
        return cls(*values)


def endpoint_of(source: Side) -> Place | None:
    """Return where a source was told to send its VM; None if it does not say, or names no host."""
    url = source.sent.terms.url
    return _endpoint(url.host, url.port) if url is not None and url.host else None


def vm_of(source: Side) -> Place | None:
    """Return which VM a source sent; None if it does not say."""
    return None if source.vm is None or not source.vm.id else source.vm.id.lower()


def _endpoint(host: str, port: int | None) -> Place:
    address = address_of(host)
    return (first_label(host) if address is None else address), port
