"""The principal-component start: before the first step the VAE is the analysis itself."""

import math

import numpy as np
import pytest
import torch

from edgevae.errors import InputError
from edgevae.nn.checkpoint import build
from edgevae.nn.config import VaeConfig
from edgevae.training.module import reconstruct
from edgevae.training.principal import LATENT_STD, fit_components, patches_of, start_at_components

TINY = {
    "encoder_channels": (4, 4, 4),
    "encoder_blocks": (1, 1, 1),
    "decoder_channels": (4, 4, 4),
    "decoder_blocks": (1, 1, 1),
    "latent_channels": 6,
}


def smooth_clips(count, frames):
    """Clips of coloured gradients with a little noise: they compress well, and no two axes look alike."""
    rng = np.random.default_rng(7)
    t, y, x = np.meshgrid(np.arange(frames), np.arange(32), np.arange(40), indexing="ij")
    waves = [
        [
            rng.uniform(0.2, 0.8)
            * np.sin(rng.normal(0, 0.2) * x + rng.normal(0, 0.1) * y + 0.3 * t + rng.uniform(0, 6))
            for _ in range(3)
        ]
        for _ in range(count)
    ]
    clips = np.asarray(waves).transpose(0, 2, 1, 3, 4) + 0.02 * rng.standard_normal(
        (count, frames, 3, 32, 40)
    )
    return torch.from_numpy(clips).float()


def unpatch(patches, like, factor):
    """The inverse of `patches_of`, written the other way round."""
    b, t, c, h, w = like.shape
    clips = torch.empty_like(like)
    n = iter(patches)
    for i in range(b):
        for k in range(0, t, factor):
            for y in range(0, h, 8):
                for x in range(0, w, 8):
                    clips[i, k : k + factor, :, y : y + 8, x : x + 8] = next(n).reshape(
                        factor, c, 8, 8
                    )
    return clips


@pytest.mark.parametrize(("kind", "factor"), [("video", 4), ("image", 1)])
def test_before_the_first_step_the_reconstruction_is_that_of_the_principal_components(kind, factor):
    clips = smooth_clips(40, 4 * factor if factor > 1 else 3)
    patches = patches_of(clips, temporal_factor=factor)
    components = fit_components(patches, count=6)
    # A bound so wide that it bends nothing, so that the comparison is exact.
    vae = build(VaeConfig(kind=kind, latent_bound=1e4, **TINY))
    start_at_components(vae, components, noise_share=0.1)
    with torch.no_grad():
        made = reconstruct(vae, clips)

    centred = patches.double() - components.mean
    expected = centred @ components.vectors.T @ components.vectors + components.mean
    assert torch.allclose(made, unpatch(expected.float(), clips, factor), atol=2e-4)
    assert (made - clips).square().mean() < 0.3 * clips.var()  # and it is no empty match


def test_latents_start_with_the_same_deviation_in_every_channel():
    clips = smooth_clips(40, 8)
    components = fit_components(patches_of(clips, temporal_factor=4), count=6)
    vae = build(VaeConfig(kind="video", **TINY))
    start_at_components(vae, components, noise_share=0.1)
    with torch.no_grad():
        posterior, _ = vae.encode(clips)
    assert torch.allclose(posterior.mean.std((0, 1, 3, 4)), torch.tensor(LATENT_STD), atol=0.01)
    assert posterior.mean.mean().abs() < 1e-3


def test_the_posterior_starts_with_the_noise_that_was_asked_for():
    clips = smooth_clips(40, 8)
    patches = patches_of(clips, temporal_factor=4)
    components = fit_components(patches, count=6)
    vae = build(VaeConfig(kind="video", latent_bound=1e4, **TINY))
    start_at_components(vae, components, noise_share=0.5)
    with torch.no_grad():
        posterior, _ = vae.encode(clips)
        noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(0))
        noisy, clean = (
            vae.decode(posterior.sample(n))[0] for n in (noise, torch.zeros_like(noise))
        )
    missed = (clean - clips).square().mean()
    assert (noisy - clean).square().mean() == pytest.approx(0.5 * float(missed), rel=0.1)


def test_components_are_orthonormal_and_in_falling_order():
    patches = patches_of(smooth_clips(40, 4), temporal_factor=4)
    components = fit_components(patches, count=6)
    assert torch.allclose(
        components.vectors @ components.vectors.T, torch.eye(6, dtype=torch.float64), atol=1e-9
    )
    assert (components.deviations.diff() <= 0).all()
    total = float(components.deviations.square().sum()) + components.missed
    assert total == pytest.approx(float(patches.double().var(0).sum()), rel=1e-6)


def test_data_without_any_variation_gives_a_finite_start():
    clips = torch.full((40, 8, 3, 32, 40), 0.25)
    vae = build(VaeConfig(kind="video", **TINY))
    start_at_components(
        vae, fit_components(patches_of(clips, temporal_factor=4), count=6), noise_share=0.1
    )
    assert all(math.isfinite(float(p.detach().abs().max())) for p in vae.parameters())
    with torch.no_grad():
        assert torch.allclose(reconstruct(vae, clips), clips, atol=1e-3)


def test_too_few_patches_are_refused():
    with pytest.raises(InputError, match="got 100 patches, expected at least 768"):
        fit_components(torch.zeros(100, 768), count=16)
