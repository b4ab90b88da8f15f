"""AutoencoderKLHunyuanImage: the VAE of HunyuanImage 2.1, 32 pixels a cell.

    encoder   conv  [residual x n, space / 2] x 5  residual x n  residual, attention, residual  norm, conv + averages
    decoder   conv + copies  residual, attention, residual  [residual x n+1, space x 2] x 5  residual x n+1  norm, conv

Halving and doubling move pixels between space and channels, with averages and copies of channels beside them. Group
normalisation and attention see the whole picture, so there is no finite halo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError
from edgevae.spec import VaeSpec
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.kl import whole
from edgevae_export.diffusers.layers import attend
from edgevae_export.foreign import ForeignVae, shared_copy


class Attention(nn.Module):
    """`HunyuanImageAttentionBlock`: one head over all positions, softmax in float32."""

    def __init__(self, block: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.norm, self.proj = block.norm, block.proj
        self.to_q, self.to_k, self.to_v = block.to_q, block.to_k, block.to_v

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (to(y).flatten(2).transpose(1, 2) for to in (self.to_q, self.to_k, self.to_v))
        result: Tensor = x + self.proj(attend(q, k, v).transpose(1, 2).reshape(x.shape))
        return result


class Halve(nn.Module):
    """`HunyuanImageDownsample`: the four positions of a 2x2 patch one after the other in the channels."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv, self.averages = block.conv, averages(block.conv.in_channels, block.group_size)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x) + self.averages(x)
        rows = y[:, :, 0::2], y[:, :, 1::2]
        return torch.cat([row[..., column::2] for row in rows for column in (0, 1)], dim=1)


class Double(nn.Module):
    """`HunyuanImageUpsample`: back; the channels of its convolution in the order of a pixel shuffle."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        channels, out = block.conv.in_channels, block.conv.out_channels
        order = torch.arange(out).reshape(4, -1).T.flatten()
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.conv.weight = nn.Parameter(block.conv.weight.detach()[order])
        self.conv.bias = nn.Parameter(block.conv.bias.detach()[order])
        self.sources = nn.Buffer(order // block.repeats)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x) + x[:, self.sources], 2)


class HunyuanEncoder(nn.Module):
    """Pixels to the moments of the posterior."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        e = vae.encoder
        self.layers = nn.Sequential(e.conv_in, *e.down_blocks, e.mid_block)
        self.norm_out, self.conv_out = e.norm_out, e.conv_out
        self.averages = averages(e.conv_out.in_channels, e.group_size)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        x = self.layers(pixels)
        moments = self.conv_out(F.silu(self.norm_out(x))) + self.averages(x)
        mean, log_variance = moments.chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)


class HunyuanDecoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        d = vae.decoder
        self.conv_in, self.norm_out, self.conv_out = d.conv_in, d.norm_out, d.conv_out
        self.sources = nn.Buffer(torch.arange(d.conv_in.out_channels) // d.repeat)
        self.layers = nn.Sequential(d.mid_block, *d.up_blocks)

    def forward(self, latents: Tensor) -> tuple[Tensor]:
        x = self.layers(self.conv_in(latents) + latents[:, self.sources])
        return (self.conv_out(F.silu(self.norm_out(x))),)


def averages(channels: int, group: int) -> nn.Conv2d:
    """Return a layer that gives the average of so many neighbouring channels each."""
    out = channels // group
    conv = nn.Conv2d(channels, out, 1, groups=out, bias=False)
    conv.weight = nn.Parameter(torch.full((out, group, 1, 1), 1.0 / group))
    return conv


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderKLHunyuanImage` as what is exported.

    Raises:
        InputError: it is not one of RGB pictures, or an average would be of channels of two positions.
    """
    config = vae.config
    plain: Any = shared_copy(vae)
    kinds = {
        "HunyuanImageAttentionBlock": Attention,
        "HunyuanImageDownsample": Halve,
        "HunyuanImageUpsample": Double,
    }
    for block in list(plain.modules()):
        for name, child in list(block.named_children()):
            kind = type(child).__name__
            if kind == "HunyuanImageDownsample" and child.conv.in_channels % child.group_size:
                raise InputError(
                    f"AutoencoderKLHunyuanImage: got averages of {child.group_size} of {child.conv.in_channels} "
                    "channels, expected a divisor"
                )
            if kind in kinds:
                setattr(block, name, kinds[kind](child))
    if (config.in_channels, config.out_channels) != (3, 3):
        raise InputError(
            f"AutoencoderKLHunyuanImage: got {config.in_channels} channels in and {config.out_channels} out, "
            "expected RGB, 3 and 3"
        )
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=1,
            spatial_factor=config.spatial_compression_ratio,
            latent_channels=config.latent_channels,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=(),
            decoder_state=(),
            **unit_scale(vae, channels=config.latent_channels),
        ),
        encoder=HunyuanEncoder(plain),
        decoder=HunyuanDecoder(plain),
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
    )
