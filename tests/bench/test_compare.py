"""Before and after: equal runs are called the same, a planted slowdown is found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevae.cli
from edgevae.errors import IncompatibleError
from edgevae_bench import document, samples
from edgevae_bench.compare import CONFIDENCE, compare
from edgevae_bench.samples import Sample
from edgevae_bench.subjects import REFERENCE

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above

OURS = "onnxruntime_fp32"


def drifting(
    seed: int,
    *,
    factor: float = 1.0,
    drift: float = 0.01,
    spread: float = 0.015,
    rounds: int = 30,
    starts: int = 10,
) -> list[Sample]:
    """Return samples of four subjects on a machine whose speed wanders, and whose every process has a speed of its own.

    Args:
        seed: Of all chance.
        factor: On the times of our backend.
        drift: Deviation of the machine's speed, each round near the one before.
        spread: Deviation of the speed of a process from that of another of the same subject.
        rounds: Of every subject.
        starts: Processes of every subject.
    """
    random = np.random.default_rng(seed)
    wander = np.zeros(rounds)
    for number in range(1, rounds):
        wander[number] = 0.7 * wander[number - 1] + random.normal(0, drift * 0.7)
    found = []
    for index, name in enumerate((*invented.SPEED, "tensorrt_fp16")):
        place = 1 + random.normal(0, spread, starts)
        for number in range(rounds):
            start = number * starts // rounds
            noise = 1 + np.abs(random.normal(0, 0.03, 8))
            ms = 10.0 * (index + 1) * (1 + wander[number]) * place[start] * noise
            ms *= factor if name == OURS else 1.0
            found.append(
                Sample(
                    case="640x360x1",
                    subject=name,
                    boundary="call",
                    arrays="host",
                    operation="encode",
                    start=start,
                    round=number,
                    ms=tuple(map(float, ms)),
                )
            )
    return found


def changes(before: list[Sample], after: list[Sample]) -> dict[str, set[str]]:
    """Return the verdicts of each subject's rows."""
    result = invented.result()
    found: dict[str, set[str]] = {}
    for change in compare((result, before), (result, after)).changes:
        found.setdefault(change.key.subject, set()).add(change.verdict)
    return found


def test_two_equal_runs_are_not_called_different_20_times_of_20():
    for seed in range(20):
        verdicts = changes(drifting(2 * seed), drifting(2 * seed + 1))
        assert set.union(*verdicts.values()) == {"same"}, seed


def test_it_is_the_starts_that_are_counted_and_not_the_samples_of_one():
    """Processes 5 % apart, each steady to 0.1 %: a thousand samples of five of them are five figures."""
    different = 0
    for seed in range(20):
        before, after = (
            drifting(2 * seed + i, drift=0.001, spread=0.05, rounds=60, starts=5) for i in (0, 1)
        )
        different += set.union(*changes(before, after).values()) != {"same"}
    assert different <= 3  # 1 is what 95 % promise; of samples it would be all


def test_a_planted_slowdown_of_5_percent_is_found_and_nothing_else():
    for seed in range(5):
        verdicts = changes(
            drifting(100 + seed, drift=0.005, spread=0.005),
            drifting(200 + seed, factor=1.05, drift=0.005, spread=0.005),
        )
        assert verdicts.pop(OURS) == {"slower"}
        assert set.union(*verdicts.values()) == {"same"}


def test_what_became_faster_is_said_too():
    verdicts = changes(
        drifting(1, drift=0.005, spread=0.005), drifting(2, factor=0.9, drift=0.005, spread=0.005)
    )
    assert verdicts[OURS] == {"faster"}


def test_a_machine_that_is_slower_today_is_no_regression():
    slow = [
        replace(s, ms=tuple(1.2 * ms for ms in s.ms))
        for s in drifting(2, drift=0.005, spread=0.005)
    ]
    verdicts = changes(drifting(1, drift=0.005, spread=0.005), slow)
    assert set.union(*verdicts.values()) == {"moved with the others"}


def test_a_control_that_moves_alone_is_called_different():
    eager = [
        replace(s, ms=tuple(1.2 * ms for ms in s.ms)) if s.subject == REFERENCE else s
        for s in drifting(2, drift=0.005, spread=0.005)
    ]
    verdicts = changes(drifting(1, drift=0.005, spread=0.005), eager)
    assert verdicts.pop(REFERENCE) == {"slower"}
    assert set.union(*verdicts.values()) == {"same"}


def test_the_control_of_a_call_with_numpy_arrays_is_not_one_with_arrays_on_a_gpu():
    """On a GPU there are both; here all of PyTorch became slower with arrays on the device, and we on the host."""
    quiet = {"drift": 0.005, "spread": 0.005}
    host = drifting(1, **quiet), drifting(2, factor=1.1, **quiet)
    device = [[replace(s, arrays="device") for s in drifting(seed, **quiet)] for seed in (3, 4)]
    torch = [
        replace(s, ms=tuple(1.2 * ms for ms in s.ms)) if s.subject.startswith("pytorch") else s
        for s in device[1]
    ]
    assert changes(host[0] + device[0], host[1] + torch)[OURS] == {"slower", "same"}


def test_rows_of_few_starts_are_never_called_different_however_far_apart():
    few = changes(drifting(1, starts=3), drifting(2, starts=3, factor=2.0))
    assert few[OURS] == {"too few starts"}
    assert changes(drifting(1, starts=5), drifting(2, starts=5, factor=2.0))[OURS] == {"slower"}
    assert set.union(*changes(drifting(1, starts=1), drifting(1, starts=1)).values()) == {"same"}


def test_a_row_is_different_by_chance_as_often_as_the_test_of_mann_and_whitney_says():
    """The interval leaves 1 out where scipy's exact test has a p below the row's share of the doubt, and only there."""
    stats = pytest.importorskip("scipy.stats")
    outside = 0
    for seed in range(20):
        before = drifting(2 * seed, starts=5, drift=0.001)
        after = drifting(2 * seed + 1, starts=7, factor=1.02, drift=0.001)
        found = compare((invented.result(), before), (invented.result(), after)).changes
        for change in found:
            old, new = (
                [np.median(ms) for ms in samples.by_start(side)[change.key].values()]
                for side in (before, after)
            )
            p = stats.mannwhitneyu(old, new, method="exact").pvalue
            is_outside = not change.low_ratio <= 1 <= change.high_ratio
            assert is_outside == (p <= (1 - CONFIDENCE) / len(found))
            outside += is_outside
    assert outside > 2


def test_a_disturbed_start_hides_no_slowdown():
    after = drifting(2, factor=1.05, drift=0.005, spread=0.005)
    disturbed = [
        replace(s, ms=tuple(1.5 * ms for ms in s.ms)) if s.start == 3 else s for s in after
    ]
    verdicts = changes(drifting(1, drift=0.005, spread=0.005), disturbed)
    assert verdicts.pop(OURS) == {"slower"}
    assert set.union(*verdicts.values()) == {"same"}


def test_rows_and_machines_that_differ_are_said():
    result, other = invented.result(), invented.result()
    machine = replace(other.environment, cpu_name="Another", usable_cores=64)
    found = compare(
        (result, drifting(1)),
        (replace(other, environment=machine), [s for s in drifting(2) if s.subject == OURS]),
    )
    assert {change.key.subject for change in found.changes} == {OURS}
    assert "pytorch_eager_fp32 640x360x1 call/host encode" in found.only_before
    assert any(text.startswith("cpu: Invented CPU") for text in found.differences)
    assert "usable cores: 4 before, 64 after" in found.differences


def test_results_without_a_common_row_are_refused():
    with pytest.raises(IncompatibleError, match="no row in common"):
        compare((invented.result(), drifting(1)), (invented.result(), []))


@pytest.fixture
def files(tmp_path):
    """A result before and one after, in which our backend is 8 % slower."""
    paths = []
    for name, slower in (("before", {}), ("after", {OURS: 1.08})):
        path = tmp_path / f"{name}.json"
        document.write_json(invented.result(slower=slower), path)
        samples.append(document.samples_path(path), invented.samples(3, slower=slower))
        paths.append(path)
    return paths


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["edgevae", "benchmark", "compare", *map(str, arguments)])
    try:
        edgevae.cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_the_command_prints_a_table_and_then_one_line_of_json(files, monkeypatch, capsys):
    assert run(monkeypatch, *files) == 0
    text = capsys.readouterr().out
    assert "+8.0 %" in text
    found = json.loads(text.splitlines()[-1])
    slower = {c["key"]["subject"] for c in found["changes"] if c["verdict"] == "slower"}
    assert slower == {OURS}


def test_a_slower_backend_of_ours_is_exit_code_3_where_that_is_asked_for(
    files, monkeypatch, capsys
):
    assert run(monkeypatch, *files, "--fail-if-slower", "--json") == 3
    assert "compare: slower: onnxruntime_fp32 640x360x1" in capsys.readouterr().err
    assert run(monkeypatch, files[0], files[0], "--fail-if-slower") == 0


def test_a_gate_that_could_not_close_is_refused(tmp_path, monkeypatch, capsys):
    """Results of one start, as they were before there were starts: 3 times as slow is `too few starts`."""
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, slower in zip(paths, ({}, {OURS: 3.0}), strict=True):
        document.write_json(invented.result(slower=slower), path)
        taken = [replace(s, start=0) for s in invented.samples(3, slower=slower)]
        samples.append(document.samples_path(path), taken)
    assert run(monkeypatch, *paths) == 0
    assert "0 of 72 rows differ, of 72 no difference could be told" in capsys.readouterr().out
    assert run(monkeypatch, *paths, "--fail-if-slower") == 4
    assert "none could be told slower, their starts are too few" in capsys.readouterr().err


def test_a_run_that_was_broken_off_is_said_to_be(files, monkeypatch, capsys):
    document.write_json(replace(invented.result(), is_complete=False), files[1])
    assert run(monkeypatch, *files) == 0
    assert "differs: whole run: True before, False after" in capsys.readouterr().out


def test_a_result_without_its_samples_is_refused(files, monkeypatch, capsys):
    document.samples_path(files[1]).unlink()
    assert run(monkeypatch, *files) == 4
    assert "after.samples.jsonl" in capsys.readouterr().err


def test_samples_of_another_run_are_refused(files, monkeypatch, capsys):
    path = document.samples_path(files[1])
    path.write_text("\n".join(path.read_text().splitlines()[1:]) + "\n")
    assert run(monkeypatch, *files) == 4
    assert "expected the 96 of after.json; keep each" in capsys.readouterr().err
