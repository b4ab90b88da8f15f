"""Built-in data that needs no file: clips made from a seed and an index."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError, UnavailableError
from edgevae.frames import Frames
from edgevae.training.augment import Augmentation
from edgevae.training.motion import film, random_motion
from edgevae.training.sources import ClipSource, sample_rng
from edgevae.training.textures import random_texture

BUILT_IN = ("procedural", "moving-digits")
"""Names of the data that needs no file."""


def built_in_source(name: str, augmentation: Augmentation, *, seed: int) -> ClipSource:
    """Return the source of a built-in name.

    Raises:
        InputError: the name is not in `BUILT_IN`.
    """
    if name == "procedural":
        return ProceduralSource(augmentation, seed=seed)
    if name == "moving-digits":
        return MovingDigits(augmentation, seed=seed)
    raise InputError(f"data: got {name!r}, expected a folder or one of {', '.join(BUILT_IN)}")


class ProceduralSource:
    """A camera over photographs and fractal noise, with textured sprites that move in front of it.

    background, panned, zoomed and turned  +  0 to 3 sprites, each with its own motion  +  a little sensor noise
    """

    def __init__(self, augmentation: Augmentation, *, seed: int) -> None:
        self.frames, self.size_px, self.seed = augmentation.frames, augmentation.crop_px, seed

    def clip(self, index: int) -> Frames:
        """Return clip `index`, `[T, size, size, 3]`."""
        rng = sample_rng(self.seed, index)
        clip = self._layer(
            rng, scale=float(rng.uniform(0.6, 2.0)), speed_px=float(rng.choice([0.0, 0.5, 2.0]))
        )
        for _ in range(int(rng.integers(4))):
            alpha = self._mask(rng)
            sprite = self._layer(rng, scale=float(rng.uniform(0.4, 1.2)), speed_px=0.2)
            clip = clip + (sprite - clip) * alpha
        clip = clip + rng.uniform(0.0, 2.5) * rng.standard_normal(clip.shape, dtype=np.float32)
        return np.clip(np.rint(clip), 0, 255).astype(np.uint8)

    def _layer(
        self, rng: np.random.Generator, *, scale: float, speed_px: float
    ) -> npt.NDArray[np.float32]:
        """Return a moving texture `[T, size, size, 3]`, 0..255."""
        picture = random_texture(rng, side_px=min(512, 2 * self.size_px))
        height, width, _ = picture.shape
        start = (float(rng.uniform(0, width)), float(rng.uniform(0, height)))
        motion = random_motion(
            rng, frames=self.frames, speed_px=speed_px, start_px=start, scale=scale
        )
        return film(picture, motion, size_px=self.size_px).astype(np.float32)

    def _mask(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the alpha `[T, size, size, 1]`, 0..1, of a moving ellipse or rectangle with an edge of one pixel."""
        size = self.size_px
        start = (float(rng.uniform(0, size)), float(rng.uniform(0, size)))
        motion = random_motion(rng, frames=self.frames, speed_px=2.0, start_px=start)
        radii, power = (
            rng.uniform(0.06, 0.3, 2) * size,
            int(rng.choice([2, 12])),
        )  # 12: almost a rectangle
        at = np.arange(size, dtype=np.float64) + 0.5
        dx = (at[None, None, :] - motion.centre_px[:, 0, None, None]) * motion.scale[:, None, None]
        dy = (at[None, :, None] - motion.centre_px[:, 1, None, None]) * motion.scale[:, None, None]
        cos, sin = np.cos(motion.angle)[:, None, None], np.sin(motion.angle)[:, None, None]
        across, along = (
            np.abs(cos * dx + sin * dy) / radii[0],
            np.abs(cos * dy - sin * dx) / radii[1],
        )
        distance = (across**power + along**power) ** (1.0 / power)
        alpha: npt.NDArray[np.float32] = np.clip(
            (1.0 - distance) * radii.min() + 0.5, 0.0, 1.0
        ).astype(np.float32)
        return alpha[..., None]


class MovingDigits:
    """Two handwritten digits (scikit-learn's, 8x8, enlarged) that drift and bounce on black, after Moving MNIST."""

    def __init__(self, augmentation: Augmentation, *, seed: int) -> None:
        self.frames, self.size_px, self.seed = augmentation.frames, augmentation.crop_px, seed

    def clip(self, index: int) -> Frames:
        """Return clip `index`, `[T, size, size, 3]`, grey."""
        rng, size = sample_rng(self.seed, index), self.size_px
        canvas = np.zeros((self.frames, size, size), np.uint8)
        glyph_px = max(8, size * 3 // 8)
        room = size - glyph_px
        for _ in range(2):
            glyph = _enlarge(_digits()[int(rng.integers(len(_digits())))], glyph_px)
            start, velocity = rng.uniform(0, max(room, 1), 2), rng.normal(0.0, size / 24.0, 2)
            for t in range(self.frames):
                top, left = (_bounce(start + t * velocity, room)).astype(int)
                window = canvas[t, top : top + glyph_px, left : left + glyph_px]
                np.maximum(window, glyph, out=window)
        return np.repeat(canvas[..., None], 3, -1)


def enlarged_digits(side_px: int) -> npt.NDArray[np.uint8]:
    """Return all of scikit-learn's handwritten digits, uint8 `[N, side, side]`, grey on black.

    Raises:
        UnavailableError: scikit-learn is not installed.
    """
    return np.stack([_enlarge(digit, side_px) for digit in _digits()])


def _bounce(position: npt.NDArray[np.float64], room: int) -> npt.NDArray[np.float64]:
    """Return a position reflected into 0..room."""
    if room == 0:
        return np.zeros_like(position)
    folded: npt.NDArray[np.float64] = np.mod(position, 2 * room)
    return np.minimum(folded, 2 * room - folded)


def _enlarge(digit: npt.NDArray[np.float64], side_px: int) -> npt.NDArray[np.uint8]:
    """Return an 8x8 digit of 0..16 as `[side, side]` of 0..255, bilinear."""
    at = np.clip((np.arange(side_px) + 0.5) * 8 / side_px - 0.5, 0, 7)
    low = np.minimum(at.astype(int), 6)
    share = at - low
    rows = digit[low] * (1 - share)[:, None] + digit[low + 1] * share[:, None]
    both = rows[:, low] * (1 - share) + rows[:, low + 1] * share
    levels: npt.NDArray[np.uint8] = np.clip(np.rint(both * (255 / 16)), 0, 255).astype(np.uint8)
    return levels


@functools.cache
def _digits() -> npt.NDArray[np.float64]:
    """Return scikit-learn's 1797 digits `[N, 8, 8]`, 0..16."""
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise UnavailableError(
            "moving-digits: scikit-learn is missing; pip install 'edgevae[train]'"
        ) from error
    return np.asarray(datasets.load_digits().images, dtype=np.float64)
