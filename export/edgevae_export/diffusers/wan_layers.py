"""Layers of AutoencoderKLWan as streaming ones: each takes and gives frames, how many, and how many are filler.

Frames are folded into the batch, `[B*T, C, H, W]`; only `CausalConv`, `Halve` and `Double` look across time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae_export.diffusers.causal import Call, CausalConv, flat_conv, join, split
from edgevae_export.diffusers.layers import ChannelNorm, attend

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


def middle(block: Any) -> list[nn.Module]:
    """Return the layers of `WanMidBlock`."""
    first, *others = block.resnets
    pairs = zip(block.attentions, others, strict=True)
    return [layer(first), *(layer(one) for pair in pairs for one in pair)]


def layer(block: Any) -> nn.Module:
    """Return a layer of diffusers as a streaming one; Qwen-Image's are copies of Wan's under other names."""
    kinds = {
        "ResidualBlock": Residual,
        "AttentionBlock": FrameAttention,
        "Resample": Halve if str(getattr(block, "mode", "")).startswith("down") else Double,
    }
    return kinds[type(block).__name__.removeprefix("Wan").removeprefix("QwenImage")](block)
