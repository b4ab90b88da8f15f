"""The decoder: latents to frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import CausalSequential, MemBlock, ResBlock, TimeGrow, Up, conv, repeat_edges
from edgevae.nn.config import SPATIAL_FACTOR, VaeConfig


class Decoder(nn.Module):
    """Latents `[B*t, C, h, w]` to frames `[B*T, 8h, 8w, 3]`, channels last, about -1..1, not clamped.

    The mirror of the encoder, with the same linear path beside the network:

        latents -+- bound - conv - blocks - grow - up - blocks - grow - up - blocks - conv -+- interleave - frames
                 +- linear patch map -------------------------------------------------------+

    Both paths end in 12 numbers for every 2x2 pixels, in the order row, column, colour. The linear path comes there
    from T * 12 * 16 channels per latent cell: T frames, 12 as above, 4x4 half-size pixels for its pixel shuffle.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        c1, c2, c3 = config.decoder_channels
        n1, n2, n3 = config.decoder_blocks
        video = config.kind == "video"
        block = MemBlock if video else ResBlock
        self.temporal_factor = config.temporal_factor
        self.latent_bound = config.latent_bound
        self.stem = conv(config.latent_channels, c1)
        self.network = CausalSequential(
            *(block(c1) for _ in range(n1)),
            *([TimeGrow(c1)] if video else []),
            Up(c1, c2),
            *(block(c2) for _ in range(n2)),
            *([TimeGrow(c2)] if video else []),
            Up(c2, c3),
            *(ResBlock(c3) for _ in range(n3)),
        )
        self.head = conv(c3, 12)
        patch = 3 * config.temporal_factor * SPATIAL_FACTOR**2
        self.linear = nn.Conv2d(config.latent_channels, patch, config.linear_kernel)
        self.linear_shuffle = nn.PixelShuffle(SPATIAL_FACTOR // 2)

    def forward(
        self, latents: Tensor, state: list[Tensor], steps_per_clip: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return frames and the next state."""
        bounded = self.latent_bound * torch.tanh(latents / self.latent_bound)
        features, state = self.network(torch.relu(self.stem(bounded)), state, steps_per_clip)
        around = repeat_edges(bounded) if self.linear.kernel_size != (1, 1) else bounded
        linear = self.linear_shuffle(self.linear(around))  # [B*t, T*12, H/2, W/2]
        _, _, h, w = linear.shape
        return interleave(self.head(features) + linear.reshape(-1, 12, h, w)), state


def interleave(packed: Tensor) -> Tensor:
    """Return frames `[N, 2H, 2W, 3]` of `[N, 12, H, W]`, whose channels are row, column and colour of 2x2 pixels.

        channels 0-5    a0 a1 colours, upper row          a0 a1 b0 b1
        channels 6-11   a2 a3 colours, lower row    ->    a2 a3 b2 b3

    A pixel shuffle and a transpose in one: each half of the channels, channels last, is every second row of the result,
    so joining them side by side leaves the pixels in order in memory. Four plain copies in every runtime.
    """
    n, _, h, w = packed.shape
    upper, lower = packed[:, :6].permute(0, 2, 3, 1), packed[:, 6:].permute(0, 2, 3, 1)
    return torch.cat([upper, lower], 2).reshape(n, 2 * h, 2 * w, 3)
