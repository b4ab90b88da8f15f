"""Generated clips into files: all in one picture, or a file each."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.video.clip import ClipFormat
from edgevae.video.pictures import GifWriter, StripWriter, side_by_side
from edgevae.video.pipeline import Progress, check_output
from edgevae.video.result import ClipResult
from edgevae.video.writer import FrameSink, open_writer


class MakesClips(Protocol):
    """What is used here of `edgevae.Generator`, which lives in a package that this one does not know."""

    @property
    def latent_channels(self) -> int:
        """Of its latents."""

    def chunks(
        self,
        *,
        frames: int,
        count: int,
        seed: int,
        temperature: float,
        size: tuple[int, int] | None,
    ) -> Iterator[Frames]:
        """Yield clips side by side `[count, n, H, W, 3]`, a chunk of frames at a time."""


def generate_files(
    generator: MakesClips,
    output: Path,
    *,
    frames: int,
    count: int = 1,
    seed: int = 0,
    temperature: float = 1.0,
    size: tuple[int, int] | None = None,
    rate: Fraction = Fraction(10),
    separate: bool = False,
    crf: int | None = None,
    lossless: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[ClipResult, ...]:
    """Write clips that a model makes, and return what was written, a result a file.

    In a video or GIF several clips play side by side; in a PNG every clip is a row of its frames.

    Args:
        generator: The model.
        output: The file to write; .mp4, .mov, .mkv, .gif or .png.
        frames: Of each clip.
        count: How many clips.
        seed: Decides what they show.
        temperature: Factor on the noise.
        size: Height and width in pixels; by default what the model was trained to make.
        rate: Frames a second.
        separate: A file for each clip, `NAME-0.mp4` and so on.
        crf: Quality of H.264.
        lossless: H.264 in RGB.
        overwrite: Replace what exists.
        progress: Called after each chunk.

    Raises:
        InputError: the model cannot make what is asked for, or an output cannot be written or exists.
    """
    paths = _paths(output, count=count, separate=separate)
    for path in paths:
        check_output(path, source=None, overwrite=overwrite)
    if not rate > 0:
        raise InputError(f"fps: got {float(rate):g}, expected a number above 0")
    still = output.suffix.lower() == ".png"
    columns = 1 if still else math.ceil(math.sqrt(count))
    began = time.perf_counter()
    made = generator.chunks(
        frames=frames, count=count, seed=seed, temperature=temperature, size=size
    )
    boards = (
        list(chunk) if separate else [side_by_side(list(chunk), columns=columns)] for chunk in made
    )
    first = next(boards)  # says how large the pictures are
    _, height, width, _ = first[0].shape
    clip = ClipFormat(width_px=width, height_px=height, time_base=1 / rate, rate=rate)
    with contextlib.ExitStack() as stack:
        sinks = [
            stack.enter_context(_sink(path, clip, crf=crf, lossless=lossless)) for path in paths
        ]
        _write(itertools.chain([first], boards), sinks, frames=frames, progress=progress)
    seconds, channels = time.perf_counter() - began, generator.latent_channels
    return tuple(
        ClipResult.of(clip, frames=frames, seconds=seconds, output=path, latent_channels=channels)
        for path in paths
    )


def _write(
    boards: Iterable[list[Frames]],
    sinks: list[FrameSink],
    *,
    frames: int,
    progress: Progress | None,
) -> None:
    """Write groups of frames, one a sink, with the timestamps 0, 1, 2, ..."""
    done = 0
    for groups in boards:
        pts = np.arange(done, done + len(groups[0]), dtype=np.int64)
        for sink, group in zip(sinks, groups, strict=True):
            sink.write(np.ascontiguousarray(group), pts)
        done += len(pts)
        if progress is not None:
            progress(done, frames)


def _paths(output: Path, *, count: int, separate: bool) -> list[Path]:
    if not separate:
        return [output]
    digits = len(str(count - 1))
    return [output.with_name(f"{output.stem}-{i:0{digits}}{output.suffix}") for i in range(count)]


def _sink(path: Path, clip: ClipFormat, *, crf: int | None, lossless: bool) -> FrameSink:
    suffix = path.suffix.lower()
    if suffix not in (".png", ".gif"):
        return open_writer(path, clip, crf=crf, lossless=lossless)
    if crf is not None or lossless:
        raise InputError(f"{path}: a {suffix} has no H.264 in it; leave --crf and --lossless out")
    assert clip.rate is not None, "given by generate_files"
    return StripWriter(path) if suffix == ".png" else GifWriter(path, clip.rate)
