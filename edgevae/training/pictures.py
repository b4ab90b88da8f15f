"""Sample pictures: one row a clip, source | reconstruction | difference, as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from edgevae.files import atomic_file

DIFFERENCE_GAIN = 4
"""Differences are shown around mid-grey, this many times their size."""
_GAP_PX = 4


def save_pictures(path: Path, clips: Tensor, reconstruction: Tensor) -> None:
    """Write the middle frame of each clip beside its reconstruction and their difference.

    Args:
        path: A .png file.
        clips: `[B, T, 3, H, W]` in -1..1.
        reconstruction: The same shape.
    """
    middle = clips.shape[1] // 2
    rows = [
        _row(_levels(c[middle]), _levels(r[middle]))
        for c, r in zip(clips, reconstruction, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as partial:
        Image.fromarray(_stack(rows, axis=0)).save(partial, format="PNG")


def _row(source: npt.NDArray[np.uint8], made: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    difference = 128 + DIFFERENCE_GAIN * (made.astype(np.int16) - source)
    return _stack([source, made, np.clip(difference, 0, 255).astype(np.uint8)], axis=1)


def _stack(images: list[npt.NDArray[np.uint8]], *, axis: int) -> npt.NDArray[np.uint8]:
    """Join images `[H, W, 3]` along an axis with white gaps between them."""
    shape = list(images[0].shape)
    shape[axis] = _GAP_PX
    gap = np.full(shape, 255, np.uint8)
    parts = [part for image in images for part in (gap, image)][1:]
    return np.concatenate(parts, axis)


def _levels(frame: Tensor) -> npt.NDArray[np.uint8]:
    """Return a frame `[3, H, W]` in -1..1 as uint8 `[H, W, 3]`."""
    values = (frame.clamp(-1.0, 1.0) * 127.5 + 127.5).round()
    return np.ascontiguousarray(values.byte().permute(1, 2, 0).numpy())
