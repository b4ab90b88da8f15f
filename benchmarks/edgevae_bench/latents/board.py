"""Frames on one board, rows of pictures with a gap between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgevae.frames import Frames

GAP_PX = 2
_GROUND = 110


def strip(frames: Frames) -> Frames:
    """Return frames `[N, H, W, 3]` side by side, `[H, N * (W + gap) - gap, 3]`."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, GAP_PX), (0, 0)), constant_values=_GROUND)
    joined: Frames = np.concatenate(list(padded), axis=1)[:, :-GAP_PX]
    return joined


def board(rows: Sequence[Frames]) -> Frames:
    """Return strips of one width below each other."""
    padded = [np.pad(r, ((0, GAP_PX), (0, 0), (0, 0)), constant_values=_GROUND) for r in rows]
    joined: Frames = np.concatenate(padded)[:-GAP_PX]
    return joined


def spread(clip: Frames, *, count: int) -> Frames:
    """Return at most so many frames of a clip, spread evenly over it."""
    chosen: Frames = clip[np.unique(np.linspace(0, len(clip) - 1, count).round().astype(int))]
    return chosen
