"""How the parts of a picture move, as tracks: one step of Lucas and Kanade (1981) a block, in numpy.

for each block, over its pixels:    A = sum [Ix Ix, Ix Iy; Ix Iy, Iy Iy],   b = - sum [Ix It, Iy It]
motion = (A + edge I)^-1 b          in pixels a frame, to the right and down; 0 where there is nothing to hold on to
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgevae.frames import Frames

BLOCKS = 4
"""On each axis: 16 tracks."""
EDGE = 2e-5
"""Squared difference of neighbouring pixels in 0..1, a pixel, that counts as something to hold on to."""


def block_motion(frames: Frames) -> npt.NDArray[np.float32]:
    """Return the motion of 4 x 4 blocks, row by row, float32 `[T, 16, 2]`, (x, y) in pixels a frame.

    The first frame has the motion of the second, which says more of it than 0.

    Args:
        frames: uint8 RGB `[T, H, W, 3]`.
    """
    grey = frames.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255.0
    if len(grey) < 2:
        return np.zeros((len(grey), BLOCKS * BLOCKS, 2), np.float32)
    between = 0.5 * (grey[1:] + grey[:-1])
    dy, dx = np.gradient(between, axis=(1, 2))
    dt = grey[1:] - grey[:-1]
    xx, xy, yy, xt, yt = (_by_block(v) for v in (dx * dx, dx * dy, dy * dy, dx * dt, dy * dt))
    xx, yy = xx + EDGE, yy + EDGE
    area = xx * yy - xy * xy
    motion = np.stack([xy * yt - yy * xt, xy * xt - xx * yt], -1) / area[..., None]
    return np.concatenate([motion[:1], motion]).astype(np.float32)


def _by_block(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean of each block, `[T, 16]`; rows and columns beyond whole blocks are left out."""
    count, height, width = values.shape
    h, w = height // BLOCKS, width // BLOCKS
    cut = values[:, : h * BLOCKS, : w * BLOCKS].reshape(count, BLOCKS, h, BLOCKS, w)
    means: npt.NDArray[np.float64] = cut.mean((2, 4)).reshape(count, -1)
    return means
