"""Turns: who comes when, when a process is quiet enough for the next, and when times are steady.

    round 0     B  A  C         A round is short against the drifts of a machine (clock rate, temperature, neighbours),
    round 1     A  C  B         so all subjects meet the same drift, and none always runs behind the same one.
    round 2     C  A  B

Before and after a turn the clock waits until the process is idle. Thread pools spin for a while after their work, to be
quick with the next one: ONNX Runtime 1.31 left to itself burns a core for some 60 ms after a run, which would be
charged to whoever comes next.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence

WINDOW_TURNS = 3
"""How many turns of the warm-up are compared with as many before them."""

STEADY = 0.05
"""Times are steady when the medians of two neighbouring windows differ by less than this part."""

SETTLE_STEP_S, SETTLE_MAX_S = 0.005, 0.5
"""Before a turn the process must have been idle for one step; after the maximum the turn begins all the same."""

IDLE = 0.1
"""A process is idle that uses less than this part of one core."""


def order(names: Sequence[str], *, number: int, seed: int) -> list[str]:
    """Return the order of a round: the same for the same seed, also where a run is gone on with.

    Args:
        names: Who takes turns.
        number: Of the round.
        seed: Of all orders.
    """
    shuffled = list(names)
    random.Random(f"{seed} {number}").shuffle(shuffled)
    return shuffled


def is_steady(totals: Sequence[float]) -> bool:
    """Return whether the last `WINDOW_TURNS` times are like those before them."""
    window = min(WINDOW_TURNS, len(totals) // 2)
    if window < 2:
        return False
    last = statistics.median(totals[-window:])
    before = statistics.median(totals[-2 * window : -window])
    return abs(last - before) <= STEADY * before


def settle() -> bool:
    """Wait until this process is idle, at most `SETTLE_MAX_S`, and return whether it is."""
    started = time.perf_counter()
    while (wall := time.perf_counter()) - started < SETTLE_MAX_S:
        busy = time.process_time()
        time.sleep(SETTLE_STEP_S)
        if time.process_time() - busy < IDLE * (time.perf_counter() - wall):
            return True
    return False
