"""The benchmark of the GPU backends on the CPU: the same processes, turns and report, with PyTorch and ONNX Runtime."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgevae.errors import (  # after the check that PyTorch is here
    EdgeVaeError,
    IncompatibleError,
    InputError,
    UnavailableError,
)
from edgevae_bench.baseline import TorchCodec
from edgevae_bench.baseline_place import TorchPlace
from edgevae_bench.baseline_session import COMPILE
from edgevae_bench.clip import Clip
from edgevae_bench.gpu import plan as plans
from edgevae_bench.gpu import report
from edgevae_bench.gpu.child import Job
from edgevae_bench.gpu.figures import lines, may_compare
from edgevae_bench.gpu.place import HostPlace
from edgevae_bench.gpu.plan import REFERENCE, GpuPlan
from edgevae_bench.gpu.process import SubjectProcess
from edgevae_bench.gpu.result import Parity
from edgevae_bench.gpu.run import run
from edgevae_bench.gpu.turns import Turns

ROOT = Path(__file__).parents[2]
FRAMES = 8
"""Two chunks of the tiny model."""


@pytest.fixture
def plan(tiny_bundle, tiny_checkpoint, video):
    """Two chunks of a tiny clip on the CPU, two rounds."""
    return GpuPlan(
        bundle=tiny_bundle,
        checkpoint=tiny_checkpoint,
        clip=Clip(path=str(video), max_frames=None, size_px=(40, 56)),
        device="cpu",
        threads=1,
        chunks=2,
        rounds=2,
        max_warm_up_turns=4,
        only=("onnxruntime_fp32",),
    )


@pytest.fixture
def job(plan, tmp_path):
    subject = plan.subjects(chunk_frames=4)[-1]
    return Job(subject=subject, clip=plan.clip, chunks=2, arrays=str(tmp_path / "arrays.npz"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `python -m edgevae_bench.gpu --device cpu` prints and writes."""
    output = tmp_path_factory.mktemp("gpu") / "result.json"
    assets = ROOT / "tests" / "assets"
    command = [sys.executable, "-m", "edgevae_bench.gpu", "--device", "cpu", "-o", output]
    command += ["--model", assets / "tiny-video.bundle", "--size", "64x48", "--rounds", "2"]
    command += ["--checkpoint", assets / "tiny-video.checkpoint", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(output.read_text())


def test_every_subject_is_timed_at_both_boundaries_and_compared_with_the_reference(found):
    _, document = found
    rows = {row["subject"]["name"]: row for row in document["found"]["rows"]}
    assert list(rows) == [REFERENCE, "pytorch_channels_last", "onnxruntime_fp32"]
    for name, row in rows.items():
        assert row["status"] == "measured"
        assert {key: len(values) for key, values in row["samples_ms"].items()} == dict.fromkeys(
            ["device encode", "device decode", "call encode", "call decode"], 8
        )
        if name != REFERENCE:
            assert row["parity"]["psnr_db"] is None or row["parity"]["psnr_db"] > 60
            assert row["parity"]["latents_max_difference"] < 1e-4
    assert rows[REFERENCE]["facts"]["torch_loaded"]
    assert not rows["onnxruntime_fp32"]["facts"]["torch_loaded"]


def test_a_ratio_is_the_quotient_of_two_medians(found):
    summary = {(i["subject"], i["boundary"], i["operation"]): i for i in found[1]["summary"]}
    base = summary[REFERENCE, "device", "decode"]["latency"]["median_ms"]
    line = summary["onnxruntime_fp32", "device", "decode"]
    assert line["speedup_ratios"][REFERENCE] == pytest.approx(
        base / line["latency"]["median_ms"], rel=1e-4
    )


def test_tables_come_first_and_a_line_of_json_comes_last(found):
    text, document = found
    last = json.loads(text.splitlines()[-1])
    assert last["schema"] == "edgevae-gpu-benchmark"
    assert last["summary"] == document["summary"]
    assert "samples_ms" not in last["found"]["rows"][0]
    assert "Boundary device" in text


def test_the_result_tells_nothing_of_where_things_lie(found):
    assert str(ROOT) not in json.dumps(found[1])


def test_a_run_that_is_broken_off_goes_on_where_it_was(plan, tmp_path):
    output, rounds = tmp_path / "result.json", []

    def stop_after_a_round(found):
        report.write_json(found, output)
        if all(row.turns(2) for row in found.rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan, before=None, save=stop_after_a_round)
    before = report.read_json(output)
    assert [row.turns(2) for row in before.rows] == [1, 1]
    found = run(plan, before=before, save=rounds.append)
    assert found.is_complete
    for row, earlier in zip(found.rows, before.rows, strict=True):
        kept = earlier.samples_ms["device encode"]
        assert row.turns(2) == 2
        assert row.samples_ms["device encode"][: len(kept)] == pytest.approx(kept, rel=1e-4)
    report.write_json(found, output)
    assert report.read_json(output) is None


def test_a_result_of_another_setting_is_not_gone_on_with(plan, tmp_path):
    plan = replace(plan, rounds=1)
    before = run(plan, before=None, save=lambda found: None)
    said = []
    other = replace(plan, clip=replace(plan.clip, size_px=(32, 32)))
    found = run(other, before=before, save=lambda found: None, say=said.append)
    assert "the earlier result is of another setting: measured anew" in said
    assert [row.turns(2) for row in found.rows] == [1, 1]


def test_one_by_one_measures_the_same(plan):
    found = run(replace(plan, interleaved=False, rounds=1), before=None, save=lambda found: None)
    assert [row.turns(2) for row in found.rows] == [1, 1]
    assert "one after the other" in report.to_text(found)


def test_a_backend_that_is_not_here_is_a_row_with_its_reason(plan, monkeypatch):
    rows = (("tensorrt_fp16", "runtime", "tensorrt", "fp16", True), *plans._CPU)
    monkeypatch.setattr(plans, "_CPU", rows)
    found = run(replace(plan, rounds=1, only=()), before=None, save=lambda found: None)
    row = next(r for r in found.rows if r.subject.name == "tensorrt_fp16")
    assert row.status == "failed"  # asked for on the CPU, which is an impossible pair
    assert "needs an NVIDIA GPU" in row.reason
    assert [r.status for r in found.rows if r is not row] == ["measured"] * 3
    assert row.reason in report.to_text(found)


def test_where_nothing_of_ours_runs_the_run_fails_after_saving(plan, monkeypatch):
    monkeypatch.setattr(plans, "_CPU", plans._CPU[:1])
    saved = []
    with pytest.raises(UnavailableError, match=r"no backend of edgevae's"):
        run(replace(plan, rounds=1, only=()), before=None, save=saved.append)
    assert saved[-1].rows[0].turns(2) == 1


def test_a_process_that_is_killed_says_how_it_ended(job):
    with SubjectProcess(job) as process:
        process.ask("warm_up", max_turns=4)
        os.kill(process._process.pid, signal.SIGKILL)
        with pytest.raises(EdgeVaeError, match=r"onnxruntime_fp32: its process ended with SIGKILL"):
            process.ask("turn", boundary="call")


def test_a_process_that_does_not_answer_is_ended(job, monkeypatch):
    monkeypatch.setattr("edgevae_bench.gpu.process.ANSWER_S", 0.0)
    with (
        SubjectProcess(job) as process,
        pytest.raises(EdgeVaeError, match=r"no answer within 0 s"),
    ):
        process.ask("warm_up", max_turns=10_000)


def test_an_error_of_the_subject_is_its_reason(job):
    gone = replace(job, subject=replace(job.subject, path="/nowhere"))
    with pytest.raises(EdgeVaeError, match=r"onnxruntime_fp32: /nowhere: no such path"):
        SubjectProcess(gone)


def test_no_ratio_between_other_precisions_or_other_frames(plan):
    found = run(replace(plan, rounds=1), before=None, save=lambda found: None)
    base, same = found.rows
    off = Parity(psnr_db=39.9, max_levels=9, latents_max_difference=1.0)
    half = replace(same, subject=replace(same.subject, precision="fp16"))
    assert may_compare(same, base)
    assert not may_compare(half, base)
    assert not may_compare(replace(same, parity=off), base)
    without = lines(replace(found, rows=(base, replace(same, parity=off))))
    assert all(not line.speedup_ratios for line in without if line.subject == same.subject.name)


def test_tensors_give_what_numpy_arrays_give(tiny_checkpoint, frames):
    codec = TorchCodec(tiny_checkpoint, variant="channels_last", chunk_frames=4, threads=1)
    chunks = [frames[:4, :40, :56], frames[4:8, :40, :56]]
    on_host = Turns(codec, HostPlace(), chunks).once()
    on_device = Turns(codec, TorchPlace("cpu"), chunks).once()
    for host, device in zip(on_host, on_device, strict=True):
        assert np.array_equal(host, device)
    laps = Turns(codec, TorchPlace("cpu"), chunks).turn()
    assert [len(laps[op]) for op in ("encode", "decode")] == [2, 2]


def test_half_precision_keeps_frames_and_latents_at_the_boundary(tiny_checkpoint, frames):
    chunks = [frames[:4, :40, :56], frames[4:8, :40, :56]]
    results = []
    for precision in ("fp32", "fp16"):
        codec = TorchCodec(
            tiny_checkpoint, variant="channels_last", chunk_frames=4, threads=1, precision=precision
        )
        results.append(Turns(codec, TorchPlace("cpu"), chunks).once())
    (latents, decoded), (half_latents, half_decoded) = results
    assert (half_latents.dtype, half_decoded.dtype) == (np.float32, np.uint8)
    assert 0 < np.abs(half_latents - latents).max() < 3e-2
    assert np.abs(half_decoded.astype(int) - decoded).max() <= 8


def test_the_modules_compile_as_a_whole(tiny_checkpoint, frames, monkeypatch):
    """Dynamo's part; the kernels of its own backend take a compiler and a minute."""
    monkeypatch.setitem(
        COMPILE, "compile", {"fullgraph": True, "dynamic": False, "backend": "eager"}
    )
    chunks = [frames[:4, :40, :56], frames[4:8, :40, :56]]
    results = [
        Turns(
            TorchCodec(tiny_checkpoint, variant=variant, chunk_frames=4, threads=1),
            TorchPlace("cpu"),
            chunks,
        ).once()
        for variant in ("channels_last", "compile")
    ]
    for eager, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, eager, atol=1e-5)


def test_plans_that_cannot_be_are_refused(plan):
    with pytest.raises(InputError, match=r"chunks: got 3, expected an even number"):
        replace(plan, chunks=3)
    with pytest.raises(
        InputError, match=r"--only: got tensorrt_fp16, expected one of pytorch_fp32"
    ):
        replace(plan, only=("tensorrt_fp16",))
    odd = replace(plan, clip=replace(plan.clip, size_px=(42, 60)))
    with pytest.raises(InputError, match=r"size: got 60x42, expected multiples of 8"):
        run(odd, before=None, save=lambda found: None)


def test_a_file_of_something_else_is_not_written_over(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"schema": "edgevae-benchmark"}')
    with pytest.raises(IncompatibleError, match=r"not a result of this benchmark"):
        report.read_json(path)
    assert report.read_json(tmp_path / "none.json") is None


def test_without_a_gpu_it_is_one_line_and_exit_code_5(tmp_path):
    if any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/nvgpu")):
        pytest.skip("there is a GPU here")
    command = [sys.executable, "-m", "edgevae_bench.gpu", "-o", tmp_path / "result.json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 5
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no NVIDIA driver" in done.stderr


@pytest.mark.slow
def test_the_gpus_side_runs_on_the_simulated_device(tmp_path, tiny_bundle, tiny_checkpoint):
    """Events, device arrays and bare engines; times of a simulation mean nothing."""
    spec = importlib.util.spec_from_file_location(
        "running", ROOT / "tests" / "simulator" / "running.py"
    )
    running = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(running)
    if running.why_not() or importlib.util.find_spec("cuda") is None:
        pytest.skip(running.why_not() or "cuda-bindings is not installed")
    driver = running.compile_driver(tmp_path / "driver")
    output = tmp_path / "result.json"
    command = [sys.executable, "-m", "edgevae_bench.gpu", "--size", "64x48", "--rounds", "2"]
    command += ["--model", tiny_bundle, "--checkpoint", tiny_checkpoint, "-o", output]
    command += ["--only", "tensorrt_fp16", "--only", "tensorrt_fp16_no_graph"]
    environment = running.environment(driver, DEVICE=1, MEMORY_MIB=1024, DELAY_US=20)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | {"EDGEVAE_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    reference, *rows = json.loads(output.read_text())["found"]["rows"]
    assert reference["status"] == "missing"
    assert "sees no GPU" in reference["reason"]
    for row in rows:
        assert row["status"] == "measured"
        assert row["facts"]["boundaries"] == ["call", "device", "bare"]
        assert row["facts"]["device_peak_bytes"] > 0
        assert len(row["samples_ms"]["bare encode"]) == 8
    summary = json.loads(output.read_text())["summary"]
    assert {i["subject"] for i in summary if i["overhead_ratio"] is not None} == {
        "tensorrt_fp16",
        "tensorrt_fp16_no_graph",
    }
