"""The overlapped transform: what a network on patches is before its first step."""

import numpy as np
import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import build
from edgevae.nn.config import VaeConfig
from edgevae.training.module import reconstruct
from edgevae.training.neighbours import fit_neighbours
from edgevae.training.overlap import cells_of, start_overlapped
from edgevae.training.principal import LATENT_STD, fit_components, patches_of, start_at_components

PATCHES = VaeConfig(
    kind="video",
    components=24,
    encoder_channels=(0, 0, 8),
    encoder_blocks=(0, 0, 1),
    decoder_channels=(8, 0, 0),
    decoder_blocks=(1, 0, 0),
    latent_channels=3,
)
PIXELS = VaeConfig(
    kind="video",
    encoder_channels=(4, 4, 4),
    encoder_blocks=(0, 0, 0),
    decoder_channels=(4, 4, 4),
    decoder_blocks=(0, 0, 0),
    latent_channels=3,
)


@pytest.fixture(scope="module")
def clips():
    """Soft ramps at random angles, drifting: what a cell misses of them its neighbours know."""
    rng = np.random.default_rng(5)
    t, y, x = np.meshgrid(np.arange(8) / 20, np.arange(40) / 40, np.arange(48) / 40, indexing="ij")
    waves = [
        [
            rng.uniform(0.3, 0.9) * np.sin(a * x + b * y + c * t + rng.uniform(0, 6))
            for _ in range(3)
        ]
        for a, b, c in rng.normal(0, 6, (96, 3))
    ]
    return torch.from_numpy(np.asarray(waves)).float().transpose(1, 2).contiguous()


@pytest.fixture(scope="module")
def components(clips):
    return fit_components(patches_of(clips, temporal_factor=4), count=24)


def started(clips, components, *, noise_share=0.1):
    vae = build(PATCHES)
    cells = cells_of(clips.split(8), components, temporal_factor=4)
    start_overlapped(vae, components, cells, noise_share=noise_share, seed=0)
    return vae


def error(vae, clips):
    with torch.no_grad():
        return (reconstruct(vae, clips) - clips).square().mean().item()


def test_it_is_better_than_principal_components_with_the_best_decoder(clips, components):
    pixels = build(PIXELS)
    start_at_components(pixels, components.first(3), noise_share=0.1)
    fit_neighbours(pixels, clips.split(8))
    assert error(started(clips, components), clips) < 0.9 * error(pixels, clips)


def test_no_small_change_of_the_decoder_is_better(clips, components):
    vae = started(clips, components)
    best, weight = error(vae, clips), vae.decoder.linear.weight.detach()
    for seed in range(4):
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        weight += 0.01 * weight.std() * noise
        assert error(vae, clips) > best
        weight -= 0.01 * weight.std() * noise


def test_latents_start_with_the_same_deviation_in_every_channel(clips, components):
    with torch.no_grad():
        posterior, _ = started(clips, components).encode(clips)
    deviations = posterior.mean.std((0, 1, 3, 4))
    assert torch.allclose(deviations, torch.tensor(LATENT_STD), atol=0.05)


def test_the_same_seed_gives_the_same_transform(clips, components):
    one, other = (started(clips, components).state_dict() for _ in range(2))
    fitted = [n for n in one if n.split(".")[1] in ("linear", "patches", "basis")]
    assert len(fitted) == 8
    assert all(torch.equal(one[n], other[n]) for n in fitted)


def test_cells_hold_all_but_what_the_components_miss(clips, components):
    cells = cells_of(clips.split(8), components, temporal_factor=4)
    assert cells.values.shape == (96, 2, 24, 5, 6)
    assert cells.values.flatten(0, 1).std((0, 2, 3)) == pytest.approx(torch.ones(24), abs=0.05)
    missed = float(cells.missed.mean()) * components.mean.numel()
    assert missed == pytest.approx(components.missed, rel=0.01)


def test_too_few_cells_are_refused(components):
    with pytest.raises(InputError, match="got 10 cells, expected at least 55; give more data"):
        started(torch.zeros(5, 4, 3, 8, 16), components)


def test_the_first_latents_say_most(clips, components):
    vae = started(clips, components)
    with torch.no_grad():
        latents = vae.encode(clips)[0].mean
        errors = []
        for order in ([0, 1, 2], [2, 1, 0]):
            for count in (1, 2, 3):
                kept = torch.zeros(3)
                kept[order[:count]] = 1.0
                made, _ = vae.decode(latents * kept.reshape(3, 1, 1))
                errors.append((made - clips).square().mean().item())
    first, last = errors[:3], errors[3:]
    assert first[0] > first[1] > first[2] == pytest.approx(last[2])
    assert first[0] < 0.95 * last[0]
    assert first[1] < 0.95 * last[1]


def test_the_latents_are_uncorrelated_and_of_one_size(clips, components):
    vae = started(clips, components)
    with torch.no_grad():
        latents = vae.encode(clips)[0].mean.transpose(0, 2).flatten(1)
    expected = LATENT_STD**2 * torch.eye(3)
    assert torch.allclose(torch.cov(latents), expected, atol=0.15 * LATENT_STD**2)
