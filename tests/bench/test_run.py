"""A whole benchmark on a tiny model: every subject in a process of its own, in turns, at every boundary."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from edgevae.errors import IncompatibleError, InputError, UnavailableError
from edgevae_bench import document, samples
from edgevae_bench.energy import CounterMeter
from edgevae_bench.plan import Plan
from edgevae_bench.process_memory import STATUS
from edgevae_bench.result import Gates
from edgevae_bench.run import run
from edgevae_bench.selection import BACKENDS, select
from edgevae_bench.subjects import REFERENCE

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above

ROOT = Path(__file__).parents[2]
OURS = "onnxruntime_fp32"
MIB = 1 << 20


@pytest.fixture
def plan(tiny_bundle, video):
    """The runtime alone, two rounds of two chunks by one process, without ceilings."""
    return Plan(
        bundle=tiny_bundle,
        checkpoint=None,
        video=video,
        threads=1,
        sizes_px=((40, 56),),
        max_frames=8,
        rounds=2,
        starts=1,
        max_warm_up_turns=1,
        boundaries=("call", "stream"),
    )


@pytest.fixture(scope="module")
def full(video, tmp_path_factory):
    """What a run with PyTorch, all boundaries, two sizes and a batch finds, and where it lies."""
    pytest.importorskip("torch")
    assets = ROOT / "tests" / "assets"
    output = tmp_path_factory.mktemp("full") / "result.json"
    plan = Plan(
        bundle=assets / "tiny-video.bundle",
        checkpoint=assets / "tiny-video.checkpoint",
        video=video,
        threads=1,
        sizes_px=((40, 56),),
        batches=(1, 2),
        backends=("pytorch_eager", "auto"),
        rounds=2,
        max_warm_up_turns=1,
        output=output,
    )
    return run(plan), output


def test_every_subject_is_measured_at_every_boundary(full):
    result = full[0].result
    assert result.is_complete
    assert [row.subject.name for row in result.subjects] == [REFERENCE, OURS] * 2
    rows = {
        (r.work.batch_clips, r.subject, r.work.boundary, r.work.operation): r
        for r in result.latency
    }
    operations = ("encode", "decode", "round_trip")
    for name in (REFERENCE, OURS):
        for operation in operations:
            for boundary, n in (("graph", 4), ("call", 4), ("stream", 4), ("file", 2)):
                assert rows[1, name, boundary, operation].latency.n == n
            assert rows[2, name, "stream", operation].latency.n == 4
            assert (2, name, "file", operation) not in rows
    missing = {row.unmeasured.get("file") for row in result.subjects if row.case.batch_clips == 2}
    assert missing == {"file: a file is one clip; measured with batch 1 only"}


def test_frames_per_second_count_every_clip_of_a_batch(full):
    for row in full[0].result.latency:
        frames = row.work.sample_frames * row.work.batch_clips
        assert row.frames_per_s == pytest.approx(frames / row.latency.mean_ms * 1e3)
        assert row.megapixels_per_s == pytest.approx(row.frames_per_s * 40 * 56 / 1e6)


def test_ratios_to_pytorch_are_quotients_of_medians_of_equal_work(full):
    rows = {(r.subject, r.work): r for r in full[0].result.latency}
    for (name, work), row in rows.items():
        base = rows[REFERENCE, work]
        assert row.speedup_ratios[REFERENCE] == pytest.approx(
            base.latency.median_ms / row.latency.median_ms
        ), (name, work)


def test_reconstructions_are_compared_with_the_source_and_with_pytorch(full):
    rows = {(r.subject, r.against): r for r in full[0].result.quality if r.case.batch_clips == 1}
    assert set(rows) == {
        (REFERENCE, "source"),
        (OURS, "source"),
        (OURS, REFERENCE),
    }
    assert rows[OURS, REFERENCE].quality.max_levels <= 1
    assert rows[OURS, REFERENCE].latents_max_difference < 3e-4
    assert rows[OURS, "source"].quality.frames == 11
    assert {row.nonfinite_latents for row in rows.values()} == {0}
    assert "lpips" in rows[OURS, "source"].unavailable or rows[OURS, "source"].lpips is not None


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_every_process_has_only_what_its_subject_needs(full):
    for row in full[0].result.subjects:
        assert row.cost.torch_loaded is (row.subject.kind == "pytorch")
        assert 10 * MIB < row.cost.rss_before_import_bytes < row.cost.peak_rss_bytes
        assert min(row.cost.import_ms, row.cost.load_ms, row.cost.first_call_ms) > 0
        if row.subject.kind == "runtime":
            assert row.cost.peak_rss_bytes < 400 * MIB


def test_the_work_of_the_graphs_is_counted_and_held_against_the_machine(full):
    result = full[0].result
    (ceiling,) = result.ceilings
    assert ceiling.compute_gflop_per_s > 1
    assert ceiling.bandwidth_gb_per_s > 0.1
    one, two = (
        next(r.artefact.graphs for r in result.subjects if r.case.batch_clips == b) for b in (1, 2)
    )
    for single, double in zip(one, two, strict=True):
        assert double.gflop == pytest.approx(2 * single.gflop)
        assert single.layer_types["Conv"] > 0
    for row in result.latency:
        assert (row.roofline_ratio is not None) == (row.work.boundary == "graph")


def test_the_document_on_the_disk_has_every_sample(full):
    found, output = full
    written = document.read_json(output)
    assert written.samples_file == "result.samples.jsonl"
    taken = samples.by_row(samples.read(document.samples_path(output)))
    assert len(taken) == len(written.latency)
    assert sorted(map(len, taken.values())) == sorted(r.latency.n for r in written.latency)
    assert str(ROOT) not in output.read_text()
    assert found.shown_subject == OURS
    assert [one.title for one in found.shown] == ["first", "worst", "last"]


def test_a_run_that_is_broken_off_goes_on_where_it_was(plan, tmp_path):
    output = tmp_path / "result.json"

    def stop(what, done, of):
        assert of == 2
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(replace(plan, output=output), progress=stop)
    before = samples.read(document.samples_path(output))
    assert not document.read_json(output).is_complete
    assert {s.round for s in before} == {0}
    with pytest.raises(InputError, match=r"broken off; go on with --resume"):
        run(replace(plan, output=output))
    with pytest.raises(IncompatibleError, match="is of another settings"):
        run(replace(plan, output=output, is_resumed=True, seed=1))
    found = run(replace(plan, output=output, is_resumed=True)).result
    after = samples.read(document.samples_path(output))
    assert after[: len(before)] == before
    assert {s.round for s in after} == {0, 1}
    assert found.is_complete
    assert found.subjects[0].turns == 2


def test_every_start_is_a_new_process_that_takes_its_share_of_the_rounds(plan, tmp_path):
    output = tmp_path / "result.json"
    found = run(replace(plan, rounds=5, starts=2, output=output, boundaries=("call", "file")))
    taken = samples.read(document.samples_path(output))
    assert {s.start: {r.round for r in taken if r.start == s.start} for s in taken} == {
        0: {0, 1},
        1: {2, 3, 4},
    }
    row = found.result.subjects[0]
    assert (row.turns, row.warm_up_turns) == (5, 2)
    assert len(found.result.quality) == 1  # of the first process alone


def test_the_rest_of_a_start_that_was_broken_off_is_a_start_of_its_own(plan, tmp_path):
    asked = replace(plan, rounds=4, starts=2, output=tmp_path / "result.json")

    def stop(what, done, of):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, progress=stop)
    run(replace(asked, is_resumed=True))
    taken = samples.read(document.samples_path(asked.output))
    assert [(s.start, s.round) for s in taken if s.boundary == "call"][::2] == [
        (0, 0),
        (0, 1),
        (1, 2),
        (2, 3),
    ]


def test_what_was_broken_off_while_it_was_weighed_is_weighed_by_the_run_that_goes_on(
    plan, tmp_path, monkeypatch
):
    meter = CounterMeter("a clock, one watt", time.perf_counter)
    monkeypatch.setattr("edgevae_bench.run.find_meter", lambda nvml, is_gpu: meter)
    monkeypatch.setattr("edgevae_bench.weighing.ENERGY_S", 0.01)
    monkeypatch.setattr("edgevae_bench.weighing.IDLE_S", 0.01)
    asked = replace(plan, rounds=1, boundaries=("stream",), output=tmp_path / "result.json")

    def stop(what, done, of):
        if what.startswith("energy"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, progress=stop)
    found = run(replace(asked, is_resumed=True)).result
    assert [row.work.operation for row in found.energy] == ["encode", "decode", "round_trip"]
    assert found.subjects[0].turns == 1


def test_a_run_that_finds_nothing_leaves_the_result_that_it_was_to_replace(plan, tmp_path):
    asked = replace(plan, rounds=1, boundaries=("stream",), output=tmp_path / "result.json")
    old = run(asked).result

    def stop(what, done, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(asked, progress=stop)
    result, taken = document.read_with_samples(asked.output)
    assert (result.created_utc, {s.round for s in taken}) == (old.created_utc, {0})


def test_a_subject_that_fails_in_its_second_start_keeps_the_figures_of_its_first(
    plan, tmp_path, monkeypatch
):
    both = replace(plan, backends=("onnxruntime",), precisions=("fp32", "fp16"), starts=2)
    chosen = replace(select(both), named=frozenset())
    monkeypatch.setattr("edgevae_bench.run.select", lambda plan: chosen)
    openings = []

    def kill(what, done, of):
        openings.append(what == "opening onnxruntime_fp16")
        if openings[-1] and sum(openings) == 2:
            (first,) = psutil.Process().children()
            first.kill()

    found = run(both, progress=kill)
    failed, whole = found.result.subjects
    assert (failed.status, whole.status) == ("failed", "measured")
    assert failed.reason == f"{OURS}: its process ended with SIGKILL"
    assert (failed.turns, whole.turns) == (1, 2)
    counts = {row.subject: row.latency.n for row in found.result.latency}
    assert counts == {OURS: 2, "onnxruntime_fp16": 4}
    assert found.shown_subject == OURS, "whose frames they are, though it failed later"


def test_turns_from_file_to_file_are_spread_over_the_run():
    settings = replace(invented.result().settings, rounds=10, file_rounds=5)
    assert [n for n in range(10) if settings.has_file_turn(n)] == [0, 2, 4, 6, 8]
    few = replace(settings, rounds=7, file_rounds=5)
    assert sum(map(few.has_file_turn, range(7))) == 5
    assert not any(map(replace(settings, file_rounds=0).has_file_turn, range(10)))


def test_more_starts_than_rounds_are_refused(plan):
    with pytest.raises(InputError, match=r"starts: got 3 for 2 rounds, expected at most one for"):
        run(replace(plan, starts=3))


def test_planted_slowness_is_in_the_samples(plan):
    found = run(replace(plan, rounds=1, pauses=((OURS, 20.0),))).result
    plain = run(replace(plan, rounds=1)).result
    ratio = found.latency[0].latency.min_ms / plain.latency[0].latency.min_ms
    assert ratio > 3


def test_a_backend_that_is_not_here_is_an_error_where_it_was_named_and_a_row_where_not(
    plan, monkeypatch
):
    if importlib.util.find_spec("openvino") is not None:
        pytest.skip("openvino is installed")
    with pytest.raises(UnavailableError, match=r"openvino_fp32: openvino: cannot be imported"):
        run(replace(plan, backends=("auto", "openvino")))
    found = run(replace(plan, backends=("all",), rounds=1)).result
    status = {row.subject.name: row.status for row in found.subjects}
    assert status == {OURS: "measured", "openvino_fp32": "missing", "openvino_bf16": "missing"}
    assert "pip install 'edgevae[openvino]'" in str(found.subjects[1].reason)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backends": ("tenserrt",)}, r"--backend: got 'tenserrt', expected one of auto, all, pyt"),
        ({"precisions": ("int4",)}, r"--precision: got 'int4', expected one of fp32, fp16, bf16"),
        ({"backends": ("pytorch_eager",)}, r"needs the checkpoint .* give --against"),
        ({"backends": ("tensorrt",), "device": "cpu"}, r"needs an NVIDIA GPU"),
        ({"backends": ("openvino",)}, r"--backend openvino: none of edgevae's own .*; add auto"),
        (
            {"backends": ("auto", "openvino"), "precisions": ("fp16",)},
            r"computes in fp32, bf16, not in",
        ),
        ({"threads": 5000}, r"threads: got 5000, expected at most"),
    ],
)
def test_plans_that_cannot_be_are_refused(plan, changes, message):
    with pytest.raises(InputError, match=message):
        run(replace(plan, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_chunks": 3}, r"chunks: got 3, expected an even number"),
        ({"rounds": 0}, r"rounds: got 0"),
        ({"starts": 0}, r"starts: got 0"),
        ({"percentile": 98}, r"percentile: got 98"),
        ({"is_resumed": True}, r"--resume: there is nothing"),
        (
            {"gates": Gates(max_p99_ms=1.0), "boundaries": ("stream",)},
            r"--max-p99-ms: is held against the boundary call",
        ),
        ({"boundaries": ("file",), "batches": (1, 2)}, r"--boundary file: a file is one clip, got"),
        ({"gates": Gates(max_p99_ms=0.0)}, r"--max-p99-ms: got 0.0, expected milliseconds above"),
        ({"gates": Gates(max_p99_ms=math.inf)}, r"--max-p99-ms: got inf"),
        ({"gates": Gates(min_psnr_db=math.nan)}, r"--min-psnr: got nan, expected a number of dB"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(plan, changes, message):
    with pytest.raises(InputError, match=message):
        replace(plan, **changes)


def test_the_rounds_are_enough_for_the_percentile(plan):
    asked = replace(plan, rounds=None)
    assert asked.rounds_of(8) == 10
    assert replace(asked, percentile=99).rounds_of(8) == 13
    assert replace(asked, percentile=99, rounds=3).rounds_of(8) == 3


def test_turns_from_file_to_file_are_few_unless_they_are_all_that_is_wanted(plan):
    asked = replace(plan, rounds=None, starts=None, boundaries=("call", "file"))
    assert asked.file_rounds_of(asked.rounds_of(8)) == 5
    alone = replace(asked, boundaries=("file",))
    assert (alone.rounds_of(8), alone.file_rounds_of(5)) == (5, 5)
    assert replace(alone, starts=8).rounds_of(8) == 8
    assert replace(alone, rounds=12).file_rounds_of(12) == 12


def test_a_checkpoint_is_measured_in_both_memory_formats_unless_one_is_named(plan, tiny_checkpoint):
    beside = replace(plan, checkpoint=tiny_checkpoint)
    names = [s.name for s in select(beside).subjects]
    assert names == [REFERENCE, "pytorch_channels_last_fp32", OURS]
    named = replace(beside, backends=("auto", "pytorch_compile"))
    assert [s.name for s in select(named).subjects] == [REFERENCE, "pytorch_compile_fp32", OURS]


def test_only_the_usual_precision_of_a_backend_is_asked_for_by_its_name(plan):
    both = replace(plan, backends=("auto", "openvino"))
    assert select(both).named == {OURS, "openvino_fp32"}
    asked = select(replace(both, precisions=("fp32", "bf16"))).named
    assert asked == {OURS, "openvino_fp32", "openvino_bf16"}


def test_every_backend_of_a_gpu_can_be_selected_by_name():
    assert {name for name, b in BACKENDS.items() if "cuda" in b.precisions} == set(BACKENDS) - {
        "openvino"
    }
