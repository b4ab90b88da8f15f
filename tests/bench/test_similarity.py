"""SSIM and MS-SSIM against the implementations that others use."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae_bench.similarity import MIN_MS_SSIM_PX, MIN_SSIM_PX, similarity


def textured(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """A frame with shapes, a gradient and a texture, `[H, W, 3]`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / (5 + 3 * c)) * np.cos(y / (9 - 2 * c)) for c in range(3)], axis=-1)
    levels = (
        128
        + 70 * waves
        + 30 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (height / 3) ** 2)[..., None]
    )
    return np.clip(levels + rng.normal(0, 6, levels.shape), 0, 255).astype(np.uint8)


def degraded(frame: np.ndarray, *, noise: float, seed: int = 1) -> np.ndarray:
    """The frame with a blur along x and noise."""
    blurred = (frame.astype(float) + np.roll(frame, 1, axis=1) + np.roll(frame, -1, axis=1)) / 3
    return np.clip(
        blurred + np.random.default_rng(seed).normal(0, noise, frame.shape), 0, 255
    ).astype(np.uint8)


@pytest.mark.parametrize("noise", [0.0, 4.0, 40.0])
@pytest.mark.parametrize("size", [(180, 240), (64, 48), (11, 30)])
def test_ssim_equals_scikit_image_within_1e_9(noise, size):
    metrics = pytest.importorskip("skimage.metrics")
    frame = textured(*size)
    other = degraded(frame, noise=noise)
    expected = metrics.structural_similarity(
        frame,
        other,
        channel_axis=-1,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert similarity(frame, other)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("noise", [4.0, 40.0])
@pytest.mark.parametrize("size", [(176, 176), (181, 247)])
def test_ms_ssim_is_within_0_001_of_torchmetrics(noise, size):
    # torchmetrics counts a border of reflected pixels at the coarsest scale, where ours (as Wang's) keeps to the frame;
    # at 176 pixels that scale is one window wide, so this is the worst case.
    image = pytest.importorskip("torchmetrics.functional.image")
    import torch

    frame = textured(*size)
    other = degraded(frame, noise=noise)
    tensors = [
        torch.from_numpy(f.astype(np.float64)).permute(2, 0, 1)[None] for f in (other, frame)
    ]
    expected = image.multiscale_structural_similarity_index_measure(*tensors, data_range=255.0)
    assert similarity(frame, other)[1] == pytest.approx(float(expected), abs=0.001)


def test_equal_frames_have_similarity_one():
    frame = textured(180, 200)
    assert similarity(frame, frame) == (pytest.approx(1.0), pytest.approx(1.0))
    black = np.zeros_like(frame)
    assert similarity(black, black) == (pytest.approx(1.0), pytest.approx(1.0))


def test_similarity_is_symmetric_and_falls_with_noise():
    frame = textured(180, 200)
    values = [similarity(frame, degraded(frame, noise=noise)) for noise in (0.0, 5.0, 20.0, 60.0)]
    assert values == sorted(values, reverse=True)
    other = degraded(frame, noise=5.0)
    assert similarity(frame, other) == pytest.approx(similarity(other, frame))


def test_an_inverted_frame_has_no_ms_ssim_below_zero():
    frame = textured(180, 200)
    ssim, ms_ssim = similarity(frame, 255 - frame)
    assert ssim is not None
    assert ssim < 0
    assert ms_ssim == 0.0


def test_small_frames_have_no_value_rather_than_another_one():
    ssim, ms_ssim = similarity(*[textured(MIN_MS_SSIM_PX - 1, 400)] * 2)
    assert (ssim, ms_ssim) == (pytest.approx(1.0), None)
    assert similarity(*[textured(MIN_SSIM_PX - 1, 400)] * 2) == (None, None)
