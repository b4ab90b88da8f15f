"""Where the clips of an evaluation come from: MNIST itself, a bundle, an array, and what none should be like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.moving_mnist import SIDE_PX, MovingMnist
from edgevae_bench.generation.figures import PAIRS, Grey, Labels

REFERENCE_SEED = 20181105
"""Of the clips that all others are compared with, of MNIST's test digits, which no training sees."""
REAL_SEED = 20181106
"""Of the real clips among the subjects, of the training digits: as near as what learnt from them could come."""


@dataclass(frozen=True)
class Subject:
    """Something that makes clips."""

    name: str
    """For the table."""
    make: Callable[[int, int], Grey]
    """A number of clips and of frames to grey clips `[N, T, 64, 64]`."""
    sha256: str | None = None
    """Of a model's bundle or an array's file; None for what is made by this code."""
    psnr_dB: Callable[[Grey], float] | None = None
    """Of the reconstruction of clips, where it can do that."""


def real_clips(digits: Grey, *, seed: int) -> Callable[[int, int], Grey]:
    """Return what makes clips of Moving MNIST."""
    return lambda count, frames: MovingMnist(digits, seed=seed).batch(0, count, frames=frames)


def baselines(training_digits: Grey) -> tuple[Subject, ...]:
    """Return real clips of the training digits, the same with their frames in any order, and noise."""
    real = real_clips(training_digits, seed=REAL_SEED)

    def shuffled(count: int, frames: int) -> Grey:
        order = np.random.default_rng(REAL_SEED).permuted(
            np.tile(np.arange(frames), (count, 1)), axis=1
        )
        clips = real(count, frames)
        for clip, chosen in zip(clips, order, strict=True):
            clip[:] = clip[chosen]
        return clips

    def noise(count: int, frames: int) -> Grey:
        shape = (count, frames, SIDE_PX, SIDE_PX)
        return np.random.default_rng(REAL_SEED).integers(0, 256, shape, dtype=np.uint8)

    return (
        Subject("real clips", real),
        Subject("real frames in any order", shuffled),
        Subject("noise", noise),
    )


def array_subject(path: Path) -> Subject:
    """Return the clips of a .npy file, uint8 `[N, T, 64, 64, 3]`.

    Raises:
        InputError: the file holds something else.
    """
    try:
        clips = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: no readable array ({error}); write it with numpy.save"
        ) from error
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[2:] != (SIDE_PX, SIDE_PX, 3):
        raise InputError(
            f"{path}: got {clips.dtype} {list(clips.shape)}, expected uint8 [N, T, {SIDE_PX}, {SIDE_PX}, 3]"
        )

    def make(count: int, frames: int) -> Grey:
        if len(clips) < count or clips.shape[1] < frames:
            raise InputError(
                f"{path}: holds {len(clips)} clips of {clips.shape[1]} frames, expected {count} of {frames}; "
                "ask for less with --clips and --frames"
            )
        return as_grey(clips[:count, :frames])

    return Subject(path.stem, make, sha256(path.read_bytes()))


def pairs_of(source: MovingMnist, labels: Grey, first: int, count: int) -> Labels:
    """Return which of `PAIRS` clips of a source show, `[count]`, from index `first` on.

    Args:
        source: Of the clips.
        labels: What its digits are, 0..9.
        first: The first clip.
        count: How many.
    """
    shown = [sorted(int(labels[i]) for i in source.shown(first + n)) for n in range(count)]
    return np.array([PAIRS.index((a, b)) for a, b in shown])


def as_grey(clips: np.ndarray[Any, np.dtype[np.uint8]]) -> Grey:
    """Return the mean of the colours of clips `[N, T, H, W, 3]`, rounded."""
    grey: Grey = np.rint(clips.mean(-1, dtype=np.float32)).astype(np.uint8)
    return grey
