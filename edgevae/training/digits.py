"""Moving digits to train on: which digits are trained on and which are held out, and their clips by index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevae.errors import ConfigError
from edgevae.frames import Frames
from edgevae.moving_mnist import SIDE_PX, MovingMnist, Pictures, read_digits
from edgevae.training.procedural import enlarged_digits

_GLYPH_PX = 28


def training_and_held_out(folder: str | None) -> tuple[Pictures, Pictures]:
    """Return digits to train on and other ones to validate on, uint8 `[N, 28, 28]`.

    Args:
        folder: With the files of MNIST; None takes scikit-learn's small digits, enlarged.

    Raises:
        InputError: the folder has not the files of MNIST.
        UnavailableError: there is no folder and scikit-learn is not installed.
    """
    if folder is not None:
        return read_digits(Path(folder), part="train"), read_digits(Path(folder), part="t10k")
    glyphs = enlarged_digits(_GLYPH_PX)
    held = np.arange(len(glyphs)) % 10 == 0
    return glyphs[~held], glyphs[held]


def check_pictures(picture_px: tuple[int, int]) -> None:
    """Refuse a network that is said to make pictures of another size than those that it would learn from.

    Raises:
        ConfigError: they are not those of Moving MNIST.
    """
    if picture_px != (SIDE_PX, SIDE_PX):
        raise ConfigError(
            f"picture_px: got {picture_px}, expected {(SIDE_PX, SIDE_PX)} of moving digits"
        )


class DigitClips:
    """Clips of Moving MNIST in the colours that a network takes, a `ClipSource`."""

    def __init__(self, digits: Pictures, *, frames: int, seed: int) -> None:
        self._source, self._frames = MovingMnist(digits, seed=seed), frames

    def clip(self, index: int) -> Frames:
        """Return clip `index`, `[T, 64, 64, 3]`, grey."""
        return np.repeat(self._source.clip(index, frames=self._frames)[..., None], 3, -1)
