"""The image VAE: 8x8 pixels of one frame to one latent cell, no memory."""

from __future__ import annotations

from edgevae.errors import ConfigError
from edgevae.nn.config import VaeConfig, preset
from edgevae.nn.vae import Vae


class ImageVae(Vae):
    """A `Vae` for images `[B, T, 3, H, W]` in which every frame stands alone."""

    def __init__(self, config: VaeConfig) -> None:
        if config.kind != "image":
            raise ConfigError(f"ImageVae: config is for kind {config.kind!r}, expected 'image'")
        super().__init__(config)

    @classmethod
    def from_preset(cls, size: str) -> ImageVae:
        """Return a network of a named size with random weights (`edgevae.nn.PRESETS`)."""
        return cls(preset(size, kind="image"))
