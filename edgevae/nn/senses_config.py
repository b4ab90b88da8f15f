"""The configuration of a VAE of several senses: what `config.json` of its checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.senses import Sense, SensesSpec

LEAST_PX = 4
"""Sides at which a picture becomes one vector, and from which it grows again."""

PATCH_PX = {"frames": 4, "sound": 2}
"""Sides of the patches that pictures are cut into first, by what they are of."""


@dataclass(frozen=True, kw_only=True)
class SensesConfig:
    """The shape of a VAE of several senses."""

    model: Literal["senses"] = "senses"
    """Tells this configuration from that of another network."""
    spec: SensesSpec
    """The senses."""
    latent_channels: int = 24
    """C of the latents, which are one vector a window."""
    channels: tuple[int, ...] = (48, 64, 64)
    """Of pictures: as patches, at half of that, at a quarter, ...; a small one takes as many as its halves are."""
    hidden: int = 128
    """Channels of the vectors between pictures, or tracks, and latents."""
    sound_mean_db: float = -50.0
    """Subtracted from sound."""
    sound_std_db: float = 16.0
    """And then divided out."""
    tracks_std: float = 1.0
    """Divided out of tracks."""
    has_base: bool = False
    """Whether decoders have a linear path that begins at the mean window; of video one picture for all its frames."""

    sees_motion: bool = False
    """Whether encoders of frames are given the flow of their blocks (`normal_flow`) beside what they learn to see."""

    def __post_init__(self) -> None:
        if min(self.latent_channels, self.hidden, *self.channels, 1) < 1 or not self.channels:
            raise ConfigError("senses: channels must be at least 1")
        if not min(self.sound_std_db, self.tracks_std) > 0:
            raise ConfigError("senses: sound_std_db and tracks_std must be more than 0")
        if self.sees_motion and self.spec.window_frames < 2:
            raise ConfigError("senses: sees_motion takes windows of at least 2 frames, got 1")
        for sense in self.spec.senses:
            self.picture_channels(sense)

    def picture_channels(self, sense: Sense) -> tuple[int, ...]:
        """Return the channels of a sense's picture, as patches and each time that it is halved; none for tracks.

        Raises:
            ConfigError: its sides cannot be halved down to 4.
        """
        if sense.kind == "tracks":
            return ()
        height, width = sense.shape[1:]
        for count in range(1, len(self.channels) + 1):
            step = PATCH_PX[sense.kind] << (count - 1)
            if max(height, width) == LEAST_PX * step and min(height, width) % step == 0:
                return self.channels[:count]
        raise ConfigError(
            f"sense {sense.name!r}: {height} x {width}, expected sides of {LEAST_PX} patches of "
            f"{PATCH_PX[sense.kind]} pixels times a power of 2, the longer one at most "
            f"{LEAST_PX * PATCH_PX[sense.kind] << (len(self.channels) - 1)}"
        )
