"""What a Prometheus endpoint exposes, in the text format of OpenMetrics."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Sample", "samples", "scrape", "total"]

_LINE: Final = re.compile(r"(\w+)\{(.*?)\} ([\d.eE+-]+)(?: [\d.]+)?(?: # \{(.*)\} .*)?")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value; ``exemplar`` has the labels of the trace that it is shown by, if any."""

    name: str
    labels: Mapping[str, str]
    value: float
    exemplar: Mapping[str, str]


def scrape(url: str) -> list[Sample]:
    """What the endpoint exposes now, to a scraper that takes exemplars."""
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=wanted),
        timeout=30,
    ) as answer:
        return samples(answer.read().decode())


def samples(text: str) -> list[Sample]:
    """All values in ``text``."""
    return [
        Sample(
            name=match[1],
            labels=dict(_LABEL.findall(match[2])),
            value=float(match[3]),
            exemplar=dict(_LABEL.findall(match[4] or "")),
        )
        for line in text.splitlines()
        if (match := _LINE.fullmatch(line))
    ]


def total(found: Iterable[Sample], name: str, **labels: str) -> float:
    """The sum of what is called ``name`` and has these labels."""
    return sum(sample.value for sample in found if sample.name == name and labels.items() <= sample.labels.items())
