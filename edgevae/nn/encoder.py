"""The encoder: frames to the moments of the posterior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import CausalSequential, Down, MemBlock, ResBlock, Stem, TimePool, conv
from edgevae.nn.config import SPATIAL_FACTOR, VaeConfig

LOG_VARIANCE_RANGE = (-12.0, 4.0)
"""Where the log-variance is clamped, so that its exponential neither vanishes nor overflows FP16."""


class Encoder(nn.Module):
    """Frames `[B*T, 3, H, W]` in -1..1 to mean and log-variance `[B*t, C, H/8, W/8]`.

    Beside the network runs a linear map of each patch of T x 8 x 8 pixels to C numbers, started at the principal
    components of the training data (`edgevae.training.principal`): the network learns only what they miss.

        frames -+- stem - blocks - pool - down - blocks - pool - down - blocks - conv -+- mean, log-variance
                +- linear patch map ---------------------------------------------------+
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        c1, c2, c3 = config.encoder_channels
        n1, n2, n3 = config.encoder_blocks
        video = config.kind == "video"
        block = MemBlock if video else ResBlock
        self.temporal_factor = config.temporal_factor
        self.network = CausalSequential(
            Stem(c1),
            *(ResBlock(c1) for _ in range(n1)),
            *([TimePool(c1)] if video else []),
            Down(c1, c2),
            *(block(c2) for _ in range(n2)),
            *([TimePool(c2)] if video else []),
            Down(c2, c3),
            *(block(c3) for _ in range(n3)),
        )
        self.head = conv(c3, 2 * config.latent_channels)
        self.linear = nn.Conv2d(
            3 * config.temporal_factor,
            config.latent_channels,
            SPATIAL_FACTOR,
            stride=SPATIAL_FACTOR,
        )

    def forward(
        self, frames: Tensor, state: list[Tensor], frames_per_clip: int
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return mean, log-variance and the next state."""
        features, state = self.network(frames, state, frames_per_clip)
        mean, log_variance = self.head(features).chunk(2, 1)
        _, c, h, w = frames.shape
        mean = mean + self.linear(frames.reshape(-1, self.temporal_factor * c, h, w))
        return mean, torch.clamp(log_variance, *LOG_VARIANCE_RANGE), state
