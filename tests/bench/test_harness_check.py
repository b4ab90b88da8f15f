"""The check of the benchmark itself runs; what it finds is a matter of the machine and no test."""

from __future__ import annotations

import math

import pytest

from edgevae_bench import harness_check
from edgevae_bench.plan import Plan


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """One pair of sessions, two turns."""
    monkeypatch.setattr(harness_check, "SESSIONS", 1)
    monkeypatch.setattr(harness_check, "ROUNDS", 2)


def test_each_check_gives_a_figure_and_its_limit_and_the_planted_pause_comes_last(
    tiny_bundle, video
):
    plan = Plan(
        bundle=tiny_bundle,
        checkpoint=None,
        video=video,
        threads=1,
        sizes_px=((40, 56),),
        backends=("onnxruntime",),
        boundaries=("call",),
        max_frames=8,
        rounds=1,
        starts=1,
        max_warm_up_turns=1,
        max_chunks=2,
    )
    found = {c.name: c for c in harness_check.checks(plan, times=1, size_px=(40, 56))}
    assert list(found) == [
        "call_overhead_us",
        "graph_ratio",
        "equal_runs_called_different",
        "pause_found_in",
    ]
    assert math.isfinite(found["call_overhead_us"].found)
    assert found["graph_ratio"].found > -1
    # One start in each run can show nothing, neither what is wrong nor what is right.
    assert (found["equal_runs_called_different"].found, found["pause_found_in"].found) == (0, [])
    assert not found["pause_found_in"].is_passed
