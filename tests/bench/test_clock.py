"""The clock: the order of turns, when times are steady, and when a process is quiet. No test asserts a time."""

from __future__ import annotations

import pytest

from edgevae_bench.clock import SETTLE_MAX_S, SETTLE_STEP_S, is_steady, order, settle


def test_every_subject_comes_once_in_every_round_in_changing_order():
    rounds = [order("abc", number=number, seed=1) for number in range(20)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 3


def test_the_seed_decides_the_order_of_every_round_by_itself():
    assert order("abcdef", number=7, seed=1) == order("abcdef", number=7, seed=1)
    assert [order("abcdef", number=n, seed=1) for n in range(5)] != [
        order("abcdef", number=n, seed=2) for n in range(5)
    ]


@pytest.mark.parametrize(
    ("totals", "steady"),
    [
        ([900, 500, 300, 110, 100, 100, 100, 100, 100], True),
        ([900, 500, 300, 110, 100, 100], False),
        ([1000 + 200 * i for i in range(10)], False),
        ([100, 100, 100, 100], True),
        ([100, 100, 100], False),
        ([], False),
    ],
)
def test_times_are_steady_when_two_windows_agree(totals, steady):
    assert is_steady(totals) is steady


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


def test_an_idle_process_waits_one_step(monkeypatch):
    process = Process(monkeypatch, busy_until_s=0.0)
    assert settle() is True
    assert process.wall == SETTLE_STEP_S


def test_waiting_for_idleness_is_bounded(monkeypatch):
    process = Process(monkeypatch, busy_until_s=1e9)
    assert settle() is False
    assert process.wall < SETTLE_MAX_S + 2 * SETTLE_STEP_S
