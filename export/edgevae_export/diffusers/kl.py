"""AutoencoderKL: the VAE of Stable Diffusion, SDXL, SD3 and FLUX.

    encoder   conv_in  [ResNet blocks, stride 2] x n  mid(ResNet, attention, ResNet)  norm, conv_out  quant_conv
    decoder   post_quant_conv  conv_in  mid(...)  [ResNet blocks, nearest x 2, conv] x n  norm, conv_out

Group normalisation and attention see the whole picture, so there is no finite halo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.layers import NearestUp, PictureAttention
from edgevae_export.foreign import ForeignVae, shared_copy
from edgevae_export.precision import HEADROOM, WARNED_HEADROOM


class KlEncoder(nn.Module):
    """Pixels to the moments of the posterior."""

    def __init__(self, vae: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv or nn.Identity()

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance = self.quant_conv(self.encoder(pixels)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)


class KlDecoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.decoder, self.post_quant_conv = vae.decoder, vae.post_quant_conv or nn.Identity()

    def forward(self, latents: Tensor) -> tuple[Tensor, ...]:
        return (self.decoder(self.post_quant_conv(latents)),)


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderKL` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures.
    """
    config = vae.config
    if (config.in_channels, config.out_channels) != (3, 3):
        raise InputError(
            f"AutoencoderKL: got {config.in_channels} channels in and {config.out_channels} out, expected RGB, 3 and 3"
        )
    plain = plainer(shared_copy(vae))
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=2 ** (len(config.block_out_channels) - 1),
            latent_channels=config.latent_channels,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.latent_channels),
        ),
        encoder=KlEncoder(plain),
        decoder=KlDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
        headroom=WARNED_HEADROOM if config.force_upcast else HEADROOM,
    )


def plainer(vae: Any) -> Any:
    """Replace the layers that ask for shapes while they run by the same arithmetic without questions, in place."""
    from diffusers.models.attention_processor import Attention
    from diffusers.models.upsampling import Upsample2D

    for block in list(vae.modules()):
        for name, child in list(block.named_children()):
            if isinstance(child, Attention):
                setattr(block, name, PictureAttention(child))
            elif isinstance(child, Upsample2D):
                setattr(block, name, NearestUp(child))
    return vae


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of pictures one by one, in the network's own scale."""
    if role == "encoder":
        return torch.cat([vae.encode(picture[None]).latent_dist.mode() for picture in data])
    return torch.cat([vae.decode(latents[None]).sample for latents in data])
