"""Statistics of samples: all of them, by trtexec's rule. No test asserts a time."""

from __future__ import annotations

import statistics

import pytest

from edgevae.errors import InputError
from edgevae_bench.latency import percentile_ms, samples_for, summarise


def test_statistics_are_of_all_samples():
    latency = summarise([3.0, 1.0, 2.0, 1000.0])
    assert (latency.n, latency.median_ms, latency.mean_ms) == (4, 2.5, 251.5)
    assert (latency.min_ms, latency.max_ms) == (1.0, 1000.0)
    assert latency.std_ms == pytest.approx(statistics.stdev([3, 1, 2, 1000]))
    assert latency.cv_ratio == pytest.approx(latency.std_ms / 251.5)


def test_one_sample_has_no_deviation():
    latency = summarise([5.0])
    assert (latency.median_ms, latency.std_ms, latency.p99_ms) == (5.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (100, 99, 99),
        (100, 95, 95),
        (100, 90, 90),
        (100, 50, 50),
        (10, 90, 9),
        (9, 90, 9),
        (1000, 99, 990),
        (1, 50, 1),
    ],
)
def test_a_percentile_is_the_sample_left_after_the_slowest_part_is_put_aside(
    count, percent, expected
):
    assert percentile_ms([float(i) for i in range(count, 0, -1)], percent) == expected


@pytest.mark.parametrize(
    ("count", "flagged"),
    [(100, ()), (99, (99,)), (19, (95, 99)), (9, (90, 95, 99)), (1, (50, 90, 95, 99))],
)
def test_percentiles_beyond_which_no_sample_lies_are_flagged(count, flagged):
    assert summarise([1.0] * count).undersampled_percentiles == flagged


@pytest.mark.parametrize("percent", [50, 90, 95, 99])
def test_the_samples_asked_for_a_percentile_are_just_enough(percent):
    count = samples_for(percent)
    assert percent not in summarise([1.0] * count).undersampled_percentiles
    assert percent in summarise([1.0] * (count - 1)).undersampled_percentiles


def test_no_sample_and_unknown_percentiles_are_errors():
    with pytest.raises(InputError, match="got no sample"):
        summarise([])
    with pytest.raises(InputError, match="percentile: got 98, expected one of 50, 90, 95, 99"):
        samples_for(98)
