"""Statistics of samples: nothing is trimmed, and percentiles are samples, by trtexec's rule."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from edgevae.errors import InputError

PERCENTILES = (50, 90, 95, 99)
"""The percentiles of a `Latency`."""


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Statistics of samples, nothing trimmed. Percentiles are samples, not interpolated (see `percentile_ms`)."""

    n: int
    """How many samples."""
    min_ms: float
    """The shortest."""
    mean_ms: float
    """Arithmetic mean."""
    median_ms: float
    """The middle sample, or the mean of the two in the middle."""
    std_ms: float
    """Sample standard deviation (n - 1); 0 for one sample."""
    cv_ratio: float
    """Coefficient of variation: standard deviation divided by mean."""
    p50_ms: float
    """50th percentile."""
    p90_ms: float
    """90th percentile."""
    p95_ms: float
    """95th percentile."""
    p99_ms: float
    """99th percentile."""
    max_ms: float
    """The longest."""
    undersampled_percentiles: tuple[int, ...]
    """Percentiles beyond which no sample lies, so that they say no more than the maximum does."""


def summarise(samples_ms: Sequence[float]) -> Latency:
    """Return the statistics of samples in milliseconds.

    Raises:
        InputError: there is no sample.
    """
    if not samples_ms:
        raise InputError(
            "latency: got no sample, expected at least one; measure at least one round"
        )
    count, mean = len(samples_ms), statistics.fmean(samples_ms)
    std = statistics.stdev(samples_ms) if count > 1 else 0.0
    p50, p90, p95, p99 = (percentile_ms(samples_ms, p) for p in PERCENTILES)
    return Latency(
        n=count,
        min_ms=min(samples_ms),
        mean_ms=mean,
        median_ms=statistics.median(samples_ms),
        std_ms=std,
        cv_ratio=std / mean if mean else 0.0,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=max(samples_ms),
        undersampled_percentiles=tuple(p for p in PERCENTILES if not _beyond(count, p)),
    )


def percentile_ms(samples_ms: Sequence[float], percent: int) -> float:
    """Return the slowest sample that is left after the slowest `(100 - percent) %`, rounded down, are put aside.

    This is trtexec's rule (NVIDIA/TensorRT, samples/common/sampleReporting.cpp, `findPercentile`), in whole numbers.
    """
    return sorted(samples_ms)[max(len(samples_ms) - 1 - _beyond(len(samples_ms), percent), 0)]


def samples_for(percent: int) -> int:
    """Return the fewest samples of which one lies beyond a percentile.

    Raises:
        InputError: it is not one of `PERCENTILES`.
    """
    if percent not in PERCENTILES:
        known = ", ".join(map(str, PERCENTILES))
        raise InputError(f"percentile: got {percent}, expected one of {known}")
    return -(-100 // (100 - percent))


def _beyond(count: int, percent: int) -> int:
    return count * (100 - percent) // 100
