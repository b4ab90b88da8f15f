"""What a video file or a still image is once it is open: its facts, and its frames a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from edgevae.frames import Frames
from edgevae.video.orientation import Orientation

Timestamps: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClipFormat:
    """What has to be known of a clip to write it."""

    width_px: int
    """Width of the upright picture."""
    height_px: int
    """Height of the upright picture."""
    time_base: Fraction
    """Seconds per unit of the timestamps."""
    rate: Fraction | None
    """Average frames per second; None for a still image or where the file does not say."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of an upright pixel divided by its height; 1 for nearly every file."""

    @property
    def frame_ticks(self) -> int:
        """How many units of the time base a frame lasts on average, at least 1; 25 frames a second where not known."""
        return max(1, round(1 / ((self.rate or 25) * self.time_base)))


@dataclass(frozen=True, kw_only=True)
class VideoInfo(ClipFormat):
    """What a file says of its video before it is read."""

    frames: int | None
    """How many frames the container declares; None where it does not."""
    duration_s: float | None
    """Duration that the container declares, in seconds."""
    has_sound: bool
    """Whether there is a sound track."""
    orientation: Orientation
    """What is done to a stored picture to make it upright."""
    pixel_format: str
    """The stored format as FFmpeg (of an image: Pillow) names it, for example yuv420p10le."""
    bit_depth: int
    """Bits per stored sample; frames come as 8 bits whatever this is."""

    @property
    def expected_frames(self) -> int | None:
        """About how many frames will come, for a progress bar."""
        if self.frames is None and self.duration_s and self.rate:
            return max(1, round(self.duration_s * self.rate))
        return self.frames


class FrameGroup(NamedTuple):
    """A few frames in the order they are shown."""

    frames: Frames
    """uint8 RGB `[n, H, W, 3]`; the receiver's own."""
    pts: Timestamps
    """int64 `[n]`, strictly increasing, in units of the time base."""


class FrameSource(Protocol):
    """An open video or image: iterate over it once, inside its `with`."""

    @property
    def info(self) -> VideoInfo:
        """What the file says of itself."""

    @property
    def notes(self) -> list[str]:
        """What was assumed or lost, one line each; complete when the iteration has ended."""

    def __enter__(self) -> FrameSource: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[FrameGroup]: ...
