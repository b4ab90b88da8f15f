"""Short clips as pictures: a GIF that repeats, or all frames side by side in one PNG; in memory until the end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.frames import Frames
from edgevae.video.clip import Timestamps
from edgevae.video.container import MAX_PIXELS

GAP_PX = 2
"""Between pictures that stand side by side."""
_GAP_LEVEL = 96
_LEAST_GIF_S = Fraction(1, 50)
"""Players slow down what is shorter."""


class _Kept:
    """Frames kept until the `with` ends, and then written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: list[Frames] = []
        self._pixels = 0

    def __enter__(self) -> _Kept:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            return
        if not self._frames:
            raise InputError(f"{self._path}: no frame was given, expected at least one")
        self._save()

    def write(self, frames: Frames, pts: Timestamps) -> None:
        """Append frames `[n, H, W, 3]`; their timestamps have no place here.

        Raises:
            InputError: they are more than one picture may have.
        """
        self._pixels += frames[..., 0].size
        if self._pixels > MAX_PIXELS:
            raise InputError(
                f"{self._path}: more than the {MAX_PIXELS} pixels that are kept for a "
                f"{self._path.suffix}; write a .mp4, or fewer frames"
            )
        self._frames.extend(frames)

    def _save(self) -> None:
        raise NotImplementedError


class StripWriter(_Kept):
    """A PNG with the frames side by side, in the order of time."""

    def _save(self) -> None:
        picture = side_by_side([frame[None] for frame in self._frames], columns=len(self._frames))
        with atomic_file(self._path) as partial:
            Image.fromarray(picture[0]).save(partial, format="PNG")


class GifWriter(_Kept):
    """A GIF that repeats for ever, each frame with 256 colours of its own.

    Args:
        path: Where it goes.
        rate: Frames a second, at most 50; GIF counts in 1/100 s.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        super().__init__(path)
        if 1 / rate < _LEAST_GIF_S:
            raise InputError(
                f"{path}: {float(rate):g} frames a second, a GIF has {1 / _LEAST_GIF_S} at most; "
                "write a .mp4, or give a smaller --fps"
            )
        self._rate = rate

    def _save(self) -> None:
        first, *others = (Image.fromarray(frame).quantize(256) for frame in self._frames)
        with atomic_file(self._path) as partial:
            first.save(
                partial,
                format="GIF",
                save_all=True,
                append_images=others,
                duration=round(1000 / self._rate),
                loop=0,
            )


def side_by_side(clips: list[Frames], *, columns: int) -> Frames:
    """Return clips `[n, H, W, 3]` of one size as one, in rows with a grey line between them; the last row is filled up.

    clips 0 1 2 3 4, three columns          0 | 1 | 2
                                            ---------
                                            3 | 4 |
    """
    frames, height, width, _ = clips[0].shape
    rows = -(-len(clips) // columns)
    board = np.full(
        (frames, rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3),
        _GAP_LEVEL,
        np.uint8,
    )
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        top, left = row * (height + GAP_PX), column * (width + GAP_PX)
        board[:, top : top + height, left : left + width] = (
            clips[place] if place < len(clips) else 0
        )
    return board
