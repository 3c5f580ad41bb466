"""Which flags of Cloud Hypervisor would print lines that the rules could use, for this pair of logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelmig.hypervisors.cloud_hypervisor.attempt_lines import lines_of
from otelmig.hypervisors.cloud_hypervisor.causality.happens_before import RULES
from otelmig.hypervisors.cloud_hypervisor.causality.instants import DESTINATION, SOURCE
from otelmig.hypervisors.cloud_hypervisor.releases import RELEASES, last_release
from otelmig.migration.stamp import ClockDomain
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelmig.hypervisors.cloud_hypervisor.causality.instants import InstantKind, LogFlags
    from otelmig.migration.side import Side

__all__ = ["clock_advice"]

_COARSE_NS: Final = 100 * MICROSECOND_NS
"""Half of what a stamp leaves open from which on another one would help."""


def clock_advice(source: Side, destination: Side) -> Iterator[str]:
    """Yield one sentence for each flag that would add constraints between these two sides."""
    sent, received = lines_of(source), lines_of(destination)
    for side, instants in ((source, SOURCE), (destination, DESTINATION)):
        release = last_release([side.vmm.releases_text])
        printed = {key for key, kind in instants.items() if any(end is not None for end in kind.find(sent, received))}
        for need, keys in _unprinted(instants, printed, release).items():
            rules = [
                rule.id
                for rule in RULES
                if keys & {rule.source.key, rule.destination.key} and rule.need(release) is not None
            ]
            timed = side is source and need.verbosity > 1  # printed durations, which come with the completion alone
            if not rules or (timed and source.sent.downtime is None):
                continue
            cost = " (it writes dirty tables inside the downtime)" if need.verbosity > 1 and side is source else ""
            yield f"{need} on the {side.role}{cost}: {len(rules)} more rules, such as {', '.join(rules[:3])}"
        if side.vmm.domain is ClockDomain.REALTIME:
            continue
        coarsest = max(observation.stamp.error_ns for observation in side.observations)
        coarse = f"its timestamps are {2 * coarsest / MILLISECOND_NS:.3g} ms wide, because the process is old"
        if release >= RELEASES.index("v52.0"):
            what = (
                coarse
                if coarsest > _COARSE_NS
                else "then timed exchanges between the hosts (`ClockOptions.measured`) count, too"
            )
            yield f"--log-format with {{wallclock}} on the {side.role}: {what}"
        elif coarsest > _COARSE_NS:
            yield f"--event-monitor on the {side.role}: {coarse}"


def _unprinted(instants: Mapping[str, InstantKind], printed_keys: set[str], release: int) -> dict[LogFlags, set[str]]:
    """Return the instants that ``release`` prints only with more than what was printed, by what it takes."""
    unprinted: dict[LogFlags, set[str]] = {}
    printed = {need for key in printed_keys if (need := instants[key].need(release)) is not None}
    for key, kind in instants.items():
        need = kind.need(release)
        if need is None or key in printed_keys or need in printed:
            continue
        if not need.event_monitor and any(need.verbosity <= other.verbosity for other in printed):
            continue
        unprinted.setdefault(need, set()).add(key)
    return unprinted
