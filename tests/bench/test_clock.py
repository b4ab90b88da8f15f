"""The clock: order, statistics, warm-up. No test asserts a time."""

from __future__ import annotations

import statistics

import pytest

from edgevae.errors import InputError
from edgevae_bench.clock import (
    SETTLE_MAX_S,
    SETTLE_STEP_S,
    Timed,
    interleave,
    percentile_ms,
    settle,
    summarise,
    warm_up,
)

NS = 1_000_000


def recorded(calls: list[tuple[str, str, int]], name: str) -> Timed:
    return Timed(
        prepare=lambda number: calls.append((name, "prepare", number)),
        stages={
            stage: lambda number, stage=stage: calls.append((name, stage, number))
            for stage in ("encode", "decode")
        },
    )


def rounds_of(calls: list[tuple[str, str, int]], subjects: int) -> list[list[str]]:
    order = [name for name, stage, _ in calls if stage == "encode"]
    return [order[i : i + subjects] for i in range(0, len(order), subjects)]


def test_every_subject_runs_once_in_every_round_in_changing_order():
    calls: list[tuple[str, str, int]] = []
    interleave({name: recorded(calls, name) for name in "abc"}, rounds=20, seed=1)
    rounds = rounds_of(calls, 3)
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 3


def test_the_seed_decides_the_order():
    orders = []
    for seed in (1, 1, 2):
        calls: list[tuple[str, str, int]] = []
        interleave({name: recorded(calls, name) for name in "abc"}, rounds=20, seed=seed)
        orders.append(rounds_of(calls, 3))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_prepare_comes_before_the_stages_and_all_get_the_number_of_the_round():
    calls: list[tuple[str, str, int]] = []
    interleave({"a": recorded(calls, "a")}, rounds=2, seed=0)
    assert calls == [
        ("a", stage, number) for number in (0, 1) for stage in ("prepare", "encode", "decode")
    ]


def test_a_sample_is_kept_for_every_round_and_stage():
    samples = interleave({name: recorded([], name) for name in "ab"}, rounds=7, seed=0)
    assert {name: len(rows) for name, rows in samples.items()} == {"a": 7, "b": 7}
    assert all(len(row) == 2 and min(row) >= 0 for rows in samples.values() for row in rows)


def test_statistics_are_of_all_samples_in_their_order():
    latency = summarise([3 * NS, 1 * NS, 2 * NS, 1000 * NS])
    assert latency.samples_ms == (3.0, 1.0, 2.0, 1000.0)
    assert (latency.median_ms, latency.mean_ms) == (2.5, 251.5)
    assert (latency.min_ms, latency.max_ms) == (1.0, 1000.0)
    assert latency.std_ms == pytest.approx(statistics.stdev([3, 1, 2, 1000]))
    assert latency.cv_ratio == pytest.approx(latency.std_ms / 251.5)


def test_one_sample_has_no_deviation():
    latency = summarise([5 * NS])
    assert (latency.median_ms, latency.std_ms, latency.p99_ms) == (5.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [
        (100, 99, 99),
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
    ("count", "flagged"), [(100, ()), (99, (99,)), (10, (99,)), (9, (90, 99)), (1, (50, 90, 99))]
)
def test_percentiles_beyond_which_no_sample_lies_are_flagged(count, flagged):
    assert summarise([NS] * count).undersampled_percentiles == flagged


def test_no_sample_is_an_error():
    with pytest.raises(InputError, match="got no sample"):
        summarise([])


class Simulated:
    """A subject whose times follow a list: `time.perf_counter_ns` is replaced by its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times_ns: list[int]) -> None:
        self.now, self.times = 0, iter(times_ns)
        monkeypatch.setattr("edgevae_bench.clock.time.perf_counter_ns", lambda: self.now)
        self.timed = Timed(prepare=lambda number: None, stages={"work": lambda number: self.work()})

    def work(self) -> None:
        self.now += next(self.times)


def test_the_warm_up_ends_when_two_windows_agree(monkeypatch):
    simulated = Simulated(monkeypatch, [900, 500, 300, 110, 100, 100, 100, 100, 100, 100])
    warm = warm_up({"a": simulated.timed}, seed=0, max_rounds=30)
    assert (warm.rounds, warm.unsteady) == (9, ())


def test_the_warm_up_is_bounded_and_says_what_was_not_steady(monkeypatch):
    simulated = Simulated(monkeypatch, [1000 + 200 * i for i in range(20)])
    warm = warm_up({"a": simulated.timed}, seed=0, max_rounds=10)
    assert (warm.rounds, warm.unsteady) == (10, ("a",))


def test_no_warm_up_leaves_every_subject_unsteady():
    assert warm_up({"a": recorded([], "a")}, seed=0, max_rounds=0).unsteady == ("a",)


class Process:
    """A process that burns its core until a moment, seen through the functions of `time`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, busy_until_s: float) -> None:
        self.wall = self.used = 0.0
        self.busy_until = busy_until_s
        monkeypatch.setattr("edgevae_bench.clock.time.perf_counter", lambda: self.wall)
        monkeypatch.setattr("edgevae_bench.clock.time.process_time", lambda: self.used)
        monkeypatch.setattr("edgevae_bench.clock.time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.used += max(0.0, min(seconds, self.busy_until - self.wall))
        self.wall += seconds


def test_a_turn_waits_for_threads_that_still_spin(monkeypatch):
    process = Process(monkeypatch, busy_until_s=0.0603)
    assert settle() is True
    assert process.wall > 0.0603


def test_every_turn_waits_before_it_prepares(monkeypatch):
    calls: list[tuple[str, str, int]] = []
    monkeypatch.setattr("edgevae_bench.clock.settle", lambda: calls.append(("", "settle", 0)))
    interleave({name: recorded(calls, name) for name in "ab"}, rounds=3, seed=0)
    assert [stage for _, stage, _ in calls] == ["settle", "prepare", "encode", "decode"] * 6


def test_an_idle_process_waits_one_step(monkeypatch):
    process = Process(monkeypatch, busy_until_s=0.0)
    assert settle() is True
    assert process.wall == SETTLE_STEP_S


def test_waiting_for_idleness_is_bounded(monkeypatch):
    process = Process(monkeypatch, busy_until_s=1e9)
    assert settle() is False
    assert process.wall < SETTLE_MAX_S + 2 * SETTLE_STEP_S
