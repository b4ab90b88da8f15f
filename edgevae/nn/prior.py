"""The prior: noise to the latents of the next chunk of a clip, with a memory of the chunks before it.

    noise ---------> [ prior ] -> latents of a chunk -> decoder -> frames
                      ^     |
                      +-----+ memory: the latents of the last chunks; zeros where a clip begins

It is a flow (rectified flow, Liu et al. 2022, https://arxiv.org/abs/2209.03003): a network says in which direction
latents lie from a mixture of noise and latents, and a call follows it from noise at time 0 to latents at time 1. All
its steps are in the one graph. Each asks for the direction twice, with the memory and without, and goes further where
the memory leads than was learnt, by the guidance (Ho and Salimans 2022, https://arxiv.org/abs/2207.12598).
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgevae.nn.blocks import conv
from edgevae.nn.prior_config import PriorConfig
from edgevae.spec import TensorSpec

_WAVES = 8
_TIME_CHANNELS = 64


class FlowBlock(nn.Module):
    """x + conv(silu(conv(silu(x)) * (1 + scale) + shift)): a residual block that is told the time."""

    def __init__(self, channels: int, *, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.modulation = nn.Conv2d(_TIME_CHANNELS, 2 * channels, 1)
        self.conv2 = conv(channels, channels)
        for layer in (self.modulation, self.conv2):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None, "our convolutions have biases"
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Return `[N, C, h, w]` of the same; time is `[N, 64, 1, 1]`, or one for all."""
        scale, shift = self.modulation(time).chunk(2, 1)
        hidden = self.conv1(F.silu(x)) * (1.0 + scale) + shift
        change: Tensor = self.conv2(F.silu(hidden))
        return x + change


class Prior(nn.Module):
    """Noise `[B*t, C, h, w]` from N(0, 1) to latents of unit scale of the same shape; t is the chunk's steps.

        mixture ------ stem -+- blocks, dilated, told the time - silu - head - direction
        memory - conv -------+

    Dilated convolutions see the whole of a small picture without halving it, so that any number of cells will do.
    """

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.stem = conv(self._chunk_channels, width)
        self.past = conv(self._memory_channels, width)
        self.past_block = conv(width, width)
        self.time = nn.Conv2d(2 * _WAVES, _TIME_CHANNELS, 1)
        self.blocks = nn.ModuleList(FlowBlock(width, dilation=d) for d in config.dilations)
        self.head = conv(width, self._chunk_channels)
        nn.init.zeros_(self.head.weight)
        self.register_buffer("waves", _waves(torch.tensor(config.times[:-1])), persistent=False)

    def forward(self, noise: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latents of a chunk and the next memory.

        Args:
            noise: float32 `[B*t, C, h, w]`.
            memory: `[B, M, h, w]`; zeros at the start of a clip.
        """
        _, c, h, w = noise.shape
        steps, guidance, times = self.config.chunk_steps, self.config.guidance, self.config.times
        mixture = noise.reshape(-1, steps * c, h, w)
        seen, told = self.seen(memory), F.silu(self.time(self.get_buffer("waves")))
        unseen = self.seen(0.0 * memory) if guidance else seen
        for i, (start, end) in enumerate(itertools.pairwise(times)):
            now, time = mixture.to(memory.dtype), told[i : i + 1]
            step = self._direction(now, time, seen).to(noise.dtype)
            if guidance:
                without = self._direction(now, time, unseen).to(noise.dtype)
                step = step + guidance * (step - without)
            mixture = mixture + (end - start) * step
        return mixture.reshape(-1, c, h, w), self.remember(memory, mixture.to(memory.dtype))

    def direction(self, mixture: Tensor, at: Tensor, memory: Tensor) -> Tensor:
        """Return latents less noise, as far as they can be told from a mixture.

        Args:
            mixture: `[B, t*C, h, w]`, a share `at` of latents and the rest of noise.
            at: `[B]`, 0..1.
            memory: `[B, M, h, w]`.
        """
        return self._direction(mixture, F.silu(self.time(_waves(at))), self.seen(memory))

    def seen(self, memory: Tensor) -> Tensor:
        """Return what the blocks are told of the past, `[B, channels, h, w]`."""
        hidden: Tensor = self.past(memory)
        change: Tensor = self.past_block(F.silu(hidden))
        return hidden + change

    def remember(self, memory: Tensor, chunk: Tensor) -> Tensor:
        """Return the memory after a chunk `[B, t*C, h, w]`: the oldest chunk goes, with its channel of ones.

        Zeros would be the average latents. Where the ones are 0 there was no chunk.
        """
        ones = 0.0 * chunk[:, :1] + 1.0  # as a constant it would need a shape
        return torch.cat([memory[:, self._chunk_channels + 1 :], chunk, ones], 1)

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """The memory, as a cache of its graph."""
        cell = self.config.cell_px
        shape = ("batch", self._memory_channels, f"height/{cell}", f"width/{cell}")
        return (TensorSpec(name="prior_memory", dtype="float32", shape=shape),)

    @property
    def _chunk_channels(self) -> int:
        return self.config.chunk_steps * self.config.latent_channels

    @property
    def _memory_channels(self) -> int:
        return self.config.past_chunks * (self._chunk_channels + 1)

    def _direction(self, mixture: Tensor, time: Tensor, seen: Tensor) -> Tensor:
        x = self.stem(mixture) + seen
        for block in self.blocks:
            x = block(x, time)
        direction: Tensor = self.head(F.silu(x))
        return direction


def _waves(at: Tensor) -> Tensor:
    """Return times `[N]` in 0..1 as half and whole waves `[N, 16, 1, 1]`."""
    angle = at[:, None] * math.pi * torch.arange(1, _WAVES + 1, device=at.device)
    return torch.cat([angle.sin(), angle.cos()], 1)[:, :, None, None]
