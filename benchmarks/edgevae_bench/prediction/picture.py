"""A picture of predictions: for each clip what was seen, what comes, and what was said, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.moving_mnist import Pictures
from edgevae_bench.prediction.run import Shown

GAP_PX, BETWEEN_PX = 2, 12
"""Between frames, and between clips."""
_GROUND = 90


def write_picture(shown: Sequence[Shown], path: Path) -> None:
    """Write a PNG with three rows a clip: seen, true, predicted; the file is whole or absent.

    Raises:
        InputError: the path does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: got {path.suffix or 'no extension'}, expected .png")
    image = Image.fromarray(compose(shown))
    with atomic_file(path) as partial:
        image.save(partial, format="PNG", optimize=True)


def compose(shown: Sequence[Shown]) -> Pictures:
    """Return the picture, uint8 grey."""
    clips = [np.concatenate([_row(part) for part in (s.seen, s.true, s.said)]) for s in shown]
    gap = np.full((BETWEEN_PX, clips[0].shape[1]), _GROUND, np.uint8)
    rows = [part for clip in clips for part in (clip, gap)]
    return np.concatenate(rows[:-1])


def _row(frames: Pictures) -> Pictures:
    """Return frames `[T, H, W]` side by side, with a gap after each and below."""
    framed = np.pad(frames, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=_GROUND)
    return np.concatenate(list(framed), axis=1)
