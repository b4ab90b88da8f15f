"""From values to places on an axis: a linear or logarithmic scale with round ticks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgevae.errors import InputError

SPREAD_FOR_LOG = 20.0
"""Largest value divided by smallest, above which a linear axis would press most values into a corner."""

NEAR = 0.6
"""A linear axis begins at zero unless the smallest value is beyond this part of the largest."""

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    """Value at the beginning."""
    high: float
    """Value at the end."""
    ticks: tuple[float, ...]
    """Round values between them."""
    logarithmic: bool = False
    """Whether equal ratios have equal lengths."""

    def label(self, tick: float) -> str:
        """Return a tick for people, with as many digits as its neighbours need to be told apart."""
        if self.logarithmic:
            return number(tick)
        step = min((b - a for a, b in itertools.pairwise(self.ticks)), default=1.0)
        digits = next((d for d in range(9) if math.isclose(step, round(step, d))), 9)
        return grouped(tick, digits)

    def place(self, value: float) -> float:
        """Return where a value is, 0 at `low` and 1 at `high`; values beyond the axis are put on its end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)

    @property
    def remark(self) -> str:
        """What a reader could overlook: a logarithmic axis, or one that does not begin at zero; else empty."""
        if self.logarithmic:
            return "logarithmic axis"
        return "" if self.low == 0 else f"the axis begins at {self.label(self.low)}"


def fit(values: Iterable[float], *, ticks: int = 5, zero: bool = False) -> Scale:
    """Return a scale that holds all values.

    Args:
        values: At least one, all finite.
        ticks: About how many.
        zero: Begin at zero and linear whatever the values are, as bars must.

    Raises:
        InputError: there is no value, or one is not finite.
    """
    known = list(values)
    if not known or not all(map(math.isfinite, known)):
        raise InputError("axis: got no value or one that is not finite, expected finite values")
    low, high = min(known), max(known)
    if not zero and low > 0 and high / low > SPREAD_FOR_LOG:
        return _logarithmic(low, high)
    if zero or (0 <= low <= NEAR * high):
        low = min(low, 0.0)
    if high == low:
        low, high = (0.0, high or 1.0) if low >= 0 and zero else (low - 0.5, high + 0.5)
    step = _step((high - low) / ticks)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = tuple(round(i * step, 12) for i in range(first, last + 1))
    return Scale(low=places[0], high=places[-1], ticks=places)


def number(value: float) -> str:
    """Return a number for people: three significant digits, no exponent, no zeros that say nothing."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 100 or value == 0:
        return grouped(value, 0)
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(digits, 9)}f}".rstrip("0").rstrip(".")


def grouped(value: float, digits: int) -> str:
    """Return a number with so many digits behind the point, its thousands set apart."""
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def _step(rough: float) -> float:
    """Return the round number at or above `rough`."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))


def _logarithmic(low: float, high: float) -> Scale:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    marks = [step * 10.0**decade for decade in decades for step in steps]
    below = max((mark for mark in marks if mark <= low), default=low)
    above = min((mark for mark in marks if mark >= high), default=high)
    ticks = tuple(mark for mark in marks if below <= mark <= above)
    return Scale(low=below, high=above, ticks=ticks, logarithmic=True)
