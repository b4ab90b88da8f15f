"""Encoder and decoder that work on patches: T x 8 x 8 pixels as so many principal components, all at 1/8 of the size.

    frames   - patches - components -+- stem - blocks - conv -+- mean, log-variance
                                     +- linear, 3x3 cells ----+

    latents -+- bound - stem - blocks - conv ----------+- components - basis - pixels
             +- linear, 3x3 cells, now and one before -+

The linear paths are the whole model before the first step: an overlapped transform (`edgevae.training.overlap`).
Nothing is computed at a higher resolution than the latents', so that every convolution is a large matrix product and
a step of training is cheap.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import (
    CausalSequential,
    MemBlock,
    ResBlock,
    conv,
    one_step_earlier,
    repeat_edges,
)
from edgevae.nn.config import SPATIAL_FACTOR, VaeConfig
from edgevae.nn.decoder import interleave
from edgevae.nn.encoder import LOG_VARIANCE_RANGE


class PatchEncoder(nn.Module):
    """Frames `[B*T, 3, H, W]` in -1..1 to mean and log-variance `[B*t, C, H/8, W/8]`."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        block = MemBlock if config.kind == "video" else ResBlock
        width, blocks = config.encoder_channels[2], config.encoder_blocks[2]
        self.temporal_factor = config.temporal_factor
        self.patches = nn.Conv2d(
            3 * config.temporal_factor, config.components, SPATIAL_FACTOR, stride=SPATIAL_FACTOR
        )
        self.stem = conv(config.components, width)
        self.network = CausalSequential(*(block(width) for _ in range(blocks)))
        self.head = conv(width, 2 * config.latent_channels)
        self.linear = nn.Conv2d(config.components, config.latent_channels, 3)

    def forward(
        self, frames: Tensor, state: list[Tensor], frames_per_clip: int
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return mean, log-variance and the next state."""
        factor = self.temporal_factor
        _, c, h, w = frames.shape
        components = self.patches(frames.reshape(-1, factor * c, h, w))
        features, following = self.network(
            torch.relu(self.stem(components)), state, frames_per_clip // factor
        )
        mean, log_variance = self.head(features).chunk(2, 1)
        mean = mean + self.linear(repeat_edges(components))
        return mean, torch.clamp(log_variance, *LOG_VARIANCE_RANGE), following


class PatchDecoder(nn.Module):
    """Latents `[B*t, C, h, w]` to frames `[B*T, 8h, 8w, 3]`, channels last, about -1..1, not clamped.

    In a video model the linear path also sees the latents one step before, which softens the boundaries of chunks.
    Their cache, the last of the state, has a channel of ones beside them: where it is 0 there is no step before, and
    the present stands in for it. Zeros would mean the average latent.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.sees_past = config.kind == "video"
        block = MemBlock if self.sees_past else ResBlock
        c, width, blocks = (
            config.latent_channels,
            config.decoder_channels[0],
            config.decoder_blocks[0],
        )
        self.latent_bound = config.latent_bound
        self.stem = conv(c, width)
        self.network = CausalSequential(*(block(width) for _ in range(blocks)))
        self.head = conv(width, config.components)
        self.linear = nn.Conv2d(2 * c if self.sees_past else c, config.components, 3)
        self.basis = nn.Conv2d(config.components, 3 * config.temporal_factor * SPATIAL_FACTOR**2, 1)
        self.shuffle = nn.PixelShuffle(SPATIAL_FACTOR // 2)

    def forward(
        self, latents: Tensor, state: list[Tensor], steps_per_clip: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return frames and the next state."""
        bounded = self.latent_bound * torch.tanh(latents / self.latent_bound)
        seen, pasts = self._with_past(bounded, state, steps_per_clip)
        own = state[: len(state) - len(pasts)]
        features, following = self.network(torch.relu(self.stem(bounded)), own, steps_per_clip)
        components = self.head(features) + self.linear(repeat_edges(seen))
        packed = self.shuffle(self.basis(components))  # [B*t, T*12, H/2, W/2]
        _, _, h, w = packed.shape
        return interleave(packed.reshape(-1, 12, h, w)), following + pasts

    def _with_past(
        self, bounded: Tensor, state: list[Tensor], steps: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return latents `[B*t, 2C, h, w]`, with those of the step before, and their next cache."""
        if not self.sees_past:
            return bounded, []
        ones = (
            0.0 * bounded[:, :1] + 1.0
        )  # as a constant it would need a shape, which no graph computes
        before, following = one_step_earlier(torch.cat([bounded, ones], 1), state[-1], steps)
        known = before[:, -1:]
        return torch.cat([bounded, before[:, :-1] + (1.0 - known) * bounded], 1), [following]
