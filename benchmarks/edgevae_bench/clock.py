"""Interleaved timing: in every round each subject runs once, in a new order, and every sample is kept.

    round 0     B  A  C         A round is short against the drifts of a machine (clock rate, temperature, neighbours),
    round 1     A  C  B         so all subjects meet the same drift, and none always runs behind the same one.
    round 2     C  A  B

A stage must not return before its result is there: for a device that works asynchronously, it synchronises.

Between two turns the clock waits until the process is idle. Thread pools spin for a while after their work, to be quick
with the next one: ONNX Runtime 1.31 left to itself burns a core for some 60 ms after a run, which would be charged to
whoever comes next.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edgevae.errors import InputError

PERCENTILES = (50, 90, 99)
"""The percentiles of a `Latency`."""

WINDOW_ROUNDS = 3
"""How many rounds of the warm-up are compared with as many before them."""

STEADY = 0.05
"""The warm-up is over when the medians of two neighbouring windows differ by less than this part, for every subject."""


SETTLE_STEP_S, SETTLE_MAX_S = 0.005, 0.5
"""Before a turn the process must have been idle for one step; after the maximum the turn begins all the same."""

IDLE = 0.1
"""A process is idle that uses less than this part of one core."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What one subject does in one round."""

    prepare: Callable[[int], object]
    """Called with the round's number before the clock starts."""
    stages: Mapping[str, Callable[[int], object]]
    """Called with the round's number, in order, each on the clock; results are dropped."""


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """How the warm-up ended."""

    rounds: int
    """How many rounds were run and thrown away."""
    unsteady: tuple[str, ...]
    """Subjects whose time still moved when the bound was reached; empty when all were steady."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Statistics of samples, nothing trimmed. Percentiles are samples, not interpolated (see `percentile_ms`)."""

    samples_ms: tuple[float, ...]
    """In the order they were taken."""
    median_ms: float
    """The middle sample, or the mean of the two in the middle."""
    mean_ms: float
    """Arithmetic mean."""
    std_ms: float
    """Sample standard deviation (n - 1); 0 for one sample."""
    min_ms: float
    """The shortest."""
    max_ms: float
    """The longest."""
    p50_ms: float
    """50th percentile."""
    p90_ms: float
    """90th percentile."""
    p99_ms: float
    """99th percentile."""
    undersampled_percentiles: tuple[int, ...]
    """Percentiles beyond which no sample lies, so that they say no more than the maximum does."""

    @property
    def cv_ratio(self) -> float:
        """Coefficient of variation: standard deviation divided by mean."""
        return self.std_ms / self.mean_ms if self.mean_ms else 0.0


def summarise(samples_ns: Sequence[int]) -> Latency:
    """Return the statistics of samples in nanoseconds.

    Raises:
        InputError: there is no sample.
    """
    if not samples_ns:
        raise InputError(
            "latency: got no sample, expected at least one; measure at least one round"
        )
    samples_ms = tuple(ns / 1e6 for ns in samples_ns)
    p50, p90, p99 = (percentile_ms(samples_ms, p) for p in PERCENTILES)
    return Latency(
        samples_ms=samples_ms,
        median_ms=statistics.median(samples_ms),
        mean_ms=statistics.fmean(samples_ms),
        std_ms=statistics.stdev(samples_ms) if len(samples_ms) > 1 else 0.0,
        min_ms=min(samples_ms),
        max_ms=max(samples_ms),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        undersampled_percentiles=tuple(
            p for p in PERCENTILES if not _samples_beyond(len(samples_ms), p)
        ),
    )


def percentile_ms(samples_ms: Sequence[float], percent: int) -> float:
    """Return the slowest sample that is left after the slowest `(100 - percent) %`, rounded down, are put aside.

    This is trtexec's rule (NVIDIA/TensorRT, samples/common/sampleReporting.cpp, `findPercentile`), in whole numbers.
    """
    return sorted(samples_ms)[
        max(len(samples_ms) - 1 - _samples_beyond(len(samples_ms), percent), 0)
    ]


def interleave(
    subjects: Mapping[str, Timed],
    *,
    rounds: int,
    seed: int,
    on_round: Callable[[], object] = lambda: None,
) -> dict[str, list[tuple[int, ...]]]:
    """Run every subject once a round and return, per subject and round, the nanoseconds of each stage.

    Args:
        subjects: By name.
        rounds: How many rounds.
        seed: Of the order within the rounds.
        on_round: Called after each round, off the clock.
    """
    order, shuffle = list(subjects), random.Random(seed).shuffle
    samples: dict[str, list[tuple[int, ...]]] = {name: [] for name in subjects}
    for number in range(rounds):
        shuffle(order)
        for name in order:
            settle()
            samples[name].append(_run(subjects[name], number))
        on_round()
    return samples


def warm_up(subjects: Mapping[str, Timed], *, seed: int, max_rounds: int) -> WarmUp:
    """Run interleaved rounds until the time of every subject is steady, at most `max_rounds`.

    A window is `WINDOW_ROUNDS` rounds; at least two windows are run where the bound allows it.
    """
    totals: dict[str, list[int]] = {name: [] for name in subjects}
    unsteady, done = tuple(subjects), 0
    while unsteady and done < max_rounds:
        rounds = min(WINDOW_ROUNDS, max_rounds - done)
        window = interleave(subjects, rounds=rounds, seed=seed + done)
        for name, samples in window.items():
            totals[name] += [sum(stages) for stages in samples]
        done += rounds
        unsteady = tuple(name for name, total in totals.items() if not _steady(total))
    return WarmUp(rounds=done, unsteady=unsteady)


def settle() -> bool:
    """Wait until this process is idle, at most `SETTLE_MAX_S`, and return whether it is."""
    started = time.perf_counter()
    while (wall := time.perf_counter()) - started < SETTLE_MAX_S:
        busy = time.process_time()
        time.sleep(SETTLE_STEP_S)
        if time.process_time() - busy < IDLE * (time.perf_counter() - wall):
            return True
    return False


def _run(subject: Timed, number: int) -> tuple[int, ...]:
    subject.prepare(number)
    marks = [time.perf_counter_ns()]
    for stage in subject.stages.values():
        stage(number)
        marks.append(time.perf_counter_ns())
    return tuple(after - before for before, after in itertools.pairwise(marks))


def _steady(totals: Sequence[int]) -> bool:
    if len(totals) < 2 * WINDOW_ROUNDS:
        return False
    last = statistics.median(totals[-WINDOW_ROUNDS:])
    before = statistics.median(totals[-2 * WINDOW_ROUNDS : -WINDOW_ROUNDS])
    return abs(last - before) <= STEADY * before


def _samples_beyond(count: int, percent: int) -> int:
    return count * (100 - percent) // 100
