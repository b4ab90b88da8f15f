"""The export as a whole: gates, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

import edgevae
from edgevae.errors import InputError, ParityError
from edgevae.nn import load_checkpoint, save_checkpoint
from edgevae_export import verify
from edgevae_export.export import export_bundle, steps
from edgevae_export.own import OwnVae, model_name
from edgevae_export.precision import Peaks
from edgevae_export.runs import torch_runs
from edgevae_export.samples import samples


def test_an_export_writes_a_bundle_that_runs_and_says_what_was_measured(
    tiny_checkpoint, tmp_path, noise
):
    said: list[str] = []
    bundle, result = export_bundle(
        tiny_checkpoint,
        tmp_path / "out",
        precisions=("fp32",),
        chunk_frames=8,
        log_variance=True,
        step=said.append,
    )
    assert len(said) == steps(("fp32",))
    assert [t.name for t in bundle.graph("encoder", "fp32").outputs][:2] == [
        "latents",
        "log_variance",
    ]
    assert {c.sample for c in result.comparisons} == {"real", "noise", "black", "white"}
    assert {c.runner for c in result.comparisons} == {"onnxruntime", "whole clip"}
    report = json.loads(bundle.read("verification.json"))
    assert report["gates"]["fp32_latents"] == 3e-4
    assert max(c["latents_max_difference"] for c in report["comparisons"]) <= 3e-4
    with (
        edgevae.load(tmp_path / "out") as vae,
        edgevae.load(tiny_checkpoint.with_name("tiny-video.bundle")) as four,
    ):
        frames = noise(10, 20, 24, 3)
        assert vae.chunk_frames == 8
        assert abs(vae.encode(frames)[:3] - four.encode(frames)).max() <= 1e-5
        assert vae.reconstruct(frames).shape == frames.shape
    with pytest.raises(InputError, match="exists; give another path, or --overwrite"):
        export_bundle(tiny_checkpoint, tmp_path / "out")


def test_an_export_off_a_gate_is_an_error_and_leaves_nothing(tiny_checkpoint, tmp_path):
    gates = verify.Gates(fp32_latents=1e-12)
    image = tiny_checkpoint.with_name("tiny-image.checkpoint")
    with pytest.raises(
        ParityError,
        match=r"onnxruntime fp32 on real frames: latents differ by .*, expected at most 1e-12",
    ):
        export_bundle(image, tmp_path / "out", precisions=("fp32",), gates=gates)
    assert os.listdir(tmp_path) == []


def test_a_chunk_that_is_no_multiple_is_refused(tiny_checkpoint, tmp_path):
    with pytest.raises(
        InputError, match="chunk frames: got 6, expected a multiple of the temporal factor 4"
    ):
        export_bundle(tiny_checkpoint, tmp_path / "out", chunk_frames=6)


def half_comparison(vae, sample: str) -> tuple[verify.Comparison, dict[str, Peaks]]:
    clip = {sample: samples(chunk_frames=4)[sample][:8]}
    own, peaks = OwnVae(vae), {"encoder": Peaks(), "decoder": Peaks()}
    runs = torch_runs(own, precision="fp16", chunk_frames=4, peaks=peaks)
    reference = verify.references(own, clip, chunk_frames=4)[sample]
    return verify.compare(reference, runs, runner="pytorch", precision="fp16", sample=sample), peaks


def test_true_half_arithmetic_passes_the_gate_and_its_peak_is_reported(tiny_checkpoint):
    found, peaks = half_comparison(load_checkpoint(tiny_checkpoint), "noise")
    verify.check(found, verify.Gates())
    assert 0 < max(peaks["decoder"].outputs.values()) < 65504


@torch.no_grad()
def test_a_planted_overflow_in_half_precision_is_found(tiny_checkpoint, tmp_path):
    vae = load_checkpoint(tiny_checkpoint)
    # Values between two layers that fp32 holds easily and half does not.
    stem, block = vae.encoder.network.layers[0].conv, vae.encoder.network.layers[1]
    stem.weight *= 1e6
    stem.bias *= 1e6
    block.conv1.weight /= 1e6
    found, _ = half_comparison(vae, "noise")
    with pytest.raises(ParityError, match="pytorch fp16 on noise frames: latents differ by nan"):
        verify.check(found, verify.Gates())
    save_checkpoint(vae, tmp_path / "loud")
    assert load_checkpoint(tmp_path / "loud")


KILLED = """
import sys, time
from edgevae_export.export import export_bundle
def step(text):
    print(text, flush=True)
    if text == "write":
        time.sleep(60)
export_bundle(sys.argv[1], sys.argv[2], precisions=("fp32",), step=step)
"""


@pytest.mark.parametrize("last", ["export decoder fp32", "write"])
def test_an_export_that_is_killed_leaves_no_bundle(tiny_checkpoint, tmp_path, last):
    image = tiny_checkpoint.with_name("tiny-image.checkpoint")
    arguments = [sys.executable, "-c", KILLED, str(image), str(tmp_path / "out")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.strip() == last for line in process.stdout)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_whose_latents_were_not_measured_is_refused(own_checkpoint, tmp_path):
    path = own_checkpoint / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "latent_std": None}))
    with pytest.raises(
        InputError, match="no latent_mean and latent_std, so latents would have no unit scale"
    ):
        export_bundle(own_checkpoint, tmp_path / "out")


@pytest.mark.parametrize(
    ("folder", "name"), [("runs/street/checkpoint", "street"), ("street", "street")]
)
def test_a_model_is_named_by_its_run(folder, name, tmp_path):
    assert model_name(tmp_path / folder) == name
