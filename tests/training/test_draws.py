"""What is drawn for a clip depends on the seed and its index only."""

from dataclasses import replace

import pytest
import torch

from edgevae.errors import ConfigError
from edgevae.training.draws import kept_channels, latent_noise


@pytest.fixture
def nested_run(tiny_run):
    return replace(
        tiny_run, model=replace(tiny_run.model, nested_channels=(1, 2)), nested_share=0.5
    )


def test_two_processes_draw_what_one_does(nested_run):
    shape = (6, 2, 4, 3, 3)
    whole = latent_noise(nested_run, shape, first=12)
    halves = [latent_noise(nested_run, (3, *shape[1:]), first=first) for first in (12, 15)]
    assert torch.equal(whole, torch.cat(halves))
    kept = [kept_channels(nested_run, 3, first=first) for first in (12, 15)]
    assert torch.equal(kept_channels(nested_run, 6, first=12), torch.cat(kept))


def test_noise_is_normal_and_differs_from_clip_to_clip(tiny_run):
    noise = latent_noise(tiny_run, (40, 4, 4, 8, 8), first=0)
    assert noise.mean().item() == pytest.approx(0.0, abs=0.02)
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    assert len({clip.sum().item() for clip in noise}) == 40


def test_a_share_of_the_clips_keeps_each_smaller_number_of_channels(nested_run):
    kept = kept_channels(nested_run, 2000, first=0)
    assert torch.equal(kept, kept.sort(1, descending=True).values)  # always the first ones
    counts = torch.bincount(kept.sum(1).int(), minlength=5) / 2000
    assert counts.tolist() == pytest.approx([0.0, 0.25, 0.25, 0.0, 0.5], abs=0.04)


def test_a_model_that_is_not_nested_keeps_all(tiny_run):
    assert kept_channels(tiny_run, 4, first=0) is None
    with pytest.raises(ConfigError, match=r"nested_share is 0\.2, expected 0 for a model without"):
        replace(tiny_run, nested_share=0.2)
