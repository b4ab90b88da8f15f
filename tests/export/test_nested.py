"""Exporting a nested model: its graphs are those of any other, and checked with every number of channels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgevae
from edgevae.errors import ParityError
from edgevae.nn import load_checkpoint
from edgevae.spec import VaeSpec
from edgevae_export import nested, verify
from edgevae_export.export import export_bundle
from edgevae_export.exportable import Source
from edgevae_export.foreign import ForeignVae
from edgevae_export.own import OwnVae
from edgevae_export.precision import Peaks
from edgevae_export.runs import ROLES, remembered, torch_runs
from edgevae_export.samples import samples


@pytest.fixture
def nested_checkpoint(tiny_checkpoint, tmp_path):
    """A copy of the tiny image model, 4 channels, that claims to work with 1 and 2 of them."""
    image = tiny_checkpoint.with_name("tiny-image.checkpoint")
    folder = Path(shutil.copytree(image, tmp_path / "nested"))
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"nested_channels": [1, 2]}
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture
def references(nested_checkpoint):
    """PyTorch's results on noise with 4, 1 and 2 channels, and the network."""
    vae = OwnVae(load_checkpoint(nested_checkpoint))
    clips = {"noise": samples(chunk_frames=4)["noise"]}
    return nested.references(vae, clips, chunk_frames=4)["noise"], vae


def test_the_decoder_is_verified_with_every_number_of_channels(nested_checkpoint, tmp_path, noise):
    bundle, result = export_bundle(nested_checkpoint, tmp_path / "out", precisions=("fp32",))
    checked = [(c.runner, c.precision, c.sample, c.channels) for c in result.comparisons]
    assert len(set(checked)) == len(checked) == 2 * 4 * 3
    assert {c.runner for c in result.comparisons} == {"onnxruntime", "whole clip"}
    assert {c.channels for c in result.comparisons} == {None, 1, 2}
    report = json.loads(bundle.read("verification.json"))
    assert [c["channels"] for c in report["comparisons"][:3]] == [None, 1, 2]
    assert bundle.manifest.format_version == 2
    assert bundle.manifest.spec.channels == (1, 2, 4)
    frames = noise(6, 16, 24, 3)
    with edgevae.load(tmp_path / "out") as vae:
        latents = vae.encode(frames, channels=2)
        assert latents.shape[1] == 2
        assert vae.decode(latents).shape[1:] == (16, 24, 3)


def test_fewer_channels_have_references_of_their_own(references):
    levels, _ = references
    assert [r.channels for r in levels] == [None, 1, 2]
    whole, one, two = levels
    assert not one.latents[:, 1:].any()
    assert np.array_equal(two.latents[:, :2], whole.latents[:, :2])
    assert not np.array_equal(one.frames, two.frames)
    assert not np.array_equal(two.frames, whole.frames)


def test_a_decoder_that_is_off_with_few_channels_only_is_refused(references):
    levels, vae = references
    runs = torch_runs(vae, precision="fp32", chunk_frames=4)
    runs["encoder"] = remembered(runs["encoder"])

    def planted(latents):
        frames = runs["decoder"](latents)
        return frames if latents[:, 2:].any() else frames ^ 4

    for reference in levels:
        options = {"runner": "planted", "precision": "fp32", "sample": "noise"}
        good = verify.compare(reference, runs, **options)
        verify.check(good, verify.Gates())
        assert good.latents_max_difference == good.frames_max_levels == 0
        off = verify.compare(reference, {**runs, "decoder": planted}, **options)
        if reference.channels is None:
            verify.check(off, verify.Gates())
            continue
        message = f"planted fp32 on noise frames with {reference.channels} channels: frames differ"
        with pytest.raises(ParityError, match=message):
            verify.check(off, verify.Gates())


def test_half_arithmetic_is_held_to_its_gates_with_few_channels_too(references):
    levels, vae = references
    runs = torch_runs(vae, precision="fp16", chunk_frames=4)
    gates = verify.Gates(fp16_psnr_dB=200.0)
    for reference in levels:
        found = verify.compare(reference, runs, runner="pytorch", precision="fp16", sample="noise")
        verify.check(found, verify.Gates())
        assert 0 < found.latents_max_difference < 3e-2
        with pytest.raises(ParityError, match=r"frames are apart, in -dB"):
            verify.check(found, gates)


def test_an_encoder_runs_once_for_all_numbers_of_channels(references):
    (reference, *_), _ = references
    seen = []
    run = remembered(lambda data: seen.append(1) or data + 1)
    other = reference.clip.copy()
    assert np.array_equal(run(reference.clip), run(reference.clip))
    assert len(seen) == 1
    assert np.array_equal(run(other), other + 1)
    assert len(seen) == 2


def test_a_model_that_is_not_nested_is_compared_once(tiny_checkpoint):
    vae = OwnVae(load_checkpoint(tiny_checkpoint.with_name("tiny-image.checkpoint")))
    clips = {"noise": samples(chunk_frames=4)["noise"]}
    (whole,) = nested.references(vae, clips, chunk_frames=4)["noise"]
    assert whole.channels is None


class Network(nn.Module):
    """Somebody else's half of a VAE: 4 x 4 pixels to 3 channels, or back."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        layer = nn.Conv2d if role == "encoder" else nn.ConvTranspose2d
        self.layer = layer(3, 3, 4, stride=4)

    def forward(self, data: Tensor) -> tuple[Tensor | None, ...]:
        """Return the mean and no log-variance, or pixels."""
        return (self.layer(data), None) if self.role == "encoder" else (self.layer(data),)


@pytest.fixture
def foreign():
    """A VAE that is not edgevae's own, of 3 channels, that claims to work with 1 of them."""
    spec = VaeSpec(
        temporal_factor=1,
        spatial_factor=4,
        latent_channels=3,
        encoder_halo_px=0,
        decoder_halo_cells=0,
        encoder_state=(),
        decoder_state=(),
        latent_mean=(0.0,) * 3,
        latent_std=(0.5,) * 3,
        nested_channels=(1,),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        halves = {role: Network(role) for role in ROLES}
    return ForeignVae(
        spec=spec,
        encoder=halves["encoder"],
        decoder=halves["decoder"],
        own=torch.nn.ModuleDict(halves),
        whole=lambda role, data: halves[role].layer(data),
        has_log_variance=False,
    )


def test_a_vae_of_others_is_verified_with_every_number_of_channels_too(foreign, tmp_path):
    source = Source(foreign, "theirs", "0" * 64, library="theirs")
    bundle, result = export_bundle(source, tmp_path / "out")
    checked = [(c.runner, c.precision, c.channels) for c in result.comparisons]
    runners = [("pytorch", "fp16"), ("onnxruntime", "fp32"), ("theirs", "fp32")]
    for runner in [*runners, ("onnxruntime", "fp16")]:
        assert [c[2] for c in checked if c[:2] == runner] == [None, 1] * 4
    assert len(checked) == 4 * 8
    assert bundle.manifest.format_version == 2


def test_what_goes_through_the_layers_is_known_with_every_number_of_channels(foreign):
    clips = {"noise": samples(chunk_frames=1, cell_px=4)["noise"]}
    with torch.no_grad():
        foreign.encoder.layer.bias[:] = 10.0
        foreign.decoder.layer.weight[0] = 1e3
        foreign.decoder.layer.weight[1] = -1e3  # which takes back what the first channel brings
    peaks = {role: Peaks() for role in ROLES}
    verify.references(foreign, clips, chunk_frames=1, peaks=peaks)
    whole = peaks["decoder"].outputs["network.layer"]
    peaks = {role: Peaks() for role in ROLES}
    nested.references(foreign, clips, chunk_frames=1, peaks=peaks)
    assert peaks["decoder"].outputs["network.layer"] > whole
