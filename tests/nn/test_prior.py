"""The prior: noise to latents, a chunk at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevae.errors import ConfigError, InputError
from edgevae.nn.graph import PriorGraph
from edgevae.nn.prior import Prior
from edgevae.nn.prior_checkpoint import load_prior, save_prior
from edgevae.nn.prior_config import PriorConfig

TINY = PriorConfig(
    latent_channels=3, chunk_steps=2, past_chunks=2, channels=6, dilations=(1, 2), flow_steps=4
)


def tiny(config: PriorConfig = TINY) -> Prior:
    torch.manual_seed(3)
    prior = Prior(config)
    for parameter in prior.parameters():
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.7 / parameter[0].numel() ** 0.5)
    return prior.eval()


def nothing(prior: Prior, clips: int, h: int, w: int) -> torch.Tensor:
    """Return the memory at the start of clips."""
    cell = prior.config.cell_px
    sizes = {"batch": clips, "height": h * cell, "width": w * cell}
    return torch.zeros(prior.state[0].resolve(sizes))


@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other_and_any_number_of_cells_will_do():
    prior = tiny()
    noise, memory = torch.randn(3 * 2, 3, 5, 7), torch.randn(nothing(prior, 3, 5, 7).shape)
    latents, following = prior(noise, memory)
    for clip in range(3):
        own, kept = prior(noise[2 * clip : 2 * clip + 2], memory[clip : clip + 1])
        assert torch.allclose(latents[2 * clip : 2 * clip + 2], own, atol=1e-5)
        assert torch.allclose(following[clip : clip + 1], kept, atol=1e-5)


@torch.no_grad()
def test_exactly_the_last_chunks_are_remembered_each_with_its_ones():
    prior = tiny()
    memory = nothing(prior, 1, 4, 4)
    made = []
    for _ in range(3):
        latents, memory = prior(torch.randn(2, 3, 4, 4), memory)
        made.append(latents.reshape(1, 6, 4, 4))
    ones = torch.ones(1, 1, 4, 4)
    assert torch.allclose(memory, torch.cat([made[1], ones, made[2], ones], 1))
    other, _ = prior(torch.zeros(2, 3, 4, 4), memory)
    begun, _ = prior(torch.zeros(2, 3, 4, 4), nothing(prior, 1, 4, 4))
    assert (other - begun).abs().max() > 1e-3, "what came before matters"


@torch.no_grad()
def test_a_call_follows_the_direction_from_noise_and_further_where_the_memory_leads():
    prior = tiny()
    noise, memory = torch.randn(2, 3, 4, 4), torch.randn(nothing(prior, 1, 4, 4).shape)
    mixture = noise.reshape(1, 6, 4, 4)
    for start, end in itertools.pairwise(TINY.times):
        at = torch.tensor([start])
        known = prior.direction(mixture, at, memory)
        unknown = prior.direction(mixture, at, torch.zeros_like(memory))
        mixture = mixture + (end - start) * (known + TINY.guidance * (known - unknown))
    assert torch.allclose(
        PriorGraph(prior)(noise, memory)[0], mixture.reshape(2, 3, 4, 4), atol=1e-5
    )


@torch.no_grad()
def test_at_the_start_of_a_clip_guidance_changes_nothing():
    prior, plain = tiny(), tiny(replace(TINY, guidance=0.0))
    noise, memory = torch.randn(2, 3, 4, 4), nothing(prior, 1, 4, 4)
    (latents, memory), (same, _) = prior(noise, memory), plain(noise, memory)
    assert torch.equal(latents, same)
    assert (prior(noise, memory)[0] - plain(noise, memory)[0]).abs().max() > 1e-3


def test_the_first_steps_are_the_small_ones_and_all_together_lead_to_the_end():
    times = PriorConfig(flow_steps=5, time_shift=0.3).times
    assert (times[0], times[-1]) == (0.0, 1.0)
    lengths = [end - start for start, end in itertools.pairwise(times)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 0.4 * lengths[-1]
    assert np.allclose(PriorConfig(flow_steps=4, time_shift=1.0).times, (0, 0.25, 0.5, 0.75, 1))


@torch.no_grad()
def test_a_direction_that_is_right_leads_from_any_noise_to_the_latents():
    target = torch.randn(1, 6, 4, 4)

    class Right(Prior):
        def _direction(self, mixture, time, seen):
            return (target - mixture) / (1.0 - next(self.starts))

    for steps in (1, 4, 7):
        prior = Right(replace(TINY, flow_steps=steps, guidance=0.0))
        prior.starts = iter(prior.config.times)
        latents, _ = prior(torch.randn(2, 3, 4, 4), nothing(prior, 1, 4, 4))
        assert torch.allclose(latents.reshape(target.shape), target, atol=1e-5)


def test_a_checkpoint_keeps_a_prior(tmp_path):
    prior = tiny()
    with pytest.raises(
        InputError, match=r"no prior.json in it; expected a checkpoint with a prior"
    ):
        load_prior(tmp_path)
    save_prior(prior, tmp_path)
    again = load_prior(tmp_path)
    assert again.config == TINY
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in prior.state_dict().items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"channels": 0},
            "prior: channels, steps, chunks, pixels and dilations must be at least 1",
        ),
        (
            {"time_shift": 0.0},
            "time_shift is 0.0 and guidance 0.7, expected above 0, and 0 or more",
        ),
        ({"guidance": -1.0}, "time_shift is 0.3 and guidance -1.0"),
        ({"dilations": ()}, "dilations must be at least 1"),
        (
            {"picture_px": (64, 60)},
            r"picture_px is \(64, 60\), expected height and width in multip",
        ),
    ],
)
def test_a_prior_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        PriorConfig(**wrong)
