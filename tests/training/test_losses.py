"""Losses and measures: their values on cases that can be worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevae.nn.losses import boundary_flicker, charbonnier, frame_difference, log_error, psnr_db
from edgevae.nn.similarity import ms_ssim, ssim
from edgevae.training.config import TrainConfig
from edgevae.training.module import reconstruction_loss


@pytest.fixture
def clips():
    return torch.rand((2, 4, 3, 64, 64), generator=torch.Generator().manual_seed(3)) * 2 - 1


def test_charbonnier_is_absolute_for_large_differences_and_epsilon_for_none():
    assert charbonnier(torch.full((5,), -0.5), epsilon=1e-4).item() == pytest.approx(0.5, rel=1e-4)
    assert charbonnier(torch.zeros(5), epsilon=0.01).item() == pytest.approx(0.01)


def test_an_error_that_stays_is_no_flicker(clips):
    still = torch.full_like(clips, 0.3)
    assert frame_difference(still, epsilon=1e-6).item() == pytest.approx(0.0, abs=1e-5)
    flicker = still * torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1, 1, 1)
    assert frame_difference(flicker, epsilon=1e-6).item() == pytest.approx(0.6, rel=1e-4)


def test_a_single_frame_has_no_flicker(clips):
    assert frame_difference(clips[:, :1], epsilon=0.01).item() == 0.0


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize("side", [16, 40, 64])
def test_similarity_is_one_for_equal_frames_and_less_for_others_at_any_crop(clips, side, measure):
    crop = clips[..., :side, :side]
    assert measure(crop, crop).item() == pytest.approx(1.0, abs=1e-5)
    assert measure(crop * 0.5, crop).item() < 0.99


def test_similarity_is_what_the_benchmark_measures():
    from edgevae_bench.similarity import similarity

    rng = np.random.default_rng(0)
    source = np.cumsum(np.cumsum(rng.normal(size=(3, 192, 200, 3)), 1), 2)
    source = np.uint8(255 * (source - source.min()) / np.ptp(source))
    other = np.clip(source + rng.normal(0, 12, source.shape), 0, 255).astype(np.uint8)
    expected = np.mean([similarity(a, b) for a, b in zip(source, other, strict=True)], axis=0)
    pair = [
        torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
        for frames in (other, source)
    ]
    assert 0.1 < expected[0] < 0.9
    assert [ssim(*pair).item(), ms_ssim(*pair).item()] == pytest.approx(expected, abs=1e-4)


def test_similarity_draws_a_blurred_picture_towards_its_source(clips):
    made = torch.zeros_like(clips).requires_grad_()
    for measure in (ssim, ms_ssim):
        (gradient,) = torch.autograd.grad(measure(made, clips), made)
        better = made.detach() + 100.0 * gradient
        assert measure(better, clips) > measure(made, clips) + 0.01


def test_psnr_is_that_of_levels_of_255(clips):
    inside = clips * 0.9
    one_level_off = inside + 2.0 / 255.0
    assert psnr_db(one_level_off, inside).tolist() == pytest.approx([48.13, 48.13], abs=0.01)
    assert psnr_db(torch.full_like(clips, 5.0), torch.ones_like(clips)).tolist() == pytest.approx(
        [106.02] * 2, abs=0.01
    )


def test_psnr_is_one_number_a_clip(clips):
    other = clips.clone()
    other[1] = -other[1]
    first, second = psnr_db(other, clips).tolist()
    assert first > 100 > second


def test_the_loss_adds_what_has_a_weight(clips):
    made = clips * 0.7
    only = {"charbonnier_weight": 0.0, "difference_weight": 0.0, "ms_ssim_weight": 0.0}
    parts = [
        reconstruction_loss(made, clips, TrainConfig(**only | {name: weight})).item()
        for name, weight in (
            ("charbonnier_weight", 1.0),
            ("difference_weight", 0.5),
            ("ms_ssim_weight", 0.25),
        )
    ]
    together = TrainConfig(charbonnier_weight=1.0, difference_weight=0.5, ms_ssim_weight=0.25)
    assert min(parts) > 0
    assert reconstruction_loss(made, clips, together).item() == pytest.approx(sum(parts), rel=1e-5)


def test_the_loss_has_a_gradient_where_the_reconstruction_is_exact(clips):
    made = clips.clone().requires_grad_()
    loss = reconstruction_loss(made, clips, TrainConfig(ms_ssim_weight=0.5))
    loss.backward()
    assert torch.isfinite(made.grad).all()


def test_the_logarithm_of_the_error_counts_every_clip_the_same():
    hard, easy = torch.full((1, 2, 3, 8, 8), 0.5), torch.full((1, 2, 3, 8, 8), 0.05)
    before = log_error(torch.cat([hard, easy]))
    harder, easier = torch.cat([hard * 1.1, easy]), torch.cat([hard, easy * 1.1])
    gains = [(log_error(changed) - before).item() for changed in (harder, easier)]
    assert gains == pytest.approx([0.0953] * 2, rel=0.05)  # half of ln 1.1^2: they are two


def moving(at_boundaries, inside):
    """Errors `[1, 12, 3, 8, 8]` that change by so much from frame to frame."""
    steps = [at_boundaries if t % 4 == 0 else inside for t in range(1, 12)]
    return (
        torch.cumsum(torch.tensor([0.0, *steps]), 0).reshape(1, 12, 1, 1, 1).expand(1, 12, 3, 8, 8)
    )


def test_flicker_is_how_far_boundaries_differ_from_what_lies_between_them():
    assert boundary_flicker(moving(0.1, 0.1), factor=4).item() == pytest.approx(0.0, abs=1e-6)
    rough, smooth = (
        boundary_flicker(moving(*change), factor=4).item() for change in ((0.2, 0.1), (0.1, 0.2))
    )
    assert rough == pytest.approx(math.log(2) ** 2, rel=0.02)
    assert smooth == pytest.approx(rough, rel=1e-5)


def test_flicker_that_nobody_sees_does_not_count():
    assert boundary_flicker(moving(2e-5, 1e-5), factor=4).item() < 1e-3
    assert boundary_flicker(torch.zeros(1, 12, 3, 8, 8), factor=4).item() == 0.0


def test_flicker_has_no_place_in_a_model_of_images_or_a_clip_of_one_chunk(clips):
    config = TrainConfig(
        flicker_weight=5.0, charbonnier_weight=0.0, difference_weight=0.0, log_error_weight=1.0
    )
    plain = replace(config, flicker_weight=0.0)
    made = clips * 0.7
    assert reconstruction_loss(made, clips, config) == reconstruction_loss(made, clips, plain)
    twice = torch.cat([made, made * 0.5], 1), torch.cat([clips, clips], 1)
    assert reconstruction_loss(*twice, config) > reconstruction_loss(*twice, plain)
    still = replace(config, kind="image", clip_frames=8, val_frames=8)
    assert reconstruction_loss(*twice, still) == reconstruction_loss(*twice, plain)


def test_similarity_of_some_frames_takes_others_at_every_step(clips):
    config = TrainConfig(
        charbonnier_weight=0.0, difference_weight=0.0, ssim_weight=1.0, ssim_frames=2
    )
    made = clips.clone()
    made[:, 1::2] *= 0.5
    even, odd = (reconstruction_loss(made, clips, config, step=step).item() for step in (0, 1))
    assert even == pytest.approx(0.0, abs=1e-5)
    assert odd > 0.01
    every = reconstruction_loss(made, clips, replace(config, ssim_frames=0)).item()
    assert every == pytest.approx((even + odd) / 2, rel=1e-4)
