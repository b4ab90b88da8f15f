"""AutoencoderKLWan: the VAE of Wan 2.1, causal in time, 1 + 4k frames; diffusers' list of features as explicit state.

    encoder   conv  [residual x n, space / 2 (time / 2)] x 4  residual, attention, residual  norm, conv  quant
    decoder   quant  conv  residual, attention, residual  [residual x n+1, (time x 2) space x 2] x 4  norm, conv

Frames are folded into the batch, `[B*T, C, H, W]`; only `CausalConv`, `Halve` and `Double` look across time. Attention
sees the whole frame, so there is no finite halo.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError
from edgevae.spec import Role, VaeSpec
from edgevae_export.diffusers.causal import (
    Call,
    CausalConv,
    flat_conv,
    join,
    split,
    state_specs,
)
from edgevae_export.diffusers.configuration import unit_scale
from edgevae_export.diffusers.layers import ChannelNorm, attend
from edgevae_export.foreign import ForeignVae

Step = tuple[Tensor, int, int]
"""Features `[B*T, C, H, W]`, T, and how many of these are filler at the start of a clip."""


class Residual(nn.Module):
    """`WanResidualBlock`."""

    def __init__(self, block: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(block.norm1.gamma), ChannelNorm(block.norm2.gamma)
        self.conv1, self.conv2 = (
            CausalConv(block.conv1, padding=1),
            CausalConv(block.conv2, padding=1),
        )
        plain = isinstance(block.conv_shortcut, nn.Identity)
        self.shortcut = nn.Identity() if plain else flat_conv(block.conv_shortcut)

    def forward(self, step: Step, call: Call) -> Step:
        x, times, lead = step
        y = self.conv1(F.silu(self.norm1(x)), call, times=times, lead=lead)
        y = self.conv2(F.silu(self.norm2(y)), call, times=times, lead=lead)
        return self.shortcut(x) + y, times, lead


class FrameAttention(nn.Module):
    """`WanAttentionBlock`: over all positions of one frame."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm, self.to_qkv, self.proj = ChannelNorm(block.norm.gamma), block.to_qkv, block.proj

    def forward(self, step: Step, call: Call) -> Step:
        x, times, lead = step
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        seen = attend(q, k, v).transpose(1, 2).reshape(x.shape)
        return x + self.proj(seen), times, lead


class Halve(nn.Module):
    """`WanResample` down: half the size, and with a `time_conv` every other frame, from itself and two before."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.space = block.resample
        timed = block.mode == "downsample3d"
        self.time = CausalConv(block.time_conv, padding=0).conv if timed else None

    def forward(self, step: Step, call: Call) -> Step:
        x, times, lead = step
        x = self.space(x)
        if self.time is None:
            return x, times, lead
        frames, after = split(x, times), (lead - 1) // 2
        seen = call.past(frames, count=1) + frames
        halved = split(
            self.time(join([torch.cat(seen[i : i + 3], dim=1) for i in range(0, times, 2)])),
            times // 2,
        )
        halved[after] = call.choose(halved[after], frames[lead].to(halved[after].dtype))
        return join(halved), times // 2, after


class Double(nn.Module):
    """`WanResample` up: with a `time_conv` each frame becomes two, the first of a clip stays one; twice the size."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv = block.resample[1]
        timed = block.mode == "upsample3d"
        self.time = CausalConv(block.time_conv, padding=0) if timed else None

    def forward(self, step: Step, call: Call) -> Step:
        x, times, lead = step
        if self.time is not None:
            first = split(x, times)[lead]
            # The first frame of a clip does not pass through here, so those after it do not see it.
            pairs = split(self.time(x, call, times=times, lead=lead + 1), times)
            frames = [frame for pair in pairs for frame in pair.chunk(2, dim=1)]
            times, lead = 2 * times, 2 * lead + 1
            frames[lead] = call.choose(frames[lead], first.to(frames[lead].dtype))
            x = join(frames)
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest")), times, lead


class Edge(nn.Module):
    """The first or, behind a normalisation, the last convolution."""

    def __init__(self, conv: Any, norm: Any = None) -> None:
        super().__init__()
        self.norm = None if norm is None else ChannelNorm(norm.gamma)
        self.conv = CausalConv(conv, padding=1)

    def forward(self, step: Step, call: Call) -> Step:
        x, times, lead = step
        if self.norm is not None:
            x = F.silu(self.norm(x))
        return self.conv(x, call, times=times, lead=lead), times, lead


class WanEncoder(nn.Module):
    """Pixels and state to the moments of the posterior and the next state."""

    chunk_frames = 4

    def __init__(self, vae: Any) -> None:
        super().__init__()
        e = vae.encoder
        middle = [*e.down_blocks, e.mid_block.resnets[0]]
        for attention, residual in zip(
            e.mid_block.attentions, e.mid_block.resnets[1:], strict=True
        ):
            middle += [attention, residual]
        self.layers = nn.ModuleList(
            [Edge(e.conv_in), *map(_layer, middle), Edge(e.conv_out, e.norm_out)]
        )
        self.quant_conv = flat_conv(vae.quant_conv)

    def forward(self, pixels: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        call = Call(state, like=pixels)
        step = (pixels, self.chunk_frames, 3)
        for layer in self.layers:
            step = layer(step, call)
        mean, log_variance = self.quant_conv(step[0]).chunk(2, dim=1)
        return (mean, log_variance.clamp(-30.0, 20.0), *call.following)


class WanDecoder(nn.Module):
    """Latents and state to pixels and the next state."""

    chunk_frames = 4

    def __init__(self, vae: Any) -> None:
        super().__init__()
        d = vae.decoder
        self.quant_conv = flat_conv(vae.post_quant_conv)
        middle = [d.mid_block.resnets[0]]
        for attention, residual in zip(
            d.mid_block.attentions, d.mid_block.resnets[1:], strict=True
        ):
            middle += [attention, residual]
        for block in d.up_blocks:
            middle += [*block.resnets, *(block.upsamplers or [])]
        self.layers = nn.ModuleList(
            [Edge(d.conv_in), *map(_layer, middle), Edge(d.conv_out, d.norm_out)]
        )

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        call = Call(state, like=latents)
        step = (self.quant_conv(latents), self.chunk_frames // 4, 0)
        for layer in self.layers:
            step = layer(step, call)
        return (step[0], *call.following)


def adapt(vae: Any) -> ForeignVae:
    """Return an `AutoencoderKLWan` as what is exported.

    Raises:
        InputError: it is one of Wan 2.2, or has not its four-fold time and eight-fold space.
    """
    config = vae.config
    if config.is_residual or config.patch_size is not None:
        raise InputError(
            "AutoencoderKLWan: got the one of Wan 2.2 (is_residual, patch_size), whose shortcuts across time have no "
            "streaming graph yet; expected that of Wan 2.1"
        )
    if sum(config.temperal_downsample) != 2 or len(config.dim_mult) != 4 or config.in_channels != 3:
        raise InputError(
            "AutoencoderKLWan: expected RGB in 3 halvings of space, 2 of them of time, as diffusers' own encode has it"
        )
    encoder, decoder = WanEncoder(vae), WanDecoder(vae)
    with torch.no_grad():
        _, _, *encoder_state = encoder(torch.zeros(4, 3, 16, 16))
        _, *decoder_state = decoder(torch.zeros(1, config.z_dim, 2, 2))
    return ForeignVae(
        spec=VaeSpec(
            temporal_factor=4,
            spatial_factor=8,
            latent_channels=config.z_dim,
            encoder_halo_px=None,
            decoder_halo_cells=None,
            encoder_state=state_specs(encoder_state, prefix="encoder", height_px=16),
            decoder_state=state_specs(decoder_state, prefix="decoder", height_px=16),
            lead_frames=3,
            **unit_scale(vae, channels=config.z_dim),
        ),
        encoder=encoder,
        decoder=decoder,
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


def _layer(block: Any) -> nn.Module:
    kinds = {
        "WanResidualBlock": Residual,
        "WanAttentionBlock": FrameAttention,
        "WanResample": Halve if str(getattr(block, "mode", "")).startswith("down") else Double,
    }
    return kinds[type(block).__name__](block)
