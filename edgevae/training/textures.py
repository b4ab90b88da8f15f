"""Still pictures to make clips of: photographs that scikit-image carries in its wheel, and fractal noise."""

from __future__ import annotations

import functools
import importlib

import numpy as np
import numpy.typing as npt

from edgevae.errors import UnavailableError

PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cat",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "rocket",
)
"""Only those that lie in the wheel (scikit-image 0.22 to 0.26): the others would be fetched from the network."""


@functools.cache
def photograph(name: str) -> npt.NDArray[np.uint8]:
    """Return a photograph `[H, W, 3]`; do not write to it, it is shared.

    Raises:
        UnavailableError: scikit-image is not installed.
    """
    try:
        data = importlib.import_module("skimage.data")
    except ImportError as error:
        raise UnavailableError(
            "procedural data: scikit-image is missing; pip install 'edgevae[train]'"
        ) from error
    image = np.asarray(getattr(data, name)())
    colour = np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3]
    return np.ascontiguousarray(colour)


def random_texture(rng: np.random.Generator, *, side_px: int) -> npt.NDArray[np.uint8]:
    """Return a photograph, mirrored to `side_px` at least, or in one of four cases fractal noise; `[H, W, 3]`."""
    if rng.random() < 0.25:
        return fractal(rng, side_px=side_px)
    image = photograph(PHOTOGRAPHS[int(rng.integers(len(PHOTOGRAPHS)))])
    short = [max(0, side_px - size) for size in image.shape[:2]]
    return (
        np.pad(image, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
        if any(short)
        else image
    )


def fractal(rng: np.random.Generator, *, side_px: int) -> npt.NDArray[np.uint8]:
    """Return coloured noise `[side, side, 3]` with the spectrum of natural pictures.

    Amplitude goes with 1 / frequency^a; a is near 1 in photographs (Field 1987), here 0.8 (rough) to 1.8 (cloudy).
    """
    rows, columns = np.fft.fftfreq(side_px)[:, None], np.fft.rfftfreq(side_px)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    shape = (3, *frequency.shape)
    spectrum = (
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    ) * frequency ** -rng.uniform(0.8, 1.8)
    fields = np.fft.irfft2(spectrum, s=(side_px, side_px))
    fields /= fields.std(axis=(1, 2), keepdims=True) + 1e-12
    # Most of what varies in natural pictures is brightness, which the colours share.
    mixing = np.concatenate([rng.uniform(0.6, 1.0, (3, 1)), rng.normal(0.0, 0.25, (3, 2))], 1)
    levels = rng.uniform(60.0, 190.0, (3, 1, 1)) + rng.uniform(20.0, 50.0) * np.tensordot(
        mixing, fields, 1
    )
    return np.ascontiguousarray(np.clip(levels, 0.0, 255.0).astype(np.uint8).transpose(1, 2, 0))
