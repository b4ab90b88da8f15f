"""A VAE of diffusers on the PyTorch side: what was exported, and diffusers' own calls, do the runtime's work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers", reason="diffusers is in the diffusers extra")

from edgevae.errors import IncompatibleError, InputError  # noqa: E402
from edgevae_bench.baseline import open_torch_codec  # noqa: E402
from edgevae_bench.baseline_diffusers import LIBRARY  # noqa: E402
from edgevae_bench.checkpoint import is_of_diffusers, require_source  # noqa: E402
from edgevae_bench.plan import Plan  # noqa: E402
from edgevae_bench.selection import select  # noqa: E402
from edgevae_bench.subjects import REFERENCE  # noqa: E402
from edgevae_export.diffusers.small_models import make  # noqa: E402  # after the checks that its libraries are here


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small AutoencoderTiny as diffusers writes it, in a pipeline's folder."""
    path: Path = tmp_path_factory.mktemp("pipeline")
    make("tiny").save_pretrained(path / "vae")
    return path


@pytest.fixture
def plan(tiny_image_bundle, folder) -> Plan:
    """A bundle of an image model, and a checkpoint that it is not from."""
    clip = Path("clip.mp4")
    return Plan(bundle=tiny_image_bundle, checkpoint=folder, video=clip, threads=1)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_all_variants_give_what_diffusers_gives_for_one_picture(folder, frames, precision):
    vae, picture = make("tiny"), frames[:1, :40, :56]
    with torch.no_grad():
        pixels = torch.from_numpy(picture).permute(0, 3, 1, 2) / 127.5 - 1
        expected = vae.encode(pixels).latents
        pixels = vae.decode(expected).sample[0].permute(1, 2, 0)
    levels = (pixels * 127.5 + 127.5).clamp(0, 255).round().numpy()
    latents_off, frames_off = (1e-4, 1) if precision == "fp32" else (3e-2, 8)
    for variant in ("eager", "channels_last", LIBRARY):
        codec = open_torch_codec(
            folder, variant=variant, chunk_frames=1, threads=1, precision=precision
        )
        state = codec.stream(height=40, width=56)
        latents, state = codec.encode_chunk(picture, state)
        assert latents.dtype == np.float32
        assert np.abs(latents - expected.numpy()).max() <= latents_off, variant
        decoded, _ = codec.decode_chunk(expected.numpy(), state)
        assert np.abs(decoded[0].astype(int) - levels).max() <= frames_off, variant


def test_diffusers_own_calls_refuse_a_batch_and_a_checkpoint_of_ours(
    folder, frames, tiny_checkpoint
):
    codec = open_torch_codec(folder, variant=LIBRARY, chunk_frames=1, threads=1)
    batch = np.stack([frames[:1], frames[1:2]])
    with pytest.raises(InputError, match="got 2 frames in a call, expected 1; leave --batch out"):
        codec.encode_chunk(batch, codec.stream(height=42, width=60, batch=2))
    with pytest.raises(InputError, match="a checkpoint of edgevae, expected one of diffusers"):
        open_torch_codec(tiny_checkpoint, variant=LIBRARY, chunk_frames=4, threads=1)


def test_diffusers_own_calls_are_measured_beside_its_checkpoints_alone(
    plan, folder, tiny_checkpoint, tiny_bundle
):
    names = [subject.name for subject in select(plan).subjects]
    theirs = "pytorch_diffusers_fp32"
    assert names == [REFERENCE, "pytorch_channels_last_fp32", theirs, "onnxruntime_fp32"]
    ours = replace(plan, checkpoint=tiny_checkpoint, backends=("all",), device="cpu")
    assert theirs not in [subject.name for subject in select(ours).subjects]
    for changes in ({"checkpoint": tiny_checkpoint}, {"bundle": tiny_bundle}):
        with pytest.raises(InputError, match="is no model of diffusers that codes pictures"):
            select(replace(plan, backends=("auto", "pytorch_diffusers"), **changes))


def test_weights_of_diffusers_are_those_that_the_bundle_was_exported_from_or_refused(
    plan, folder, tmp_path
):
    assert is_of_diffusers(folder)
    assert is_of_diffusers(folder / "vae")
    with pytest.raises(IncompatibleError, match=r"weights have sha256 .* give that checkpoint"):
        require_source(plan.bundle, folder)
    (tmp_path / "config.json").write_text('{"_class_name": "VQModel"}')
    with pytest.raises(InputError, match=r"cannot be opened: .*VQModel of diffusers"):
        require_source(plan.bundle, tmp_path)
