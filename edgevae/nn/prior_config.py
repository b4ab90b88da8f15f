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
    time_shift: float = 0.3
    """Below 1 the first steps, which decide what will be seen, are smaller than the last; 1 makes all alike."""
    guidance: float = 0.7
    """How much more than learnt a chunk follows those before it (Ho and Salimans 2022, eq. 6); 0 is half the work."""

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
        if not (self.time_shift > 0.0 and self.guidance >= 0.0):
            raise ConfigError(
                f"prior: time_shift is {self.time_shift} and guidance {self.guidance}, expected above 0, and 0 or more"
            )
        if len(self.picture_px) != 2 or any(side % self.cell_px for side in self.picture_px):
            raise ConfigError(
                f"prior: picture_px is {self.picture_px}, expected height and width in multiples of {self.cell_px}"
            )

    @property
    def times(self) -> tuple[float, ...]:
        """Where the steps of a call begin, and where the last one ends: from 0, noise, to 1, latents."""
        even = [i / self.flow_steps for i in range(self.flow_steps + 1)]
        shift = self.time_shift
        return tuple(shift * u / (shift * u + (1.0 - u)) for u in even)
