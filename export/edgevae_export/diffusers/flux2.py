"""AutoencoderKLFlux2: the VAE of FLUX.2, whose latents are patches of 2x2 cells with statistics by channel.

    encoder   as AutoencoderKL   patches of cells to channels
    decoder   channels to patches of cells   as AutoencoderKL

diffusers makes the patches in its pipelines, and so counts 4 times the channels of `latent_channels`; here they are in
the graphs. The statistics are those of a batch normalisation among the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers import kl
from edgevae_export.foreign import ForeignVae, shared_copy

PATCH = 2
"""Cells of the network in each direction to a cell of the latents."""


class PatchEncoder(nn.Module):
    """Pixels to the moments of the posterior, in patches."""

    wraps = "encoder"  # see layer_names.py

    def __init__(
        self, vae: Any, *, channels: int
    ) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.encoder = kl.KlEncoder(vae)
        self.patches = nn.Conv2d(
            channels, channels * PATCH**2, PATCH, stride=PATCH, groups=channels, bias=False
        )
        # One weight of 1 a channel: pixel_unshuffle, which the exporter would write with computed shapes.
        one_each = torch.eye(PATCH**2).reshape(-1, 1, PATCH, PATCH).repeat(channels, 1, 1, 1)
        self.patches.weight = nn.Parameter(one_each)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.encoder(pixels)
        return self.patches(mean), self.patches(log_variance)


class PatchDecoder(nn.Module):
    """Latents in patches to pixels."""

    wraps = "decoder"  # see layer_names.py

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.decoder = kl.KlDecoder(vae)

    def forward(self, latents: Tensor) -> tuple[Tensor, ...]:
        pixels: tuple[Tensor, ...] = self.decoder(F.pixel_shuffle(latents, PATCH))
        return pixels


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderKLFlux2` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures in patches of 2x2.
    """
    config = vae.config
    channels, patch = (config.in_channels, config.out_channels), tuple(config.patch_size)
    halvings = len(config.block_out_channels) - 1
    doublings = len(config.decoder_block_out_channels or config.block_out_channels) - 1
    if channels != (3, 3) or patch != (PATCH, PATCH) or halvings != doublings:
        raise InputError(
            f"AutoencoderKLFlux2: got {channels[0]} channels in and {channels[1]} out, patches of {list(patch)}, "
            f"{halvings} halvings and {doublings} doublings, expected RGB, [2, 2] and the same number"
        )
    plain: Any = kl.plainer(shared_copy(vae))
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=PATCH * 2**halvings,
            latent_channels=PATCH**2 * config.latent_channels,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            latent_mean=tuple(vae.bn.running_mean.tolist()),
            latent_std=tuple((vae.bn.running_var + config.batch_norm_eps).sqrt().tolist()),
        ),
        encoder=PatchEncoder(plain, channels=config.latent_channels),
        decoder=PatchDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
    )


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of pictures one by one, in patches as its pipelines make them."""
    if role == "encoder":
        return F.pixel_unshuffle(kl.whole(vae, role, data), PATCH)
    return kl.whole(vae, role, F.pixel_shuffle(data, PATCH))
