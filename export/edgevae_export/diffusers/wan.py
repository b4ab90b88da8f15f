"""AutoencoderKLWan: the VAE of Wan 2.1 and 2.2, causal in time, 1 + 4k frames; diffusers' list of features as state.

    encoder   conv  [residual x n, space / 2 (time / 2)] x 4  residual, attention, residual  norm, conv  quant
    decoder   quant  conv  residual, attention, residual  [residual x n+1, (time x 2) space x 2] x 4  norm, conv

Wan 2.2 works on patches of 2x2 pixels, and has shortcuts around its halvings and doublings (`wan_residual.py`).
Attention sees the whole frame, so there is no finite halo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.causal import Call, flat_conv, state_specs
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.wan_layers import Edge, layer, middle
from edgevae_export.diffusers.wan_residual import ResidualDown, ResidualUp, patch_weight
from edgevae_export.foreign import ForeignVae


class WanEncoder(nn.Module):
    """Pixels and state to the moments of the posterior and the next state."""

    chunk_frames = 4

    def __init__(self, vae: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        e, patch = vae.encoder, vae.config.get("patch_size")
        self.patches = nn.Identity() if patch is None else to_patches(patch)
        blocks = map(ResidualDown if vae.config.get("is_residual") else layer, e.down_blocks)
        self.layers = nn.ModuleList(
            [Edge(e.conv_in), *blocks, *middle(e.mid_block), Edge(e.conv_out, e.norm_out)]
        )
        self.quant_conv = flat_conv(vae.quant_conv)

    def forward(self, pixels: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        call = Call(state, like=pixels)
        step = (self.patches(pixels), self.chunk_frames, 3)
        for one in self.layers:
            step = one(step, call)
        mean, log_variance = self.quant_conv(step[0]).chunk(2, dim=1)
        return (mean, log_variance.clamp(-30.0, 20.0), *call.following)


class WanDecoder(nn.Module):
    """Latents and state to pixels and the next state."""

    chunk_frames = 4

    def __init__(self, vae: Any) -> None:
        super().__init__()
        d, patch = vae.decoder, vae.config.get("patch_size")
        self.quant_conv = flat_conv(vae.post_quant_conv)
        blocks: list[nn.Module] = []
        for block in d.up_blocks:
            if vae.config.get("is_residual"):
                blocks.append(ResidualUp(block))
            else:
                blocks += map(layer, [*block.resnets, *(block.upsamplers or [])])
        self.layers = nn.ModuleList(
            [Edge(d.conv_in), *middle(d.mid_block), *blocks, Edge(d.conv_out, d.norm_out)]
        )
        self.pixels = nn.Identity() if patch is None else from_patches(patch)

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        call = Call(state, like=latents)
        step = (self.quant_conv(latents), self.chunk_frames // 4, 0)
        for one in self.layers:
            step = one(step, call)
        return (self.pixels(step[0]), *call.following)


def to_patches(side: int) -> nn.Conv2d:
    """Return a layer from pixels to patches."""
    conv = nn.Conv2d(3, 3 * side * side, side, stride=side, bias=False)
    conv.weight = nn.Parameter(patch_weight(side))
    return conv


def from_patches(side: int) -> nn.ConvTranspose2d:
    """Return a layer from patches to pixels."""
    conv = nn.ConvTranspose2d(3 * side * side, 3, side, stride=side, bias=False)
    conv.weight = nn.Parameter(patch_weight(side))
    return conv


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderKLWan` as what is exported.

    Raises:
        InputError: it is not one of RGB clips, or has not its four-fold time and three halvings of space.
    """
    config = vae.config
    patch = config.patch_size or 1
    rgb = config.in_channels == config.out_channels == 3 * patch * patch
    if sum(config.temperal_downsample) != 2 or len(config.dim_mult) != 4 or not rgb:
        raise InputError(
            "AutoencoderKLWan: expected RGB in 3 halvings of space, 2 of them of time, as diffusers' own encode has it"
        )
    encoder, decoder, cell = WanEncoder(vae), WanDecoder(vae), 8 * patch
    with torch.no_grad():
        _, _, *encoder_state = encoder(torch.zeros(4, 3, 2 * cell, 2 * cell))
        _, *decoder_state = decoder(torch.zeros(1, config.z_dim, 2, 2))
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=4,
            spatial_factor=cell,
            latent_channels=config.z_dim,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=state_specs(encoder_state, prefix="encoder", height_px=2 * cell),
            decoder_state=state_specs(decoder_state, prefix="decoder", height_px=2 * cell),
            lead_frames=3,
            **unit_scale(vae, channels=config.z_dim),
        ),
        encoder=encoder,
        decoder=decoder,
        own=vae,
        whole=lambda role, data: whole(vae, role, data),
        has_log_variance=True,
    )


def whole(vae: Any, role: Role, data: Tensor) -> Tensor:
    """Return what diffusers makes of a whole clip, in the network's own scale."""
    clip = data.transpose(0, 1)[None]
    result: Tensor = (
        vae.encode(clip).latent_dist.mode() if role == "encoder" else vae.decode(clip).sample
    )
    return result[0].transpose(0, 1)
