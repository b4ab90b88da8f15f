"""How a stored picture must be turned to be upright: quarter turns and mirroring from a display matrix."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.buffer import Buffer

from edgevae.errors import MediaError
from edgevae.frames import Frames


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """Mirror left to right first, then turn clockwise."""

    quarter_turns: int = 0
    """0 to 3, clockwise."""
    mirrored: bool = False
    """Whether left and right are exchanged before the turn."""

    @property
    def swaps_sides(self) -> bool:
        """Whether width becomes height."""
        return self.quarter_turns % 2 == 1

    def apply(self, picture: Frames) -> Frames:
        """Return the upright view of `picture [H, W, 3]`, without a copy."""
        if self.mirrored:
            picture = picture[:, ::-1]
        return np.rot90(picture, -self.quarter_turns) if self.quarter_turns else picture


def orientation_of(frame: av.VideoFrame, *, path: Path) -> Orientation:
    """Return the orientation that a video frame's display matrix asks for.

    The matrix is nine fixed-point numbers a b u c d v x y w with x' = a x + c y and y' = b x + d y, y downwards
    (ISO/IEC 14496-12, 6.2.2). A quarter turn clockwise is a, b, c, d = 0, 1, -1, 0.

    Raises:
        MediaError: the matrix is not a quarter turn with or without mirroring.
    """
    a, b, c, d = _turn(frame)
    for turns, (cos, sin) in enumerate(((1, 0), (0, 1), (-1, 0), (0, -1))):
        if (a, b, c, d) == (cos, sin, -sin, cos):
            return Orientation(quarter_turns=turns)
        if (a, b, c, d) == (-cos, -sin, -sin, cos):
            return Orientation(quarter_turns=turns, mirrored=True)
    raise MediaError(
        f"{path}: is to be shown turned by {-frame.rotation} degrees, expected a multiple of 90; re-encode it upright"
    )


def _turn(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Return the signs of a, b, c and d; where there is no matrix, those of no turn."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except (
        ValueError
    ):  # PyAV 18 cannot list side data if one of them is of a type it has no name for, such as EXIF
        return _PURE_TURNS.get(frame.rotation, (1, 1, 1, 1))
    if data is None:
        return (1, 0, 0, 1)
    assert isinstance(data, Buffer), "a matrix is one piece of side data"
    matrix = np.frombuffer(memoryview(data), np.int32)
    a, b, c, d = (int(np.sign(matrix[i])) for i in (0, 1, 3, 4))
    return a, b, c, d


# By FFmpeg's counter-clockwise angle, which PyAV gives even where it cannot give the matrix.
_PURE_TURNS = {
    0: (1, 0, 0, 1),
    90: (0, -1, 1, 0),
    -90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    -180: (-1, 0, 0, -1),
}
