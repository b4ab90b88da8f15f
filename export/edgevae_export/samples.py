"""The frames on which graphs are compared: real ones, noise, black and white."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames, round_up

FRAMES = Path(__file__).parent / "frames.safetensors"
"""Eight real frames, 96 x 128, from the clip that the package ships (CC0); made by `make_frames.py`."""

SEED = 20240229
"""Of the noise."""

MADE_PX = (48, 64)
"""Height and width of noise, black and white, where latent cells are no larger than 16 pixels."""


def samples(
    *, chunk_frames: int, lead_frames: int = 0, cell_px: int = 8, real: Frames | None = None
) -> dict[str, Frames]:
    """Return clips uint8 `[T, H, W, 3]` by kind; T and the lead are at least two chunks, so that state is carried.

    The made ones are small: half precision is slow on a CPU, and they have no detail to miss.

    Args:
        chunk_frames: Frames per chunk; T and the lead are a multiple.
        lead_frames: Filler that the first chunk has before the clip.
        cell_px: Pixels per latent cell; H and W are multiples.
        real: Real frames to use instead of those in the package, `[T, H, W, 3]`.
    """
    if real is None:
        from safetensors.numpy import load_file

        real = load_file(FRAMES)["frames"][: 2 * chunk_frames - lead_frames]
    real = whole_cells(real, cell_px=cell_px)
    count = round_up(max(len(real) + lead_frames, 2 * chunk_frames), chunk_frames) - lead_frames
    real = np.concatenate([real] * -(-count // len(real)))[:count]
    shape = (2 * chunk_frames - lead_frames, *(round_up(side, cell_px) for side in MADE_PX), 3)
    noise = np.random.default_rng(SEED).integers(0, 256, shape, dtype=np.uint8)
    return {
        "real": real,
        "noise": noise,
        "black": np.zeros(shape, np.uint8),
        "white": np.full(shape, 255, np.uint8),
    }


def whole_cells(frames: Frames, *, cell_px: int, most_px: int = 256) -> Frames:
    """Return a centre crop whose sides are multiples of a latent cell and at most `most_px`.

    Raises:
        InputError: the frames are smaller than a cell.
    """
    _, h, w, _ = frames.shape
    height, width = (min(side, most_px) // cell_px * cell_px for side in (h, w))
    if not (height and width):
        raise InputError(
            f"calibration frames: {w}x{h} pixels, expected at least {cell_px}x{cell_px}"
        )
    top, left = (h - height) // 2, (w - width) // 2
    return np.ascontiguousarray(frames[:, top : top + height, left : left + width])
