"""The decoder's linear map over neighbouring cells: the best there is, and better than each cell by itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import build
from edgevae.nn.config import VaeConfig
from edgevae.training.module import reconstruct
from edgevae.training.neighbours import fit_neighbours
from edgevae.training.principal import fit_components, patches_of, start_at_components

CONFIG = VaeConfig(
    kind="image",
    encoder_channels=(4, 4, 4),
    encoder_blocks=(0, 0, 0),
    decoder_channels=(4, 4, 4),
    decoder_blocks=(0, 0, 0),
    latent_channels=3,
    linear_kernel=3,
    latent_bound=1e4,
)


@pytest.fixture
def clips():
    """Soft ramps at random angles: what a cell misses of them its neighbours know."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:40, 0:48] / 40.0
    waves = [
        [rng.uniform(0.3, 0.9) * np.sin(a * x + b * y + rng.uniform(0, 6)) for _ in range(3)]
        for a, b in rng.normal(0, 6, (120, 2))
    ]
    return torch.from_numpy(np.asarray(waves)).float()[:, None]


@pytest.fixture
def vae(clips):
    network = build(CONFIG)
    components = fit_components(patches_of(clips, temporal_factor=1), count=3)
    start_at_components(network, components, noise_share=0.1)
    return network


def inner_error(vae, clips):
    """Squared error over the cells that have all their neighbours."""
    with torch.no_grad():
        return (reconstruct(vae, clips) - clips)[..., 8:-8, 8:-8].square().mean().item()


def test_a_wider_kernel_starts_as_the_principal_components(vae, clips):
    narrow = build(replace(CONFIG, linear_kernel=1))
    start_at_components(
        narrow, fit_components(patches_of(clips, temporal_factor=1), count=3), noise_share=0.1
    )
    with torch.no_grad():
        assert torch.allclose(reconstruct(vae, clips), reconstruct(narrow, clips), atol=1e-5)


def test_neighbours_add_what_a_cell_by_itself_misses(vae, clips):
    before = inner_error(vae, clips)
    fit_neighbours(vae, clips.split(20))
    assert inner_error(vae, clips) < 0.6 * before


def test_no_small_change_of_the_map_is_better(vae, clips):
    fit_neighbours(vae, clips.split(20))
    best = inner_error(vae, clips)
    weight = vae.decoder.linear.weight.detach()
    for seed in range(8):
        noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        weight += 0.01 * weight.std() * noise
        assert inner_error(vae, clips) > best
        weight -= 0.01 * weight.std() * noise


def test_clips_without_inner_cells_are_refused(vae):
    with pytest.raises(InputError, match="got 2 cells, expected at least 28; give larger crops"):
        fit_neighbours(vae, torch.zeros(2, 1, 3, 24, 24).split(1))
