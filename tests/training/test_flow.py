"""Training a prior, on clips made from scikit-learn's digits."""

from __future__ import annotations

import gzip
import json
import math
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevae.errors import ConfigError, InputError
from edgevae.nn import VaeConfig, load_checkpoint, save_checkpoint
from edgevae.nn.checkpoint import build
from edgevae.nn.prior import Prior
from edgevae.nn.prior_checkpoint import load_prior
from edgevae.nn.prior_config import PriorConfig
from edgevae.training import fit as vae_fit
from edgevae.training.digits import DigitClips, training_and_held_out
from edgevae.training.flow import fit
from edgevae.training.flow.config import FlowConfig
from edgevae.training.flow.loss import Lesson, flow_loss, lesson
from edgevae.training.generation.config import GanConfig
from edgevae.training.prediction.config import PredictionConfig

TINY = FlowConfig(
    network=PriorConfig(
        latent_channels=3, chunk_steps=2, past_chunks=2, channels=8, dilations=(1,), flow_steps=2
    ),
    clip_chunks=3,
    batch_clips=4,
    steps=6,
    val_clips=6,
    save_every_steps=2,
    warmup_steps=1,
    precision="fp32",
)


@pytest.fixture
def vae(tmp_path):
    """The checkpoint of a small VAE of random weights."""
    torch.manual_seed(1)
    config = VaeConfig(
        kind="image",
        encoder_channels=(2, 2, 4),
        encoder_blocks=(0, 0, 0),
        decoder_channels=(4, 2, 2),
        decoder_blocks=(0, 0, 0),
        latent_channels=3,
        latent_mean=(0.2, 0.0, -0.1),
        latent_std=(0.5, 1.0, 2.0),
    )
    save_checkpoint(build(config), tmp_path / "vae")
    return tmp_path / "vae"


def test_a_chunk_is_learnt_with_exactly_the_chunks_before_it():
    prior = Prior(TINY.network)
    latents = torch.randn(2, 6, 3, 4, 4)
    learnt = lesson(prior, latents, replace(TINY, begin_share=0.0, past_noise=0.0), index=0)
    chunks = latents.reshape(2, 3, 6, 4, 4)
    assert torch.equal(learnt.chunks, chunks.flatten(0, 1))
    memory = learnt.memory.unflatten(0, (2, 3))
    assert not memory[:, 0].any(), "nothing comes before the first"
    assert torch.equal(memory[:, 1, 7:13], chunks[:, 0])
    assert torch.equal(memory[:, 2, :6], chunks[:, 0])
    assert torch.equal(memory[:, 2, 7:13], chunks[:, 1])
    assert not memory[:, 1, 6].any(), "and the channel of ones says so"
    assert memory[:, 2, 6].all()
    begun = lesson(prior, latents, replace(TINY, begin_share=1.0), index=0)
    assert not begun.memory.any()


def test_a_lesson_is_a_function_of_seed_and_index():
    prior, latents = Prior(TINY.network), torch.randn(2, 6, 3, 4, 4)
    one, same, other = (lesson(prior, latents, TINY, index=i) for i in (4, 4, 5))
    assert all(
        torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values(), strict=True)
    )
    assert not torch.equal(one.noise, other.noise)
    assert not torch.equal(one.at, other.at)


@torch.no_grad()
def test_the_loss_is_nothing_for_who_knows_the_direction():
    class Knowing(Prior):
        def direction(self, mixture, at, memory):
            share = at[:, None, None, None]
            noise = (mixture - share * chunks) / (1.0 - share)
            return chunks - noise

    chunks, noise = torch.randn(3, 6, 4, 4), torch.randn(3, 6, 4, 4)
    learnt = Lesson(chunks, torch.zeros(3, 14, 4, 4), noise, torch.tensor([0.0, 0.4, 0.9]))
    assert flow_loss(Knowing(TINY.network), learnt) < 1e-6
    assert flow_loss(Prior(TINY.network), learnt) > 0.5


def test_a_run_learns_and_a_broken_off_one_goes_on_to_the_same_weights(vae, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit.start(TINY, run=whole, weights=vae)
    taken, step = iter(range(3)), fit._Training.take_step

    def stops(self, number):
        if next(taken, None) is None:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(fit._Training, "take_step", stops)
    with pytest.raises(KeyboardInterrupt):
        fit.start(TINY, run=broken, weights=vae)
    monkeypatch.setattr(fit._Training, "take_step", step)
    fit.resume(broken)
    for name in ("prior.safetensors", "model.safetensors", "config.json", "prior.json"):
        parts = (run / "checkpoint" / name for run in (whole, broken))
        assert len({part.read_bytes() for part in parts}) == 1
    errors = [float(line.split(",")[2]) for line in (whole / "errors.csv").read_text().split()]
    assert errors[-1] < errors[0]
    assert load_prior(whole / "checkpoint").config == TINY.network
    assert load_checkpoint(whole / "checkpoint").config.latent_std == (0.5, 1.0, 2.0)


def test_a_run_begins_with_the_prior_of_its_checkpoint(vae, tmp_path, monkeypatch, capsys):
    first = fit.start(TINY, run=tmp_path / "first", weights=vae)
    known = load_prior(first).state_dict()
    still = replace(TINY, steps=1, learning_rate=1e-9, seed=3)
    capsys.readouterr()
    learnt = load_prior(fit.start(still, run=tmp_path / "begun", weights=first)).state_dict()
    assert all(torch.allclose(learnt[n], known[n], atol=1e-6) for n in known)
    assert f"begins with the prior of {first}" in capsys.readouterr().err
    monkeypatch.setattr(fit._Training, "take_step", lambda *_: pytest.fail("before any step"))
    with pytest.raises(pytest.fail.Exception):
        fit.start(still, run=tmp_path / "second", weights=first)
    monkeypatch.undo()
    again = load_prior(fit.resume(tmp_path / "second")).state_dict()
    assert all(torch.allclose(again[n], known[n], atol=1e-6) for n in known)
    new = load_prior(fit.start(still, run=tmp_path / "new", weights=vae)).state_dict()
    assert not all(torch.allclose(new[n], known[n], atol=1e-6) for n in known)
    other = replace(TINY, network=replace(TINY.network, channels=16))
    with pytest.raises(InputError, match="its prior has channels 8, expected 16 as in the run's"):
        fit.start(other, run=tmp_path / "third", weights=first)
    assert not (tmp_path / "third").exists()


def test_its_latents_are_those_that_the_encoder_graph_gives(vae):
    from edgevae.nn.graph import EncoderGraph

    network = load_checkpoint(vae)
    clips = torch.from_numpy(fit._Training(TINY, network).source.batch(0, 2, frames=2))
    mine = fit._Training(TINY, network)._latents(clips)
    frames = clips.flatten(0, 1)[..., None].expand(-1, -1, -1, 3)
    with torch.no_grad():
        (theirs,) = EncoderGraph(network, chunk_frames=2)(frames)
    assert torch.allclose(mine.flatten(0, 1), theirs, atol=1e-5)


def test_a_vae_without_measured_latents_and_impossible_settings_are_refused(vae, tmp_path):
    config = json.loads((vae / "config.json").read_text())
    (vae / "config.json").write_text(json.dumps(config | {"latent_mean": None}))
    with pytest.raises(InputError, match="has no latent_mean, so its latents have no unit scale"):
        fit.start(TINY, run=tmp_path / "run", weights=vae)
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        ConfigError, match=r"picture_px: got \(64, 72\), expected \(64, 64\) of moving"
    ):
        FlowConfig(network=PriorConfig(picture_px=(64, 72)))
    for wrong in ({"steps": 0}, {"begin_share": 2.0}, {"past_noise": -1.0}, {"clip_norm": 0.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: got"):
            FlowConfig(**wrong)


@pytest.mark.parametrize("config", [FlowConfig, PredictionConfig, GanConfig])
@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"warmup_steps": -1},
        {"final_rate": math.nan},
        {"ema_decay": 1.5},
    ],
)
def test_a_schedule_by_which_no_run_learns_is_refused(config, wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: got"):
        config(**wrong)


def test_a_vae_learns_from_the_digits_of_a_folder_and_notices_other_ones(tmp_path, tiny_run):
    training, held_out = training_and_held_out(None)
    (tmp_path / "mnist").mkdir()
    for part, digits in (("train", training), ("t10k", held_out)):
        data = struct.pack(">4I", 0x803, *digits.shape) + digits.tobytes()
        (tmp_path / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    clip = DigitClips(training, frames=4, seed=3).clip(9)
    assert clip.shape == (4, 64, 64, 3)
    assert np.array_equal(clip, DigitClips(training, frames=4, seed=3).clip(9))
    config = replace(tiny_run, digits=str(tmp_path / "mnist"), crop_px=64, val_crop_px=64, steps=2)
    checkpoint = vae_fit.start(config, "moving-digits", run=tmp_path / "run")
    assert load_checkpoint(checkpoint).config.latent_mean is not None
    os.truncate(tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz", 100)
    with pytest.raises(InputError, match="damaged"):
        vae_fit.resume(tmp_path / "run")
