"""A local migration without the destination's log may have been a snapshot: from v53.0 on a program takes it as one."""

from __future__ import annotations

import pytest
from trace_invariants import inputs, traced

from otelmig.trace.attributes import GuestLocation
from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

_BOTH = ("source", "destination")


@pytest.mark.parametrize(
    ("recording", "sides", "location", "running"),
    [
        ("v53.0-local", ("source",), GuestLocation.UNKNOWN, None),
        ("v53.0-local", _BOTH, GuestLocation.DESTINATION, True),
        ("v52.0-local", ("source",), GuestLocation.DESTINATION, True),
        ("v48.0-local", ("source",), GuestLocation.DESTINATION, True),
        ("v53.0-basicv", ("source",), GuestLocation.DESTINATION, True),
    ],
)
def test_where_the_guest_is_said_to_be(
    recording: str,
    sides: tuple[str, ...],
    location: GuestLocation,
    *,
    running: bool | None,
) -> None:
    """The source's log is the same in both cases, so it proves neither; earlier releases know one of them only."""
    (trace,) = traced(path for path in inputs(recording) if path.name in {f"{side}.log" for side in sides})
    guest = summary(trace)["guest"]
    assert isinstance(guest, dict)
    assert (guest["location"], guest["running"]) == (location, running)
    head = render_waterfall(trace, width=200, color=False).splitlines()[0]
    assert ("destination unknown" in head) is (location is GuestLocation.UNKNOWN)
