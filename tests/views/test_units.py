"""Numbers as a person reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelmig.views.units import duration, plural, rate, size

_MIB = 1 << 20


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 us"),
        (350_400, "350 us"),
        (999_600, "1 ms"),
        (8_214_000, "8.21 ms"),
        (99_960_000, "100 ms"),
        (461 * 10**6, "461 ms"),
        (999.6e6, "1 s"),
        (12.55e9, "12.6 s"),
        (1234e9, "1234 s"),
    ],
)
def test_duration(ns: float, text: str) -> None:
    """Three digits and one unit."""
    assert duration(ns) == text


@pytest.mark.parametrize(
    ("mib", "sized", "per_second"),
    [
        (0, "0 MiB", "0.0 MiB/s"),
        (2.4, "2 MiB", "2.4 MiB/s"),
        (9.96, "10 MiB", "10 MiB/s"),
        (9999, "9999 MiB", "9999 MiB/s"),
        (12_000, "11.7 GiB", "11.7 GiB/s"),
        (131_072, "128 GiB", "128 GiB/s"),
    ],
)
def test_size_and_rate(mib: float, sized: str, per_second: str) -> None:
    """MiB until there are five digits of them, then GiB."""
    assert size(mib * _MIB) == sized
    assert rate(mib * _MIB) == per_second


def test_unknown() -> None:
    """What is not known is a dash, and no zero."""
    assert size(None) == rate(None) == "-"


@given(st.floats(min_value=0, max_value=2**43))
def test_cells_fit_their_columns(value: float) -> None:
    """Up to 8 TiB, the cells of the table of memory iterations are narrower than its columns."""
    assert len(size(value)) < 9
    assert len(rate(value)) < 11
    assert len(f"<={rate(value)}") < 13


def test_plural() -> None:
    """One is one; none are several."""
    assert [plural(count, "line") for count in (0, 1, 2)] == ["0 lines", "1 line", "2 lines"]
