"""What a person and a script read, held against the trace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_run import run_command
from trace_invariants import CORPUS, recorded

from otelmig.views.explain_text import render_explanation
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


@pytest.mark.parametrize(
    ("name", "blackout"),
    [
        ("v52.0-oomkilled", "unknown: the source's log stops before any pause"),
        ("v53.0-timeoutcancel", "none: the guest was not stopped"),
        ("v53.0-refused", "none: the guest was not stopped"),
    ],
)
def test_no_blackout_is_claimed_only_of_an_attempt_whose_end_is_known(name: str, blackout: str) -> None:
    """A log that stops before any pause does not prove that there was none."""
    assert f"\nblackout   {blackout}\n" in render_waterfall(_trace(name), width=120, color=False)


@pytest.mark.parametrize(
    ("name", "clock"),
    [
        ("v52.0-oomkilled", "the destination's zero is 36.9594 s later: proved to lie in 36.8662 .. 37.0527 s"),
        ("v53.0-twohosts-boottime", "the destination's zero is 0.4174 s earlier: proved to lie in 0.4134 .. 0.4214 s"),
        ("v53.0-twohosts", "destination is 3.810 s ahead: proved to lie in 3.8067 .. 3.8132 s"),
    ],
)
def test_the_offset_is_told_in_words_and_without_a_sign(name: str, clock: str) -> None:
    """Which of two clocks is ahead, or which process started earlier, stands in a word."""
    assert f"\nclock      {clock}" in render_waterfall(_trace(name), width=150, color=False)


@pytest.mark.parametrize("width", [60, 67, 68, 100, 200])
def test_sentences_and_rows_fit_their_width(width: int) -> None:
    """No line is longer; sentences go on below their first word, the id of the trace is not torn from its label."""
    trace = _trace("v53.0-twohosts")
    picture = render_waterfall(trace, width=width, color=False)
    text, _, zoom = picture.partition("\n\n")
    assert max(map(len, picture.splitlines())) <= width
    labels = ("pair  ", "migration  ", "source ", "clock ", "blackout ", "began ", "trace ", " " * 11)
    assert all(line.startswith(labels) for line in text.splitlines())
    assert (f"   trace {trace.trace_id}" if width == 200 else f"\ntrace      {trace.trace_id}") in text
    assert ("<- most of it" in zoom, "vCPUs still" in zoom) == ((width >= 68,) * 2)
    assert text in render_explanation(trace, None, width=width)


@pytest.mark.parametrize("name", ["v53.0-dirty", "v53.0-unixcopy", "v53.0-basicv"])
def test_parts_of_one_name_are_added_up(name: str) -> None:
    """What nothing accounts for may lie in several places; the summary has all of it, and the parts are the whole."""
    trace = _trace(name)
    downtime = trace.first("downtime")
    assert downtime is not None
    document = json.loads(json.dumps(summary(trace)))["downtime"]
    parts = {part: seconds for part, seconds in document["parts"].items() if seconds is not None}
    assert parts["unaccounted_s"] == pytest.approx(
        downtime.attributes["vm.migration.downtime.unaccounted.duration"], abs=1e-9
    )
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
