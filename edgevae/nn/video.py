"""The video VAE: 4 frames of 8x8 pixels to one latent cell, causal in chunks, with memory."""

from __future__ import annotations

from edgevae.errors import ConfigError
from edgevae.nn.config import VaeConfig, preset
from edgevae.nn.vae import Vae


class VideoVae(Vae):
    """A `Vae` for clips `[B, T, 3, H, W]`: chunk-causal, so that a clip can be streamed with a constant state."""

    def __init__(self, config: VaeConfig) -> None:
        if config.kind != "video":
            raise ConfigError(f"VideoVae: config is for kind {config.kind!r}, expected 'video'")
        super().__init__(config)

    @classmethod
    def from_preset(cls, size: str) -> VideoVae:
        """Return a network of a named size with random weights (`edgevae.nn.PRESETS`)."""
        return cls(preset(size, kind="video"))
