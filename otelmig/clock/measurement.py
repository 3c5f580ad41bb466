"""What was measured between two hosts' wall clocks, as constraints: timed exchanges, and what chrony says of itself."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from otelmig.clock.drift import SLEWED_PPB
from otelmig.errors import InputError, UsageError
from otelmig.inputs.line import Where
from otelmig.migration.constraint import Basis, Constraint
from otelmig.migration.side import Role
from otelmig.structs import Struct
from otelmig.units import MICROSECOND_NS, MILLISECOND_NS, PPB, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["ClockStatusReport", "Measurement", "clock_status", "measured_constraints", "prior", "probes"]

_STAMPS: Final = 4
_LARGEST_NS: Final = 1 << 63
_EARLIEST_NS: Final = 10**17
"""1973: no exchange between hosts with these programs is older."""
_OTHER_UNITS: Final = (("seconds", SECOND_NS), ("milliseconds", MILLISECOND_NS), ("microseconds", MICROSECOND_NS))
_TRACKING_FIELDS: Final = 14
"""Fields of ``chronyc -c tracking`` (chrony 3 and 4): reference id, its name or address, stratum, reference time,
system time offset, last offset, RMS offset, frequency, residual frequency, skew, root delay, root dispersion, update
interval, leap status."""


class _Measured(Struct, frozen=True, kw_only=True):
    """The line of a measurement."""

    kind: str
    where: Where


class ClockStatusReport(Struct, frozen=True, kw_only=True):
    """What a host's time service says: at ``at_ns`` (by that host's clock) it was within ``error_ns`` of UTC."""

    at_ns: int
    error_ns: int
    where: Where


class Measurement(Struct, frozen=True, kw_only=True):
    """What a tool printed when it measured the clocks, and the name of the file that holds it."""

    name: str
    text: str


def measured_constraints(
    exchanges: Iterable[Measurement], statuses: Mapping[Role, Measurement], *, drift_ppb: int
) -> Iterator[Constraint]:
    """Yield what was measured between two hosts' wall clocks as constraints, for ``ClockOptions.measured``.

    Each of ``exchanges`` holds timed exchanges (see :func:`probes`), ``statuses`` what chrony says on both hosts (see
    :func:`clock_status`): on both or on none. ``drift_ppb`` is how fast the clocks may drift between the two reports.

    Raises:
        InputError: a text is not what it should be.
        UsageError: the status of one host is given without that of the other.
    """
    for exchange in exchanges:
        lines = exchange.text.splitlines()
        _check_unit(exchange.name, lines)
        constraints = list(probes(exchange.name, lines))
        if not constraints:
            raise InputError(f"{exchange.name}: no probe in it")
        yield from constraints
    if not statuses:
        return
    if len(statuses) < len(Role):
        raise UsageError(
            "the clocks of both hosts are compared: want a report of the source and one of the destination"
        )
    source, destination = (clock_status(statuses[role].name, statuses[role].text) for role in Role)
    # the logs may demand more drift than was asked for: the time between the reports is paid for at that
    yield from prior(source, destination, drift_ppb=max(drift_ppb, SLEWED_PPB))


def _check_unit(name: str, lines: Iterable[str]) -> None:
    """Look at the first exchange: times in another unit would be of 1970, and would prove nothing.

    Raises:
        InputError: its times are in another unit, or of another clock; it says in which.
    """
    number, fields = next(
        ((number, words) for number, line in enumerate(lines, 1) if (words := line.split()) and words[0][0] != "#"),
        (0, []),
    )
    try:
        times = [Decimal(field) for field in fields]
    except InvalidOperation:
        return
    if len(times) != _STAMPS or not all(time.is_finite() and 0 <= time < _LARGEST_NS for time in times):
        return
    if min(times) >= _EARLIEST_NS:
        return
    digits = ", whole numbers" if not "".join(fields).isdecimal() else ""
    for unit, size_ns in _OTHER_UNITS:
        if all(_EARLIEST_NS <= time * size_ns < _LARGEST_NS for time in times):
            raise InputError(f"{name}:{number}: these look like {unit}: want four times in ns{digits}, t1 t2 t3 t4")
    raise InputError(
        f"{name}:{number}: these are no times since 1970 (of a clock that began with the host, perhaps): want four "
        "times of CLOCK_REALTIME in ns, t1 t2 t3 t4"
    )


def probes(name: str, lines: Iterable[str]) -> Iterator[Constraint]:
    """Yield two constraints for each exchange ``t1 t2 t3 t4``, ns of both hosts' CLOCK_REALTIME.

    The source sends at t1, the destination reads at t2 and answers at t3, the source reads the answer at t4. (The
    middle of what one exchange allows is NTP's offset, half its width NTP's delay / 2: RFC 5905, section 8.) Empty
    lines and lines that begin with ``#`` are left out.

    Raises:
        InputError: a line holds no such four times.
    """
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            times = [int(field) for field in fields]
        except ValueError:
            times = []
        if len(times) != _STAMPS or not all(0 <= time < _LARGEST_NS for time in times):
            raise InputError(f"{name}:{number}: no probe: want four times in ns, t1 t2 t3 t4")
        sent, received, answered, returned = times
        if sent > returned or received > answered:
            raise InputError(f"{name}:{number}: no probe: t1 and t4 are the source's, t2 and t3 the destination's")
        at = _Measured(kind="probe", where=Where(file=name, line=number))
        yield _upper("probe-request", Basis.PROBE, sent, received - sent, (at, at))
        yield _lower("probe-answer", Basis.PROBE, returned, answered - returned, (at, at))


def clock_status(name: str, text: str) -> ClockStatusReport:
    """Return the bound that chrony gives of a clock's error: system time offset + root dispersion + root delay / 2.

    ``text`` is the line that ``chronyc -c tracking`` prints; the formula is that of chrony's own documentation
    (chronyc, "tracking", root dispersion). It is taken to hold at the printed reference time, the last update of the
    clock; as what was then still to be corrected, the larger of the two printed offsets counts.

    Raises:
        InputError: it is something else, or the clock was not synchronised.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    fields = lines[0].split(",") if len(lines) == 1 else []
    wanted = "want the one line that `chronyc -c tracking` prints"
    if len(fields) != _TRACKING_FIELDS:
        raise InputError(f"{name}: no clock status: {wanted}")
    try:
        reference, system, last, delay, dispersion = (_ns(fields[index]) for index in (3, 4, 5, 10, 11))
    except InvalidOperation:
        raise InputError(f"{name}: no clock status: {wanted}") from None
    if fields[13].strip() == "Not synchronised":
        raise InputError(f"{name}: its clock was not synchronised: nothing follows from it")
    if reference <= 0 or delay < 0 or dispersion < 0:
        raise InputError(f"{name}: no clock status: a reference time, a root delay or a root dispersion is impossible")
    error = max(abs(system), abs(last)) + dispersion + -(-delay // 2)
    return ClockStatusReport(at_ns=reference, error_ns=error, where=Where(file=name, line=1))


def _ns(field: str) -> int:
    value = Decimal(field.strip())
    if not value.is_finite() or abs(value) >= _LARGEST_NS // SECOND_NS:
        raise InvalidOperation
    return int((value * SECOND_NS).to_integral_value(ROUND_UP))


def prior(source: ClockStatusReport, destination: ClockStatusReport, *, drift_ppb: int) -> Iterator[Constraint]:
    """Yield how far two clocks that are both near UTC can be apart; the time between the two reports is paid for."""
    claimed = source.error_ns + destination.error_ns
    apart = abs(destination.at_ns - source.at_ns) + claimed  # at most: both times may be wrong themselves
    bound = claimed + -(-apart * drift_ppb // PPB)
    one = _Measured(kind="clock status", where=source.where)
    other = _Measured(kind="clock status", where=destination.where)
    yield _upper("clock-status", Basis.PRIOR, source.at_ns, bound, (one, other))
    yield _lower("clock-status", Basis.PRIOR, source.at_ns, -bound, (other, one))


def _upper(rule: str, basis: Basis, at_ns: int, bound_ns: int, ends: tuple[_Measured, _Measured]) -> Constraint:
    first, second = ends
    return Constraint(at_ns=at_ns, bound_ns=bound_ns, upper=True, rule=rule, first=first, second=second, basis=basis)


def _lower(rule: str, basis: Basis, at_ns: int, bound_ns: int, ends: tuple[_Measured, _Measured]) -> Constraint:
    return replace(_upper(rule, basis, at_ns, bound_ns, ends), upper=False)
