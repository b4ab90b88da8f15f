"""The configuration of a generator of sprites: what `config.json` of its checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.nn.config import SPATIAL_FACTOR

KIND: Literal["sprites"] = "sprites"
"""What `kind` says in `config.json`, where a VAE has image or video."""
MOTION_CHANNELS = 4
"""Of the noise of one object: two for where it starts, two for where it goes."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The shape of a generator of clips in which some objects move on black."""

    kind: Literal["sprites"] = KIND
    """What the network is."""
    objects: int = 2
    """How many things move."""
    object_px: int = 28
    """Their side; a multiple of 4."""
    look_channels: int = 28
    """Numbers of noise that decide how one object looks."""
    channels: int = 16
    """Of the object's picture at its full size; it grows from four times as many at a quarter of it."""
    step_frames: int = 4
    """Frames of one latent step, which is the least that a call makes."""
    picture_px: tuple[int, int] = (64, 64)
    """Height and width of the frames that it is trained to make; it can make others."""

    def __post_init__(self) -> None:
        counts = (self.objects, self.look_channels, self.channels, self.step_frames)
        if min(*counts, self.object_px) < 1 or self.object_px % 4:
            raise ConfigError("generator: counts must be at least 1, and object_px a multiple of 4")
        if min(self.picture_px) < self.object_px or any(
            side % SPATIAL_FACTOR for side in self.picture_px
        ):
            raise ConfigError(
                f"generator: picture_px is {self.picture_px}, expected height and width of at least {self.object_px}, "
                f"in multiples of {SPATIAL_FACTOR}"
            )

    @property
    def latent_channels(self) -> int:
        """C of the noise: what decides all objects."""
        return self.objects * (self.look_channels + MOTION_CHANNELS)
