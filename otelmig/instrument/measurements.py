"""What the caller's side measures: how long its requests take, and how many are under way."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry import metrics

from otelmig import announcement as names
from otelmig.version import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider, UpDownCounter

__all__ = ["MODES", "Instruments", "bounded", "instruments"]

_BOUNDARIES_S: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
MODES: Final = frozenset({"precopy", "postcopy", "local"})
"""The modes of a migration, as its trace has them."""
_SYSTEM: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_OTHER: Final = "_OTHER"
"""What the conventions call a value that is none of those foreseen."""


class Instruments(NamedTuple):
    """The two instruments of one meter."""

    duration: Histogram
    active: UpDownCounter


def instruments(scope: str, provider: MeterProvider | None) -> Instruments:
    """Return the instruments of a provider, or of the program's own where none is given."""
    return _created(scope, provider) if provider is not None else _of_program(scope)


@lru_cache(maxsize=1)  # a meter that is asked for before there is an SDK is kept for ever: ask for one only
def _of_program(scope: str) -> Instruments:
    return _created(scope, None)


def _created(scope: str, provider: MeterProvider | None) -> Instruments:
    """Create the instruments; of a name that it has already, the SDK returns the one that is there."""
    meter = metrics.get_meter(scope, __version__, provider)
    duration, active = names.METRICS
    return Instruments(
        meter.create_histogram(
            str(duration.name),
            duration.unit,
            duration.note,
            explicit_bucket_boundaries_advisory=_BOUNDARIES_S,
        ),
        meter.create_up_down_counter(str(active.name), active.unit, active.note),
    )


def bounded(mode: str | None, system: str | None) -> dict[str, str]:
    """Return the attributes that metrics carry; what could be anything becomes ``_OTHER``."""
    attributes = {}
    if mode is not None:
        attributes[names.MODE] = mode if mode in MODES else _OTHER
    if system is not None:
        attributes[names.SYSTEM] = system if _SYSTEM.fullmatch(system) else _OTHER
    return attributes
