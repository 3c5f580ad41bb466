"""What programs that start migrations announce, and which migration each of them asked for.

No hypervisor passes a trace context on. A caller says in a log record of its own trace that it asks for a migration,
and in another one that it has the answer; the migration that began in between, at the same endpoint, is the one. All
times are those at which the service received what is compared, so that no clock of another machine matters.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelmig import announcement as names
from otelmig.pairing.traits.addresses import address_of, first_label
from otelmig.units import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelmig.migration.side import Side
    from otelmig.otlp.intake.announcement import Announcement

__all__ = ["Announced", "Announcements"]

_TOLERANCE_NS: Final = 2 * SECOND_NS
"""How much later, or earlier, than its announcement a migration's first line may be received."""
_DISPATCHED_NS: Final = 30 * SECOND_NS
"""The same after an answer that may only say that the migration was begun."""
_KEPT_NS: Final = 3600 * SECOND_NS
"""For so long an announcement waits for its migration after the answer."""
_MOST: Final = 100_000
"""Announcements that wait at a time."""
_SAMPLED: Final = 1


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
    used_by: str = ""
    """The identity of the attempt that was found for it, in hexadecimal digits."""

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from all others."""
        return self.trace_id, self.span_id

    def saved(self) -> str:
        """Return it as JSON."""
        return json.dumps(list(self))

    @classmethod
    def loaded(cls, text: str) -> Announced:
        """Return what :meth:`saved` gave."""
        values: list[Any] = json.loads(text)
        return cls(*values)


class Announcements:
    """The announcements that wait for their migrations, or were used lately."""

    def __init__(self) -> None:
        self.unmatched = 0
        """Announcements that no migration was found for: it never came, or its trace had been made before."""
        self._waiting: OrderedDict[tuple[str, str], Announced] = OrderedDict()

    def __iter__(self) -> Iterator[Announced]:
        return iter(self._waiting.values())

    def __len__(self) -> int:
        return sum(1 for each in self if not each.used_by)

    def restore(self, announced: Announced) -> None:
        """Take one that was saved."""
        self._waiting[announced.key] = announced

    def take(self, given: Announcement, at_ns: int) -> Announced | None:
        """Take a record; return what is known of the announcement now, or None for a copy or one without a span."""
        if not given.trace_id or not given.span_id:
            return None
        key = (given.trace_id, given.span_id)
        before = self._waiting.get(key)
        if given.name == names.RecordName.RETURNED:
            if before is not None and before.returned_ns is not None:
                return None
            failed = given.attributes.get(names.RESULT) == names.ClientResult.FAILED
            base = before or self._new(given, at_ns)
            known = base._replace(returned_ns=at_ns, has_failed=failed)
        elif before is not None:
            # a copy, or the answer came first: then the earlier time holds
            known = before._replace(announced_ns=min(before.announced_ns, at_ns))
            if known == before:
                return None
        else:
            known = self._new(given, at_ns)
        self._waiting[key] = known
        while len(self._waiting) > _MOST:
            self._waiting.popitem(last=False)
        return known

    def fitting(self, source: Side, first_ns: int) -> Sequence[Announced]:
        """Return the announcements that may have asked for a source's attempt, whose first line came at ``first_ns``.

        Where several do, those that were waiting for their answer at that instant go before the others.
        """
        own = source.identity.hex()
        fits = [each for each in self if each.used_by in ("", own) and _fits(each, source, first_ns)]
        fits = [each for each in fits if each.used_by] or fits
        if len(fits) > 1:
            inside = [each for each in fits if each.announced_ns <= first_ns <= (each.returned_ns or first_ns)]
            fits = inside or fits
        return fits

    def use(self, announced: Announced, source: Side) -> Announced:
        """Note whose announcement it was; return it as it is now."""
        used = announced._replace(used_by=source.identity.hex())
        self._waiting[announced.key] = used
        return used

    def expire(self, now_ns: int) -> list[Announced]:
        """Forget, and return, those that wait no longer."""
        gone = [each for each in self if (each.returned_ns or each.announced_ns) < now_ns - _KEPT_NS]
        for each in gone:
            self.unmatched += not each.used_by
            del self._waiting[each.key]
        return gone

    @staticmethod
    def _new(given: Announcement, at_ns: int) -> Announced:
        address, port, vm_id = (given.attributes.get(name) for name in (names.ADDRESS, names.PORT, names.VM_ID))
        return Announced(
            trace_id=given.trace_id,
            span_id=given.span_id,
            is_sampled=bool(given.flags & _SAMPLED),
            address=str(address or ""),
            port=port if isinstance(port, int) else None,
            vm_id=str(vm_id or ""),
            announced_ns=at_ns,
        )


def _fits(announced: Announced, source: Side, first_ns: int) -> bool:
    if first_ns < announced.announced_ns - _TOLERANCE_NS:
        return False
    if announced.returned_ns is not None:
        after_ns = _TOLERANCE_NS if announced.has_failed else _DISPATCHED_NS
        if first_ns > announced.returned_ns + after_ns:
            return False
    url = source.sent.terms.url
    if url is not None and url.host and announced.address:
        return url.port == announced.port and _is_same_host(url.host, announced.address)
    vm_id = None if source.vm is None else source.vm.id
    return bool(vm_id) and announced.vm_id.lower() == str(vm_id).lower()


def _is_same_host(one: str, other: str) -> bool:
    addresses = address_of(one), address_of(other)
    if None not in addresses:
        return addresses[0] == addresses[1]
    return addresses == (None, None) and first_label(one) == first_label(other)
