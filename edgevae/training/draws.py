"""What is drawn at random for a clip in a step, beside its pixels: a function of the run's seed and the clip's index.

Drawn on the CPU, so that it is the same on any device, however many processes divide the clips.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edgevae.training.config import TrainConfig

_KEPT = 0x5851F42D4C957F2D
"""Sets the numbers that decide about channels apart from those that are noise."""


def latent_noise(config: TrainConfig, shape: tuple[int, ...], *, first: int) -> Tensor:
    """Return noise from N(0, 1) for the clips from index `first` on, of `shape` `[B, t, C, h, w]`."""
    noise = torch.empty(shape, pin_memory=torch.cuda.is_available())
    for i in range(shape[0]):
        torch.randn(shape[1:], generator=_generator(config.seed, first + i), out=noise[i])
    return noise


def kept_channels(config: TrainConfig, clips: int, *, first: int) -> Tensor | None:
    """Return which latent channels the decoder is given, 0 or 1 `[B, C]`; None where it is given all of all clips.

    A share `nested_share` of the clips has one of the model's smaller numbers of channels, each as often as the others.
    """
    model = config.vae_config
    if not config.nested_share:
        return None
    counts = torch.full((clips, 1), model.latent_channels)
    for i in range(clips):
        share, level = torch.rand(2, generator=_generator(config.seed ^ _KEPT, first + i)).tolist()
        if share < config.nested_share:
            counts[i] = model.nested_channels[int(level * len(model.nested_channels))]
    return (torch.arange(model.latent_channels) < counts).float()


def seed_of(seed: int, index: int) -> int:
    """Return one number for a seed and an index; two runs with neighbouring seeds share no number."""
    return (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9) & 0x7FFF_FFFF_FFFF_FFFF


def _generator(seed: int, index: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(seed, index))
