"""Which windows of a clip train, and which are held out: never any that share a moment.

    piece_s 0        |train train train|held|                       the end of every clip
    piece_s 3        |train|held|train|train|held|train|            the middle of every piece of about 3 s

The end of a clip is often another place than its beginning, and the middle of a piece hardly: the one asks what a model
says of what it never saw, the other what it says of the moments between those that it knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from edgevae.errors import InputError

_ROUNDING_S = 1e-6
"""Of the times of frames."""


class Side(Enum):
    """What a window is for."""

    TRAINING = auto()
    """It shares no moment with a held-out one."""
    HELD_OUT = auto()
    """All of it is held out."""
    NEITHER = auto()
    """It lies across a cut, or reaches out of the clip."""


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """What of every clip is held out."""

    share: float
    """Of a clip, between 0 and 1."""
    piece_s: float = 0.0
    """0 for the end of every clip; else how long the pieces are, about, whose middles are held out: whole ones."""

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise InputError(f"held out: got a share of {self.share}, expected one between 0 and 1")
        if not 0.0 <= self.piece_s < math.inf:
            raise InputError(
                f"held out: got pieces of {self.piece_s} s, expected a number from 0 on"
            )

    def __str__(self) -> str:
        where = f"in the middle of {self.piece_s:g} s" if self.piece_s else "at its end"
        return f"{self.share:.0%} {where}"

    def stretches(self, end_s: float) -> list[tuple[float, float]]:
        """Return from when to when a clip of a length is held out, seconds, in order."""
        if not self.piece_s:
            return [(end_s * (1.0 - self.share), end_s)]
        pieces = max(1, round(end_s / self.piece_s))
        own, aside = end_s / pieces, (1.0 - self.share) / 2
        return [((k + aside) * own, (k + 1 - aside) * own) for k in range(pieces)]

    def side(
        self, begin_s: float, end_s: float, *, lead_s: float, tail_s: float, clip_s: float
    ) -> Side:
        """Return what a window is for.

        Args:
            begin_s: Where its first frame is.
            end_s: Where its last frame ends.
            lead_s: How far before it what it is made of begins: motion is that from the frame before, and spectra reach
                beyond their step.
            tail_s: How far behind it that ends.
            clip_s: How long the clip is.
        """
        if end_s > clip_s + _ROUNDING_S:
            return Side.NEITHER
        begins, ends = max(0.0, begin_s - lead_s), min(clip_s, end_s + tail_s)
        for first, last in self.stretches(clip_s):
            if first <= begins + _ROUNDING_S and ends <= last + _ROUNDING_S:
                return Side.HELD_OUT
            if begins < last - _ROUNDING_S and ends > first + _ROUNDING_S:
                return Side.NEITHER
        return Side.TRAINING
