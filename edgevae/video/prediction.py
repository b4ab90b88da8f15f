"""A clip continued, file to file: its last frames are seen, and the frames that come after them are written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.video.clip import FrameSource
from edgevae.video.pipeline import Progress, check_output
from edgevae.video.reader import open_video
from edgevae.video.result import ClipResult
from edgevae.video.writer import open_writer


class ContinuesClips(Protocol):
    """What is used here of `edgevae.Predictor`, which lives in a package that this one does not know."""

    @property
    def chunk_frames(self) -> int:
        """Frames of one call."""

    @property
    def latent_channels(self) -> int:
        """Of the latents in which it predicts."""

    def continued(self, frames: Frames, count: int) -> Iterator[Frames]:
        """Yield the frames that come after a clip, at most a chunk at a time."""


def predict_file(
    predictor: ContinuesClips,
    clip: Path,
    output: Path,
    *,
    frames: int,
    seen_frames: int,
    crf: int | None = None,
    lossless: bool = False,
    overwrite: bool = False,
    allow_damaged: bool = False,
    progress: Progress | None = None,
) -> ClipResult:
    """Write the frames that come after a clip, without sound, with timestamps that go on from its last one.

    Args:
        predictor: The model.
        clip: A video.
        output: The file to write.
        frames: How many to predict.
        seen_frames: How many of the clip's last frames the model is shown.
        crf: Quality of H.264.
        lossless: H.264 in RGB.
        overwrite: Replace the output where it exists.
        allow_damaged: Take what can be read of a damaged clip.
        progress: Called after each chunk.

    Raises:
        InputError: the clip cannot be read or is shorter than a chunk, or the output cannot be written or exists.
    """
    check_output(output, source=clip, overwrite=overwrite)
    if seen_frames < predictor.chunk_frames:
        raise InputError(
            f"seen frames: got {seen_frames}, expected at least the {predictor.chunk_frames} of one chunk"
        )
    began, done = time.perf_counter(), 0
    with open_video(
        clip, group_frames=predictor.chunk_frames, allow_damaged=allow_damaged
    ) as source:
        seen, last_pts = _last_frames(source, seen_frames)
        info = source.info
        with open_writer(output, info, crf=crf, lossless=lossless) as writer:
            for group in predictor.continued(seen, frames):
                steps = np.arange(done + 1, done + len(group) + 1, dtype=np.int64)
                writer.write(np.ascontiguousarray(group), last_pts + steps * info.frame_ticks)
                done += len(group)
                if progress is not None:
                    progress(done, frames)
    return ClipResult.of(
        info,
        frames=done,
        seconds=time.perf_counter() - began,
        output=output,
        latent_channels=predictor.latent_channels,
        notes=tuple(source.notes),
    )


def _last_frames(source: FrameSource, count: int) -> tuple[Frames, int]:
    """Return the last frames of an open clip, and the timestamp of the last one; only these stay in memory."""
    kept, last = deque[Frames](maxlen=count), 0
    for group in source:
        kept.extend(group.frames)
        last = int(group.pts[-1])
    return np.stack(list(kept)), last
