"""Blocks of Wan 2.2: each halving and doubling has a shortcut without weights, across time too; patches of 2x2 pixels.

    down   x -> residual x n, halve ----------> +        up   x -> residual x n+1, double ---> +
           '--> average of neighbours --------> '             '--> copies of neighbours -----> '

Before a clip stands filler, which is zero to the averages, as diffusers pads a first frame; of the copies of a first
frame the last one counts, as everywhere.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgevae.errors import InputError
from edgevae_export.diffusers.causal import Call, join, split
from edgevae_export.diffusers.wan_layers import Step, layer


class Average(nn.Module):
    """`AvgDown3D`: values of s x s pixels in t frames, channel by channel, averaged in groups of neighbours."""

    def __init__(self, block: Any) -> None:  # Any: diffusers has no stubs, here and below
        super().__init__()
        self.frames, side = block.factor_t, block.factor_s
        channels, out, group = block.in_channels, block.out_channels, block.group_size
        if out % channels or block.factor % group:
            raise InputError(
                f"AvgDown3D: got {channels} channels to {out}, expected a multiple, as in Wan 2.2"
            )
        value = torch.arange(block.factor).reshape(self.frames, 1, side, side)
        result = torch.arange(out // channels).reshape(-1, 1, 1, 1)
        self.shares = nn.ModuleList()
        for place in value:
            conv = nn.Conv2d(channels, out, side, stride=side, groups=channels, bias=False)
            weight = (place // group == result).float() / group
            conv.weight = nn.Parameter(weight.repeat(channels, 1, 1, 1))
            self.shares.append(conv)

    def forward(self, step: Step, call: Call) -> Tensor:
        x, times, lead = step
        average: Tensor
        if self.frames == 1:
            average = self.shares[0](x)
        else:
            frames = call.blank(split(x, times), lead=lead)
            average = self.shares[0](join(frames[0::2])) + self.shares[1](join(frames[1::2]))
        return average


class Copies(nn.Module):
    """`DupUp3D`: each channel is as many neighbours in channels, frames, rows and columns as there is room for."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.frames, self.side = block.factor_t, block.factor_s
        source = torch.arange(block.out_channels * block.factor) // block.repeats
        by_frame = source.reshape(block.out_channels, self.frames, -1).transpose(0, 1)
        self.sources = nn.Buffer(by_frame.reshape(self.frames, -1))

    def forward(self, step: Step) -> Tensor:
        x, times, _ = step
        copies = [F.pixel_shuffle(x[:, which], self.side) for which in self.sources]
        if self.frames == 1:
            return copies[0]
        at_once = zip(*(split(copy, times) for copy in copies), strict=True)
        return join([frame for frames in at_once for frame in frames])


class ResidualDown(nn.Module):
    """`WanResidualDownBlock`."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        halving = [] if block.downsampler is None else [block.downsampler]
        self.layers = nn.ModuleList(map(layer, [*block.resnets, *halving]))
        self.shortcut = Average(block.avg_shortcut)

    def forward(self, step: Step, call: Call) -> Step:
        beside = self.shortcut(step, call)
        for one in self.layers:
            step = one(step, call)
        x, times, lead = step
        return x + beside, times, lead


class ResidualUp(nn.Module):
    """`WanResidualUpBlock`; the last one, which keeps the size, has no shortcut."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        doubling = [] if block.upsampler is None else [block.upsampler]
        self.layers = nn.ModuleList(map(layer, [*block.resnets, *doubling]))
        self.shortcut = None if block.avg_shortcut is None else Copies(block.avg_shortcut)

    def forward(self, step: Step, call: Call) -> Step:
        beside = None if self.shortcut is None else self.shortcut(step)
        for one in self.layers:
            step = one(step, call)
        x, times, lead = step
        return x if beside is None else x + beside, times, lead


def patch_weight(side: int) -> Tensor:
    """Return the weight `[3 * side^2, 3, side, side]` of a convolution that puts patches of pixels into channels.

    Columns come before rows, as in diffusers' `patchify`. A transposed convolution with it undoes that.
    """
    weight = torch.zeros(3, side, side, 3, side, side)
    for colour in range(3):
        for column in range(side):
            for row in range(side):
                weight[colour, column, row, colour, row, column] = 1.0
    return weight.reshape(-1, 3, side, side)
