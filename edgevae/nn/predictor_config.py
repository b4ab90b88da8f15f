"""The configuration of a predictor: what `predictor.json` of a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass

from edgevae.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """The shape of a predictor in the latent grid of one VAE."""

    latent_channels: int = 64
    """C of the VAE."""
    cell_px: int = 8
    """Pixels per latent cell of the VAE, on each side; even."""
    chunk_steps: int = 2
    """Latent steps that one call takes and gives."""
    fine_channels: int = 16
    """Numbers per latent step in a cell of half the size; a quarter of `latent_channels` loses nothing."""
    channels: int = 64
    """Channels of the memory and of the blocks behind it."""
    blocks: int = 2
    """Residual blocks before and as many after the deep ones."""
    deep_blocks: int = 6
    """Residual blocks of twice the channels, at the size of whole cells; 0 leaves that branch out."""

    def __post_init__(self) -> None:
        counts = (self.latent_channels, self.chunk_steps, self.fine_channels, self.channels)
        if (
            min(*counts, self.cell_px) < 1
            or min(self.blocks, self.deep_blocks) < 0
            or self.cell_px % 2
        ):
            raise ConfigError(
                "predictor: channels, steps and pixels must be at least 1, blocks at least 0 and cell_px even"
            )
