"""What the configurations of diffusers have in common: how latents get unit scale."""

from __future__ import annotations

from typing import Any, TypedDict

from torch import nn


class UnitScale(TypedDict):
    """The part of a `VaeSpec` that gives latents unit scale."""

    latent_mean: tuple[float, ...]
    latent_std: tuple[float, ...]


def unit_scale(vae: nn.Module, *, channels: int) -> UnitScale:
    """Return `latent_mean` and `latent_std` of a `VaeSpec`, as diffusers' pipelines scale latents.

        unit = (own - shift_factor) * scaling_factor                      Stable Diffusion, FLUX
        unit = (own - latents_mean) * scaling_factor / latents_std        where there are statistics by channel

    Args:
        vae: A model of diffusers.
        channels: C of its latents.
    """
    config: Any = vae.config  # Any: diffusers has no stubs
    mean, std = config.get("latents_mean"), config.get("latents_std")
    scale, shift = config.get("scaling_factor") or 1.0, config.get("shift_factor") or 0.0
    return {
        "latent_mean": tuple(float(m) for m in mean) if mean else (float(shift),) * channels,
        "latent_std": tuple(float(s) / scale for s in std) if std else (1.0 / scale,) * channels,
    }
