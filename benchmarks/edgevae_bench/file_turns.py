"""One turn from file to file, with the video codec: what `edgevae encode`, `decode` and `reconstruct` do."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgevae.frames import Frames
from edgevae.video.clip import ClipFormat
from edgevae.video.pipeline import decode_file, encode_file, reconstruct_file
from edgevae.video.writer import open_writer
from edgevae_bench.subjects import AnyCodec
from edgevae_bench.turns import Samples

CLIP, LATENTS, MADE = "timed.mp4", "timed.safetensors", "made.mp4"
"""Files of a turn, in a folder of the subject's own."""


class FileTurns:
    """Turns from file to file.

    Args:
        codec: The subject.
        folder: Where the files go.
        chunks: The timed chunks, `[T, H, W, 3]`; they become one H.264 file at the writer's own quality.
        frames_per_s: Of the clip; 25 where it has no rate.
    """

    def __init__(
        self, codec: AnyCodec, folder: Path, chunks: list[Frames], *, frames_per_s: float | None
    ) -> None:
        self._codec, self._folder = codec, folder
        write_clip(folder / CLIP, np.concatenate(chunks), frames_per_s=frames_per_s or 25.0)

    def file(self) -> Samples:
        """Return the time of the whole file, for each operation."""
        codec, folder = self._codec, self._folder
        clip, latents, made = folder / CLIP, folder / LATENTS, folder / MADE
        return {
            "encode": [_clocked(lambda: encode_file(codec, clip, latents, overwrite=True))],
            "decode": [_clocked(lambda: decode_file(codec, latents, made, overwrite=True))],
            "round_trip": [_clocked(lambda: reconstruct_file(codec, clip, made, overwrite=True))],
        }


def write_clip(path: Path, frames: Frames, *, frames_per_s: float) -> None:
    """Write frames `[T, H, W, 3]` as a video file."""
    rate = Fraction(frames_per_s).limit_denominator(1001)
    clip = ClipFormat(
        width_px=frames.shape[2],
        height_px=frames.shape[1],
        time_base=1 / rate,
        rate=rate,
    )
    with open_writer(path, clip) as writer:
        writer.write(frames, np.arange(len(frames), dtype=np.int64))


def _clocked(work: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / 1e6
