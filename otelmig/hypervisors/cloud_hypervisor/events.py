"""The event table: what the events of Cloud Hypervisor mean.

From v50.0 the log carries every event, too, in a line that is written just before the event is stamped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import field

from otelmig.hypervisors.cloud_hypervisor.kinds import Kind
from otelmig.hypervisors.cloud_hypervisor.releases import AFTER_HEAD, ALL, FORK, LastWord, Releases, since, until
from otelmig.migration.observation import NO_VALUES, Value
from otelmig.migration.side import Role
from otelmig.structs import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENTS", "FIRST_AFTER_HEAD", "FIRST_OF_PROCESS", "LAST_OF_PROCESS", "EventForm", "Vocabulary"]


class EventForm(Struct, frozen=True, kw_only=True):
    """One event that says something about a migration."""

    kind: Kind
    releases: Releases
    iteration: bool = False
    """Whether property ``id`` is the number of a memory iteration."""
    variant: str | None = None
    """Who else fires it: a fork, or a version after the last release."""
    renamed: Kind | None = None
    """What the event means in the vocabulary after HEAD, where a ``-starting`` event comes before it."""

    last_word: LastWord | None = None
    """Whose last word it is, if it is one."""

    def values(self, properties: Mapping[str, str]) -> Mapping[str, Value]:
        """Return what the event's properties say."""
        number = properties.get("id", "")
        if self.iteration and number.isdecimal() and len(number) < len("1000000000"):
            return {"iteration": int(number)}
        return NO_VALUES


_V52: Final = since("v52.0")
_V53: Final = since("v53.0")
_V39: Final = since("v39.0")
_HEAD: Final = since("HEAD")
_SOURCE_LAST: Final = LastWord(role=Role.SOURCE, releases=ALL)
_DESTINATION_LAST: Final = LastWord(role=Role.DESTINATION, releases=ALL)
_RESUMED_LAST: Final = LastWord(role=Role.DESTINATION, releases=until("v51.0", first="v50.0"))
"""Until v51 no event says that a destination has received; until v49 the log carries no events at all."""


def _event(kind: Kind, releases: Releases = ALL, **rest: Any) -> EventForm:  # noqa: ANN401 - passed on as given
    return EventForm(kind=kind, releases=releases, **rest)


FIRST_OF_PROCESS: Final = ("vmm", "starting")
LAST_OF_PROCESS: Final = ("vmm", "shutdown")
EVENTS: Final[Mapping[tuple[str, str], EventForm]] = {
    FIRST_OF_PROCESS: _event(Kind.PROCESS_STARTED),
    ("vmm", "started"): _event(Kind.PROCESS_READY, _HEAD, variant=AFTER_HEAD),
    ("vm", "pausing"): _event(Kind.VM_PAUSING),
    ("vm", "paused"): _event(Kind.VM_PAUSED),
    ("vm", "resuming"): _event(Kind.VM_RESUMING),
    ("vm", "resumed"): _event(Kind.VM_RESUMED, last_word=_RESUMED_LAST),
    ("vm", "snapshotting"): _event(Kind.SNAPSHOTTING),
    ("vm", "snapshotted"): _event(Kind.SNAPSHOTTED),
    ("vm", "restoring"): _event(Kind.RESTORING),
    ("vm", "restored"): _event(Kind.RESTORED),
    ("vm", "migration-starting"): _event(Kind.SEND_ANNOUNCED, _HEAD, variant=AFTER_HEAD),
    ("vm", "migration-started"): _event(Kind.SEND_ANNOUNCED, _V52, renamed=Kind.START_ACKNOWLEDGED),
    ("vm", "migration-memory-iteration"): _event(Kind.ITERATION_ANNOUNCED, _V52, iteration=True),
    ("vm", "migration-finished"): _event(Kind.SEND_FINISHED, _V52, last_word=_SOURCE_LAST),
    ("vm", "migration-failed"): _event(Kind.SEND_FAILURE_ANNOUNCED, _V52, last_word=_SOURCE_LAST),
    ("vm", "migration-cancelled"): _event(Kind.SEND_CANCELLED, since("v50.0"), variant=FORK, last_word=_SOURCE_LAST),
    ("vm", "migration-receive-ready"): _event(Kind.RECEIVE_READY, _V53),
    ("vm", "migration-receive-starting"): _event(Kind.ACCEPTED, _HEAD, variant=AFTER_HEAD),
    ("vm", "migration-receive-started"): _event(Kind.ACCEPTED, _V52, renamed=Kind.START_ACKNOWLEDGED),
    ("vm", "migration-receive-finished"): _event(Kind.RECEIVE_FINISHED, _V52, last_word=_DESTINATION_LAST),
    ("vm", "migration-receive-failed"): _event(Kind.RECEIVE_FAILED, _V52, last_word=_DESTINATION_LAST),
    ("vm", "postcopy-migration-completed"): _event(Kind.POSTCOPY_FINISHED, _V53),
    ("guest", "panic"): _event(Kind.GUEST_PANICKED),
    ("vm", "rebooting"): _event(Kind.VM_REBOOTING, _V39),
    # what a VM does besides: known, needed by no trace
    LAST_OF_PROCESS: _event(Kind.IRRELEVANT),
    ("vm", "booting"): _event(Kind.IRRELEVANT),
    ("vm", "booted"): _event(Kind.IRRELEVANT),
    ("vm", "shutdown"): _event(Kind.IRRELEVANT),
    ("vm", "deleted"): _event(Kind.IRRELEVANT),
    ("vm", "resizing"): _event(Kind.IRRELEVANT),
    ("vm", "resized"): _event(Kind.IRRELEVANT),
    ("vm", "coredumping"): _event(Kind.IRRELEVANT),
    ("vm", "rebooted"): _event(Kind.IRRELEVANT, _V39),
    ("vm", "device-removed"): _event(Kind.IRRELEVANT),
    ("virtio-device", "activated"): _event(Kind.IRRELEVANT),
    ("virtio-device", "reset"): _event(Kind.IRRELEVANT),
    ("vdpa", "activated"): _event(Kind.IRRELEVANT),
    ("vdpa", "reset"): _event(Kind.IRRELEVANT),
}
"""Events by (source, name)."""


FIRST_AFTER_HEAD: Final = "-starting"
"""In the name of an event that makes the next one an acknowledgement."""


class Vocabulary(Struct):
    """Which of its two meanings an event has in the process that fires it.

    After HEAD a migration's first event is ``migration-starting`` (``migration-receive-starting``), and the one that
    was first until then means that Start was acknowledged; one name never has both meanings in one process.
    """

    renamed: set[str] = field(default_factory=set)

    def kind(self, name: str, form: EventForm) -> Kind:
        """Return what the event ``name`` means here."""
        if name.endswith(FIRST_AFTER_HEAD):
            self.renamed.add(name.removesuffix(FIRST_AFTER_HEAD) + "-started")
        return form.renamed if form.renamed is not None and name in self.renamed else form.kind
