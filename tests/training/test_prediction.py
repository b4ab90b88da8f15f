"""Training a predictor, on clips made from scikit-learn's digits."""

from __future__ import annotations

import gzip
import os
import struct

import numpy as np
import pytest
import torch

from edgevae.errors import InputError
from edgevae.moving_mnist import MovingMnist, path, read_digits
from edgevae.nn.patch_code import patch_code
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.training.prediction import fit
from edgevae.training.prediction.config import PredictionConfig, is_prediction_run
from edgevae.training.prediction.data import CODE, forgiven, latents_of, pixels_of, sources
from edgevae.training.prediction.rollout import frame_errors, rollout

TINY = PredictionConfig(
    network=PredictorConfig(fine_channels=4, channels=8, blocks=1, deep_blocks=1),
    seen_frames=4,
    predicted_frames=4,
    batch_clips=2,
    steps=6,
    warmup_steps=1,
    val_clips=3,
    save_every_steps=2,
    precision="fp32",
)


def test_the_error_of_what_was_forgiven_is_that_of_the_pixels_shown():
    wanted = latents_of(
        np.array([[[[0, 255], [40, 200]] * 4] * 8] * 2, np.uint8).reshape(1, 2, 8, 16)
    )
    said = (wanted + torch.randn(wanted.shape, generator=torch.manual_seed(1))).requires_grad_()
    extreme = (pixels_of(wanted) == 0) | (pixels_of(wanted) == 1)
    assert 0 < extreme.float().mean() < 1
    scale = (wanted.max() - wanted.min()) ** 2  # of pixels, which go from 0 to 1
    error = (forgiven(said, wanted) - wanted).square()
    shown = (pixels_of(said) - pixels_of(wanted)).square() * scale
    assert torch.allclose(error[extreme], shown[extreme], atol=1e-4)
    error.sum().backward()
    assert (said.grad[~extreme] != 0).all(), "what is wanted grey pulls, however dark what is said"


def test_a_digit_moves_by_a_tenth_of_its_range_and_turns_round_at_the_edges():
    for seed in range(20):
        places = np.array(path(np.random.default_rng(seed), 60))
        assert places.min() >= 0
        assert places.max() <= 1
        moved = np.linalg.norm(np.diff(places, axis=0), axis=1)
        inside = ((places > 0) & (places < 1)).all(1)
        assert np.allclose(moved[inside[1:] & inside[:-1]], 0.1)
        assert (~inside).any(), "sixty steps of a tenth meet an edge"


def test_a_clip_is_a_function_of_seed_and_index_and_shows_the_brighter_of_two_digits():
    digits = np.stack([np.full((28, 28), level, np.uint8) for level in (90, 200)])
    source = MovingMnist(digits, seed=5)
    assert np.array_equal(source.clip(7), source.clip(7))
    assert not np.array_equal(source.clip(7), source.clip(8))
    for clip in (source.clip(i) for i in range(6)):
        assert set(np.unique(clip)) <= {0, 90, 200}
        assert (clip > 0).sum((1, 2)).max() <= 2 * 28 * 28
    assert np.array_equal(source.batch(3, 2)[1], source.clip(4))


def test_the_files_of_mnist_are_read_packed_or_not_and_others_refused(tmp_path):
    pictures = np.arange(2 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(2, 28, 28)
    data = struct.pack(">4I", 0x803, 2, 28, 28) + pictures.tobytes()
    with pytest.raises(InputError, match=r"no train-images-idx3-ubyte.gz in it"):
        read_digits(tmp_path, part="train")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    assert np.array_equal(read_digits(tmp_path, part="train"), pictures)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(data[:-1])
    with pytest.raises(InputError, match="holds no square pictures in IDX format"):
        read_digits(tmp_path, part="train")
    large = struct.pack(">4I", 0x803, 1, 65, 65) + bytes(65 * 65)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(large)
    with pytest.raises(InputError, match="holds no square pictures in IDX format"):
        read_digits(tmp_path, part="train")
    packed = bytearray(gzip.compress(data))
    packed[10:20] = b"\xff" * 10  # where the deflated data begins
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte.gz: damaged"):
        read_digits(tmp_path, part="t10k")


@torch.no_grad()
def test_the_latents_of_training_are_those_of_the_exported_code():
    clips = sources(TINY)[0].batch(0, 2)[:, :4]
    vae = patch_code(CODE)
    pixels = torch.from_numpy(clips).float()[:, :, None].expand(-1, -1, 3, -1, -1) / 127.5 - 1.0
    own = vae.encode(pixels)[0].mean
    unit = (own - CODE.latent_mean[0]) / CODE.latent_std[0]
    assert torch.allclose(unit, latents_of(clips), atol=1e-5)
    assert torch.allclose(
        pixels_of(latents_of(clips)).sum((2, 3, 4)),
        torch.from_numpy(clips).float().sum((2, 3)) / 255.0,
        rtol=1e-4,
    )


@torch.no_grad()
def test_beyond_the_seen_frames_a_predictor_sees_nothing_of_the_clip():
    predictor = Predictor(TINY.network)
    torch.nn.init.normal_(predictor.head.weight)
    one = latents_of(sources(TINY)[0].batch(0, 2)[:, :8])
    other = one.clone()
    other[:, 4:] = torch.randn_like(other[:, 4:])
    assert torch.equal(
        rollout(predictor, one, seen_frames=4), rollout(predictor, other, seen_frames=4)
    )
    other = one.clone()
    other[:, 3] += 1.0
    changed = rollout(predictor, other, seen_frames=4) != rollout(predictor, one, seen_frames=4)
    assert changed[:, 2:].any()
    assert not changed[:, :2].any(), "what came before the change"


def test_a_run_learns_and_a_broken_off_one_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit.start(TINY, run=whole)
    taken = iter(range(3))
    step = fit._Training.take_step

    def stops(self, number):
        if next(taken, None) is None:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(fit._Training, "take_step", stops)
    with pytest.raises(KeyboardInterrupt):
        fit.start(TINY, run=broken)
    monkeypatch.setattr(fit._Training, "take_step", step)
    assert is_prediction_run(broken)
    fit.resume(broken)
    weights = "checkpoint/predictor.safetensors"
    assert (whole / weights).read_bytes() == (broken / weights).read_bytes()
    errors = [float(line.split(",")[2]) for line in (whole / "errors.csv").read_text().split()]
    assert errors[-1] < errors[0]
    assert set(os.listdir(whole / "checkpoint")) == {
        "config.json",
        "model.safetensors",
        "predictor.json",
        "predictor.safetensors",
    }
    with pytest.raises(InputError, match="exists; give another folder"):
        fit.start(TINY, run=whole)


def test_the_error_is_summed_over_the_pixels_of_a_frame():
    class Black(Predictor):
        def forward(self, latents, memory):
            return torch.full_like(latents, -100.0), memory

    clips = sources(TINY)[1].batch(0, 2)[:, :8]
    found = frame_errors(Black(TINY.network), latents_of(clips), TINY)
    wanted = np.square(clips[:, 4:] / 255.0).sum((2, 3))
    assert np.allclose(found.numpy(), wanted, rtol=1e-4)
