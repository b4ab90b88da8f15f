"""The predictor and the code of patches that it works in."""

from __future__ import annotations

import pytest
import torch

from edgevae.errors import ConfigError, InputError
from edgevae.nn import load_checkpoint, save_checkpoint
from edgevae.nn.patch_code import patch_code, patch_code_config
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import load_predictor, save_predictor
from edgevae.nn.predictor_config import PredictorConfig

TINY = PredictorConfig(fine_channels=4, channels=6, deep_blocks=1)


def tiny(seed: int = 3) -> Predictor:
    torch.manual_seed(seed)
    predictor = Predictor(TINY)
    for parameter in predictor.parameters():
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter)
    return predictor.eval()


@torch.no_grad()
def test_the_patch_code_gives_grey_clips_back_and_its_latents_are_their_pixels():
    vae = patch_code(patch_code_config(mean=-0.9, std=0.4))
    clip = (torch.rand(2, 3, 1, 16, 24) * 2 - 1).expand(-1, -1, 3, -1, -1)
    posterior, _ = vae.encode(clip)
    again, _ = vae.decode(posterior.mean)
    assert (again - clip).abs().max() < 2 / 255 / 20
    pixels = torch.nn.functional.pixel_unshuffle(clip[:, :, :1].flatten(0, 1), 8)
    assert torch.allclose(posterior.mean.flatten(0, 1), pixels, atol=1e-6)


@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other():
    predictor = tiny()
    latents = torch.randn(3 * 2, 64, 2, 3)
    memory = torch.tanh(torch.randn(3, 6, 4, 6))
    ahead, following = predictor(latents, memory)
    for clip in range(3):
        own, kept = predictor(latents[2 * clip : 2 * clip + 2], memory[clip : clip + 1])
        assert torch.allclose(ahead[2 * clip : 2 * clip + 2], own, atol=1e-5)
        assert torch.allclose(following[clip : clip + 1], kept, atol=1e-5)


@torch.no_grad()
def test_the_deep_blocks_see_further_than_the_others_and_may_be_left_out():
    """Half cells: stem, one block before and one after, head are 1 + 2 + 2 + 1. The deep block is 2 whole ones more."""
    for deep_blocks, reach in ((0, 3), (1, 6)):
        torch.manual_seed(0)
        predictor = Predictor(
            PredictorConfig(fine_channels=4, channels=6, blocks=1, deep_blocks=deep_blocks)
        )
        for parameter in predictor.parameters():
            torch.nn.init.uniform_(parameter, 0.01, 0.02)  # nothing cancels
        latents = torch.zeros(2, 64, 17, 17)
        moved = latents.clone()
        moved[:, :, 8, 8] = 1.0
        memory = predictor.initial_memory(latents)
        change = predictor(moved, memory)[0] - predictor(latents, memory)[0]
        rows = (change.abs().amax((0, 1, 3)) > 0).nonzero()
        assert int((rows - 8).abs().max()) == reach, deep_blocks


@torch.no_grad()
def test_the_memory_matters_and_stays_within_bounds_for_ever():
    predictor = tiny()
    latents = torch.randn(2, 64, 2, 2)
    memory = predictor.initial_memory(latents)
    first, memory = predictor(latents, memory)
    second, memory = predictor(latents, memory)
    assert (first - second).abs().max() > 1e-3
    for _ in range(50):
        _, memory = predictor(100.0 * torch.randn(2, 64, 2, 2), memory)
    assert memory.abs().max() <= 1.0


@torch.no_grad()
def test_a_shift_by_a_whole_cell_shifts_the_prediction():
    predictor = tiny()
    latents = torch.zeros(2, 64, 25, 25)
    latents[:, :, 12, 12] = torch.randn(2, 64)
    memory = predictor.initial_memory(latents)
    ahead, _ = predictor(latents, memory)
    shifted, _ = predictor(torch.roll(latents, 1, 3), memory)
    # Far from the border, whose zeros tell where the picture ends.
    assert torch.allclose(ahead[:, :, 11:14, 11:14], shifted[:, :, 11:14, 12:15], atol=1e-5)


def test_a_checkpoint_keeps_both_networks_and_refuses_half_a_one(tmp_path):
    predictor = tiny()
    save_checkpoint(patch_code(patch_code_config(mean=0.0, std=1.0)), tmp_path)
    with pytest.raises(InputError, match=r"no predictor.json in it; expected a checkpoint with a"):
        load_predictor(tmp_path)
    save_predictor(predictor, tmp_path)
    again = load_predictor(tmp_path)
    assert again.config == TINY
    for name, value in predictor.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert load_checkpoint(tmp_path).config.latent_channels == 64
    (tmp_path / "predictor.safetensors").unlink()
    with pytest.raises(InputError, match=r"no predictor.safetensors in it"):
        load_predictor(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"channels": 0}, {"cell_px": 7}, {"blocks": -1}, {"deep_blocks": -1}]
)
def test_a_predictor_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="predictor: channels, steps and pixels"):
        PredictorConfig(**wrong)
