"""The configuration of a prior: what `prior.json` of a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass

from edgevae.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PriorConfig:
    """The shape of a prior in the latent grid of one VAE."""

    latent_channels: int = 4
    """C of the VAE."""
    cell_px: int = 8
    """Pixels per latent cell of the VAE, on each side."""
    picture_px: tuple[int, int] = (64, 64)
    """Height and width of the pictures that it was trained on; of others it knows nothing."""
    chunk_steps: int = 4
    """Latent steps that one call makes, all at once."""
    past_chunks: int = 2
    """Chunks that it remembers: enough to see where things move, where one covers another too."""
    channels: int = 88
    """Channels of the blocks."""
    dilations: tuple[int, ...] = (1, 2, 4, 2, 1)
    """Of the blocks, in order: how many cells apart the taps of a 3x3 convolution are."""
    flow_steps: int = 8
    """Steps from noise to latents in one call; more are slower and closer to the flow that was learnt."""

    def __post_init__(self) -> None:
        counts = (
            self.latent_channels,
            self.cell_px,
            self.chunk_steps,
            self.past_chunks,
            self.channels,
            self.flow_steps,
            *self.dilations,
            *self.picture_px,
        )
        if min(counts) < 1 or not self.dilations:
            raise ConfigError(
                "prior: channels, steps, chunks, pixels and dilations must be at least 1"
            )
        if len(self.picture_px) != 2 or any(side % self.cell_px for side in self.picture_px):
            raise ConfigError(
                f"prior: picture_px is {self.picture_px}, expected height and width in multiples of {self.cell_px}"
            )
