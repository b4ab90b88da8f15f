"""AutoencoderTiny: TAESD and its relatives, convolutions and ReLU alone.

    encoder   conv [blocks of 3 convs, stride 2] x n  conv
    decoder   tanh clamp, conv [blocks of 3 convs, nearest x 2, conv] x n  conv

Each layer sees its neighbours only, so tiles that overlap by the halo are exact.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.frames import round_up
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.foreign import ForeignVae, shared_copy


class TinyEncoder(nn.Module):
    """Pixels to latents; there is no posterior."""

    def __init__(self, vae: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.encoder = vae.encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, None]:
        return self.encoder(pixels), None


class TinyDecoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.decoder = vae.decoder

    def forward(self, latents: Tensor) -> tuple[Tensor]:
        return (self.decoder(latents),)


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderTiny` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures, or its two halves have different factors.
    """
    config = vae.config
    factor = 2 ** (len(config.encoder_block_out_channels) - 1)
    up = config.upsampling_scaling_factor ** (len(config.decoder_block_out_channels) - 1)
    if (config.in_channels, config.out_channels, up) != (3, 3, factor):
        raise InputError(
            f"AutoencoderTiny: got {config.in_channels} channels in and {config.out_channels} out, {factor} pixels a "
            f"cell in and {up} out, expected RGB and the same factor"
        )
    plain: Any = shared_copy(vae)
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=factor,
            latent_channels=config.latent_channels,
            encoder_halo_px=encoder_halo_px(plain.encoder, cell_px=factor),
            decoder_halo_cells=decoder_halo_cells(plain.decoder),
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.latent_channels),
        ),
        encoder=TinyEncoder(plain),
        decoder=TinyDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=False,
    )


def encoder_halo_px(encoder: nn.Module, *, cell_px: int) -> int:
    """Return how many pixels outside a tile its latents can see, in whole latent cells."""
    halo = 0
    for conv in reversed([m for m in encoder.modules() if isinstance(m, nn.Conv2d)]):
        halo = halo * conv.stride[0] + _reach(conv)
    return round_up(halo, cell_px)


def decoder_halo_cells(decoder: nn.Module) -> int:
    """Return how many latent cells outside a tile its frames can see."""
    halo = 0
    for layer in reversed(
        [m for m in decoder.modules() if isinstance(m, (nn.Conv2d, nn.Upsample))]
    ):
        halo = -(-halo // 2) if isinstance(layer, nn.Upsample) else halo + _reach(layer)
    return halo


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of pictures one by one, in the network's own scale."""
    if role == "encoder":
        return torch.cat([vae.encode(picture[None]).latents for picture in data])
    return torch.cat([vae.decode(latents[None]).sample for latents in data])


def _reach(conv: nn.Conv2d) -> int:
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], conv.padding[0]
    assert isinstance(padding, int), "diffusers gives its padding in numbers"
    return max(padding, kernel - padding - stride)
