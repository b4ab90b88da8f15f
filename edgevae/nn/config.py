"""The configuration of a network: what `config.json` of a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edgevae.errors import ConfigError
from edgevae.spec import check_nested

Kind = Literal["image", "video"]

SPATIAL_FACTOR = 8
"""Pixels per latent cell: three stages, each halving H and W."""


@dataclass(frozen=True, kw_only=True)
class VaeConfig:
    """The shape of an image or video VAE.

    Channel and block counts are given per resolution, in the order the data meets them:

        encoder   frames -> 1/2 -> 1/4 -> 1/8 -> latents
        decoder   latents -> 1/8 -> 1/4 -> 1/2 -> frames

    With `components` above 0 all work is done at 1/8, on patches as so many numbers; the other counts are then 0.
    """

    kind: Kind
    """video: 4 frames to 1 latent step, causal memory. image: each frame by itself."""
    encoder_channels: tuple[int, int, int]
    """Channels at 1/2, 1/4 and 1/8 of the size."""
    encoder_blocks: tuple[int, int, int]
    """Residual blocks at 1/2, 1/4 and 1/8; in a video model those at 1/4 and 1/8 have memory."""
    decoder_channels: tuple[int, int, int]
    """Channels at 1/8, 1/4 and 1/2 of the size."""
    decoder_blocks: tuple[int, int, int]
    """Residual blocks at 1/8, 1/4 and 1/2; in a video model those at 1/8 and 1/4 have memory."""
    latent_channels: int = 16
    """C of the latents."""
    nested_channels: tuple[int, ...] = ()
    """Numbers of channels below C with which the model also works, ascending: the first ones, the others being 0."""
    components: int = 0
    """Principal components that a patch of T x 8 x 8 pixels becomes before all else; 0 works on pixels."""
    linear_kernel: int = 3
    """Latent cells, on each side, that the decoder's linear path sees: 1, or 3 to take in the neighbours."""
    latent_bound: float = 6.0
    """The decoder's network sees `bound * tanh(z / bound)`, so that no latent can overflow FP16."""
    latent_mean: tuple[float, ...] | None = None
    """Mean of the posterior mean per channel over the training data; None until measured."""
    latent_std: tuple[float, ...] | None = None
    """Standard deviation of the posterior mean per channel over the training data; None until measured."""

    def __post_init__(self) -> None:
        counts: tuple[int, ...] = (*self.encoder_channels, *self.decoder_channels)
        blocks = (*self.encoder_blocks, *self.decoder_blocks)
        if self.components:
            if max(*counts[:2], *counts[4:], *blocks[:2], *blocks[4:]) > 0:
                raise ConfigError(
                    "config: with components, channel and block counts beside those at 1/8 must be 0"
                )
            self._check_components()
            counts = counts[2:4]
        if min(*counts, self.latent_channels) < 1 or min(blocks) < 0:
            raise ConfigError(
                "config: channel counts must be at least 1 and block counts at least 0"
            )
        check_nested(self.nested_channels, channels=self.latent_channels, where="config")
        if self.linear_kernel not in (1, 3):
            raise ConfigError(f"config: linear_kernel is {self.linear_kernel}, expected 1 or 3")
        if not self.latent_bound > 0:
            raise ConfigError(
                f"config: latent_bound is {self.latent_bound}, expected a number above 0"
            )
        for name in ("latent_mean", "latent_std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.latent_channels:
                raise ConfigError(
                    f"config: {name} has {len(values)} values, expected {self.latent_channels}"
                )

    def _check_components(self) -> None:
        most = 3 * self.temporal_factor * SPATIAL_FACTOR**2
        if not self.latent_channels <= self.components <= most:
            raise ConfigError(
                f"config: components is {self.components}, expected {self.latent_channels} to {most}"
            )
        if self.linear_kernel != 3:
            raise ConfigError(
                f"config: linear_kernel is {self.linear_kernel}, expected 3 with components"
            )

    @property
    def temporal_factor(self) -> int:
        """Frames per latent step."""
        return 4 if self.kind == "video" else 1


_SIZES = {
    "xs": VaeConfig(
        kind="video",
        encoder_channels=(16, 32, 64),
        encoder_blocks=(1, 1, 2),
        decoder_channels=(96, 48, 16),
        decoder_blocks=(2, 2, 1),
    ),
    "s": VaeConfig(
        kind="video",
        components=160,
        nested_channels=(4, 8),
        encoder_channels=(0, 0, 96),
        encoder_blocks=(0, 0, 2),
        decoder_channels=(128, 0, 0),
        decoder_blocks=(3, 0, 0),
    ),
    "m": VaeConfig(
        kind="video",
        encoder_channels=(48, 96, 160),
        encoder_blocks=(1, 2, 4),
        decoder_channels=(192, 112, 56),
        decoder_blocks=(4, 3, 2),
    ),
}

PRESETS = tuple(_SIZES)
"""Names of the sizes that `preset` knows."""


def preset(size: str, *, kind: Kind) -> VaeConfig:
    """Return the configuration of a named size.

    Raises:
        ConfigError: `size` is not one of `PRESETS`.
    """
    if size not in _SIZES:
        raise ConfigError(f"preset: got {size!r}, expected one of {', '.join(PRESETS)}")
    return replace(_SIZES[size], kind=kind)
