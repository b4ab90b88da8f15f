"""The frames that an evaluation sees: the first of a clip, at native size or as squares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae_bench.clip import MAX_SIDE_PX, Clip, parts

MIN_SIDE_PX = 16
"""The smallest square: two latent cells of 8 pixels."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How frames are taken from a clip."""

    max_frames: int | None
    """How many, from the start; None for all."""
    side_px: int | None = None
    """Of the square that each frame becomes; None keeps the file's size."""

    def __post_init__(self) -> None:
        if self.side_px is not None and not MIN_SIDE_PX <= self.side_px <= MAX_SIDE_PX:
            raise InputError(
                f"--size: got {self.side_px}, expected {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels"
            )

    @property
    def name(self) -> str:
        """`native`, or the size as `256x256`."""
        return "native" if self.side_px is None else f"{self.side_px}x{self.side_px}"


def chunks_of(
    path: str, protocol: Protocol, *, chunk_frames: int, notes: list[str] | None = None
) -> Iterator[Frames]:
    """Yield uint8 RGB `[chunk_frames, H, W, 3]` of a clip, the last one maybe shorter; each call reads the file anew.

    Args:
        path: A video file or a still image.
        protocol: Which frames, and their size.
        chunk_frames: Of one part.
        notes: Where to add what the reader assumed or lost.

    Raises:
        MediaError: the file is missing, no video, or damaged.
    """
    clip = Clip(path=path, max_frames=protocol.max_frames)
    for chunk in parts(clip, chunk_frames=chunk_frames, notes=notes):
        yield chunk if protocol.side_px is None else to_square(chunk, protocol.side_px)


def to_square(frames: Frames, side_px: int) -> Frames:
    """Return frames `[n, H, W, 3]` as `[n, side, side, 3]`: shorter side resized to `side_px`, then the centre cut out.

    +--+--------+--+
    |  |        |  |      bicubic with a filter that widens when it shrinks (Pillow's), both sides by the same
    |  | centre |  |      factor; a smaller frame is enlarged
    +--+--------+--+
    """
    from PIL import Image

    height, width = frames.shape[1:3]
    scale = side_px / min(height, width)
    size = max(side_px, round(width * scale)), max(side_px, round(height * scale))
    left, top = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    squares = [
        np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))[
            top : top + side_px, left : left + side_px
        ]
        for frame in frames
    ]
    return np.stack(squares)
