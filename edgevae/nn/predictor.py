"""The predictor: the latents of one chunk of a clip to those of the chunk after it, with a memory of all before.

    latents of chunk n -> [ predictor ] -> latents of chunk n + 1        fed with its own result it goes on: n + 2, ...
                             ^     |
                             +-----+ memory

One network serves every step and every place: what moves through the picture is shifted by the same convolutions
wherever and whenever it is, which is why so few weights suffice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgevae.nn.blocks import Down, ResBlock, conv
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.spec import TensorSpec


class Predictor(nn.Module):
    """Latents `[B*t, C, h, w]` of unit scale to the next ones of the same shape; t is the chunk's steps.

        latents - half cells -+- stem - blocks -+-------------- + - blocks -+- gate ------+
        memory ---------------+                 +- deep blocks -+           +- candidate -+- memory - head - latents

    Half-size cells keep what moves sharp: a shift by a few pixels is nearer to one of cells. The deep blocks work on
    whole cells, where a convolution reaches twice as far and costs as much with twice the channels: what the two
    digits are, and which of them is in front. The memory moves towards a candidate in -1..1 by the share that the
    gate opens (as in Cho et al. 2014, eq. 7), so that it stays within -1..1 however long a stream is.
    """

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        steps, fine, width = config.chunk_steps, config.fine_channels, config.channels
        self.split = nn.Conv2d(config.latent_channels, 4 * fine, 1)
        self.shuffle = nn.PixelShuffle(2)
        self.stem = conv(steps * fine + width, width)
        self.before = nn.Sequential(*(ResBlock(width) for _ in range(config.blocks)))
        self.deep = _deep(width, config.deep_blocks) if config.deep_blocks else None
        self.after = nn.Sequential(*(ResBlock(width) for _ in range(config.blocks)))
        self.gates = nn.Conv2d(width, 2 * width, 1)
        self.head = conv(width, steps * fine)
        self.join = nn.Conv2d(fine, config.latent_channels, 2, stride=2)
        self.apply(_initialise)
        nn.init.normal_(self.head.weight, std=0.01)  # at first it says nearly the mean

    def forward(self, latents: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latents of the next chunk and the next memory.

        Args:
            latents: `[B*t, C, h, w]`.
            memory: `[B, channels, 2h, 2w]`; zeros at the start of a clip.
        """
        fine = self.shuffle(self.split(latents))
        _, c, h, w = fine.shape
        seen = torch.cat([fine.reshape(-1, self.config.chunk_steps * c, h, w), memory], 1)
        features = self.before(torch.relu(self.stem(seen)))
        if self.deep is not None:
            features = torch.relu(features + self.deep(features))
        gate, candidate = self.gates(self.after(features)).chunk(2, 1)
        memory = memory + torch.sigmoid(gate) * (torch.tanh(candidate) - memory)
        return self.join(self.head(memory).reshape(-1, c, h, w)), memory

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """The memory, as a cache of its graph."""
        side = self.config.cell_px // 2
        shape = ("batch", self.config.channels, f"height/{side}", f"width/{side}")
        return (TensorSpec(name="predictor_memory", dtype="float32", shape=shape),)

    def initial_memory(self, latents: Tensor) -> Tensor:
        """Return the memory at the start of clips, zeros, for a chunk's latents `[B*t, C, h, w]` of them."""
        n, _, h, w = latents.shape
        return latents.new_zeros(
            n // self.config.chunk_steps, self.config.channels, 2 * h, 2 * w
        ).contiguous(memory_format=torch.channels_last)


def _deep(width: int, blocks: int) -> nn.Sequential:
    """Return the branch at half the size: `[N, width, 2h, 2w]` to the same shape."""
    return nn.Sequential(
        Down(width, 2 * width),
        *(ResBlock(2 * width) for _ in range(blocks)),
        nn.Upsample(scale_factor=2.0, mode="nearest"),
        conv(2 * width, width),
    )


def _initialise(module: nn.Module) -> None:
    """Start convolutions so that a ReLU behind them keeps the scale; blocks as the identity, what is zero stays."""
    if isinstance(module, nn.Conv2d) and module.weight.any():
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert module.bias is not None, "our convolutions have biases"
        nn.init.zeros_(module.bias)
