"""The frames that a benchmark runs on: the beginning of a video file, in chunks, in constant memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevae.errors import InputError
from edgevae.files import sha256_of_file
from edgevae.frames import Frames, chunks

MAX_SIDE_PX = 8192
"""The largest height or width to resize to; a frame of 8192x8192 takes 200 MB."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Which frames, described so that another process can read the same."""

    path: str
    """A video file or a still image."""
    max_frames: int | None
    """How many frames from the start; None for all."""
    size_px: tuple[int, int] | None = None
    """(H, W) that every frame is resized to; None keeps the file's."""

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"{self.path}: got {self.max_frames} frames, expected at least 1")
        if self.size_px is not None and not all(1 <= side <= MAX_SIDE_PX for side in self.size_px):
            raise InputError(
                f"{self.path}: got height and width {list(self.size_px)}, expected 1 to {MAX_SIDE_PX} pixels each"
            )


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """The frames that were used."""

    name: str
    """Of the file."""
    sha256: str
    """Of the file."""
    source_height_px: int
    """Of the frames in the file."""
    source_width_px: int
    """Of the frames in the file."""
    frames_per_s: float | None
    """Frame rate of the file; None for a still image."""


def parts(
    clip: Clip, *, chunk_frames: int, notes: list[str] | None = None
) -> Generator[Frames, None, None]:
    """Yield uint8 RGB `[chunk_frames, H, W, 3]`; the last one may be shorter.

    Args:
        clip: Which frames.
        chunk_frames: Of one part.
        notes: Where to add what the reader assumed or lost.

    Raises:
        MediaError: the file is missing, no video, or damaged.
    """
    yield from chunks(_groups(clip, notes if notes is not None else []), chunk_frames=chunk_frames)


def facts(clip: Clip) -> ClipFacts:
    """Return what the report says of the clip.

    Raises:
        MediaError: the file is missing or no video.
    """
    from edgevae.video.reader import open_video

    with open_video(clip.path) as video:
        info = video.info
    return ClipFacts(
        name=Path(clip.path).name,
        sha256=sha256_of_file(Path(clip.path)),
        source_height_px=info.height_px,
        source_width_px=info.width_px,
        frames_per_s=float(info.rate) if info.rate else None,
    )


def _groups(clip: Clip, notes: list[str]) -> Iterator[Frames]:
    from edgevae.video.reader import open_video

    left = clip.max_frames
    with open_video(clip.path) as video:
        for frames, _ in video:
            kept = frames if left is None else frames[:left]
            yield kept if clip.size_px is None else _resize(kept, clip.size_px)
            left = None if left is None else left - len(kept)
            if left == 0:
                break
        notes += video.notes


def _resize(frames: Frames, size_px: tuple[int, int]) -> Frames:
    """Return frames `[n, H, W, 3]` of another size, bicubic with a filter that widens when it shrinks."""
    from PIL import Image

    height, width = size_px
    pictures = [
        Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC) for frame in frames
    ]
    return np.stack([np.asarray(picture) for picture in pictures])
