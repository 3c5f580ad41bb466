"""What a person and a script read, held against the trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from trace_invariants import CORPUS, recorded

from otelmig.views.summary import summary
from otelmig.views.waterfall import render_waterfall

if TYPE_CHECKING:
    from otelmig.trace.span import Trace


def _trace(name: str) -> Trace:
    (trace,) = recorded(name)
    return trace


@pytest.mark.parametrize(
    ("name", "cost"),
    [
        ("v53.0-linux", "writing the log cost 57.7 ms of these 533 ms: less verbosity avoids it"),
        ("v53.0-dirty", None),
    ],
)
def test_what_logging_cost_is_said_where_it_matters(name: str, cost: str | None) -> None:
    """A tenth of the downtime is said; half a millisecond of 407 is not worth a sentence."""
    text = render_waterfall(_trace(name), width=120, color=False)
    if cost is None:
        assert "writing dirty tables" not in text
    else:
        assert cost in text


@pytest.mark.parametrize("name", ["v53.0-dirty", "v53.0-unixcopy", "v53.0-basicv"])
def test_parts_of_one_name_are_added_up(name: str) -> None:
    """What nothing accounts for may lie in several places; the summary has all of it, and the parts are the whole."""
    trace = _trace(name)
    downtime = trace.first("downtime")
    assert downtime is not None
    document = json.loads(json.dumps(summary(trace)))["downtime"]
    parts = {part: seconds for part, seconds in document["parts"].items() if seconds is not None}
    assert parts["unaccounted_s"] == pytest.approx(downtime.attributes["vm.migration.downtime.unaccounted"], abs=1e-9)
    borders_s = (len(list(trace.children(downtime))) - 1) * 1e-6
    assert sum(parts.values()) == pytest.approx(document["span_s"] - borders_s, abs=1e-9)


@pytest.mark.parametrize("name", ["v53.0-twohosts", "v48.0-basic"])
def test_the_width_in_seconds_is_made_of_its_parts(name: str) -> None:
    """Drift, rounding and messages add up to what is left open at the end, as ``explain --json`` has it."""
    logs = [str(CORPUS / name / f"{role}.log") for role in ("source", "destination")]
    ended = run_command(["explain", "--json", *logs])
    (migration,) = json.loads(ended.stdout)["migrations"]
    end, width = migration["proof"]["offsets"][-1], migration["proof"]["width"]
    assert set(width) == {"drift_s", "rounding_s", "messages_s"}
    assert sum(width.values()) == pytest.approx(end["max_s"] - end["min_s"], abs=1e-9)
