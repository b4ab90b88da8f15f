"""Smooth camera motion over a still picture, and the sampling of frames along it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import grid_sample

from edgevae.frames import Frames

Path = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Where a camera looks at each of T frames."""

    centre_px: Path
    """`[T, 2]`, (x, y) in the picture."""
    scale: Path
    """`[T]`, pixels of the picture per pixel of the frame."""
    angle: Path
    """`[T]`, in radians."""


def random_motion(
    rng: np.random.Generator,
    *,
    frames: int,
    speed_px: float,
    start_px: tuple[float, float],
    scale: float = 1.0,
) -> Motion:
    """Return a smooth random motion: a drift with a bend, a slow zoom, a slow turn.

    Args:
        rng: Decides it.
        frames: T.
        speed_px: Standard deviation of the pan, in pixels of the frame per frame, on each axis.
        start_px: (x, y) of the first centre.
        scale: Scale around which the zoom starts.
    """
    t = np.arange(frames, dtype=np.float64)
    velocity, bend = rng.normal(0.0, speed_px, 2), rng.normal(0.0, speed_px / 12.0, 2)
    zoom = scale * np.exp(rng.normal(0.0, 0.008) * t)
    path = t[:, None] * velocity + 0.5 * (t * t)[:, None] * bend
    turn = rng.normal(0.0, 0.08) + rng.normal(0.0, 0.006) * t
    return Motion(centre_px=np.asarray(start_px) + scale * path, scale=zoom, angle=turn)


def film(picture: npt.NDArray[np.uint8], motion: Motion, *, size_px: int) -> Frames:
    """Return the frames `[T, size, size, 3]` of a camera over a picture `[H, W, 3]` that is mirrored at its edges."""
    height, width, _ = picture.shape
    offsets = np.arange(size_px) - (size_px - 1) / 2
    grid = np.empty((len(motion.scale), size_px, size_px, 2), np.float32)
    for t, (centre, scale, angle) in enumerate(
        zip(motion.centre_px, motion.scale, motion.angle, strict=True)
    ):
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        x = centre[0] + cos * offsets[None] - sin * offsets[:, None]
        y = centre[1] + sin * offsets[None] + cos * offsets[:, None]
        grid[t, ..., 0] = (
            2.0 * (x + 0.5) / width - 1.0
        )  # grid_sample's own units: -1..1 over the picture
        grid[t, ..., 1] = 2.0 * (y + 0.5) / height - 1.0
    source = torch.from_numpy(picture).permute(2, 0, 1).float()[None].expand(len(grid), -1, -1, -1)
    places = torch.from_numpy(grid)
    sampled = grid_sample(
        source, places, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return sampled.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
