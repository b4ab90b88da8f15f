"""Losses and measures: their values on cases that can be worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch

from edgevae.nn.losses import charbonnier, frame_difference, log_error, ms_ssim, psnr_db
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


@pytest.mark.parametrize("side", [16, 40, 64])
def test_ms_ssim_is_one_for_equal_frames_and_less_for_others_at_any_crop(clips, side):
    crop = clips[..., :side, :side]
    assert ms_ssim(crop, crop).item() == pytest.approx(1.0, abs=1e-5)
    assert ms_ssim(crop * 0.5, crop).item() < 0.99


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


def test_the_boundary_term_sees_jumps_between_chunks_only():
    config = TrainConfig(charbonnier_weight=0.0, difference_weight=0.0, log_error_weight=1.0)
    jump = torch.zeros(1, 12, 3, 8, 8)
    jump[:, 4:] = 0.1
    inside = torch.zeros(1, 12, 3, 8, 8)
    inside[:, 2:10] = 0.1  # as many frames that differ, the jumps within chunks
    nothing = torch.zeros_like(jump)
    added = [
        reconstruction_loss(d, nothing, replace(config, boundary_weight=1.0)).item()
        - reconstruction_loss(d, nothing, config).item()
        for d in (jump, inside)
    ]
    assert added[1] == pytest.approx(math.log(1e-4), rel=1e-5)
    assert added[0] > added[1] + 3.0
