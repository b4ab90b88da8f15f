"""Quality of a reconstruction against a reference: per frame while the clip streams by, then for the clip.

    frames     reference r, other s, both uint8
    mse        mean of (s - r)^2 over the pixels and channels of a frame
    motion     D(t) = (s_t - s_(t-1)) - (r_t - r_(t-1)): how the other's change in time differs from the reference's
    PSNR       10 log10(255^2 / mse); infinite for equal frames

Memory is constant in the frames' size: of a frame only its `FrameScore` stays, and of the clip its last pair of frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae_bench.similarity import similarity

Pair = tuple[Frames, Frames]
"""The last frame `[H, W, 3]` of the reference and of the other."""


@dataclass(frozen=True, kw_only=True)
class FrameScore:
    """How one frame differs from its reference."""

    mse: float
    """Mean squared error, in levels squared."""
    max_levels: int
    """The largest difference of a value, 0..255."""
    ssim: float | None
    """Structural similarity; None where the frame is too small."""
    ms_ssim: float | None
    """Multi-scale structural similarity; None where the frame is too small."""
    motion_mse: float | None
    """Mean of D^2, in levels squared; None for the first frame."""
    motion_mae: float | None
    """Mean of |D|, in levels; None for the first frame."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How a clip differs from its reference. A field is None where it is not defined; a PSNR also where the frames are
    equal, because JSON has no word for infinity.
    """

    frames: int
    """How many frames were compared."""
    identical_frames: int
    """How many of them are equal to their reference in every value."""
    mse: float
    """Mean of the frames' mean squared errors, in levels squared."""
    psnr_db: float | None
    """PSNR of `mse`; None where it is 0: one figure for the whole clip, as if it were one picture."""
    psnr_frame_mean_db: float | None
    """Mean of the PSNR of the frames that are not identical; None where all are."""
    worst_frame: int
    """Index of the frame with the largest error."""
    worst_frame_psnr_db: float | None
    """Its PSNR; None where all frames are identical."""
    max_levels: int
    """The largest difference of a value in the clip, 0..255."""
    ssim: float | None
    """Mean over the frames."""
    ms_ssim: float | None
    """Mean over the frames."""
    motion_psnr_db: float | None
    """Frame-difference PSNR, of the mean of D^2; None for one frame."""
    boundary_flicker_ratio: float | None
    """Mean |D| where a chunk begins, divided by that inside chunks; 1 means that boundaries cannot be told apart."""
    frames_psnr_db: tuple[float | None, ...]
    """PSNR of each frame; None for an identical one."""


def score_frames(
    reference: Frames, other: Frames, *, previous: Pair | None
) -> tuple[list[FrameScore], Pair]:
    """Return a score for each frame of the next part of a clip, and the pair to pass in with the part after it.

    Args:
        reference: `[n, H, W, 3]`, any n.
        other: Of the same shape.
        previous: What the call before gave; None at the start of a clip.

    Raises:
        InputError: the shapes or the element types differ, or there is no frame.
    """
    if reference.shape != other.shape or reference.dtype != np.uint8 or other.dtype != np.uint8:
        raise InputError(
            f"quality: got {other.dtype} {list(other.shape)} against {reference.dtype} {list(reference.shape)}, "
            "expected uint8 frames of the same shape"
        )
    if not len(reference):
        raise InputError("quality: got no frame, expected at least one")
    scores = []
    for pair in zip(reference, other, strict=True):
        scores.append(_score(pair, previous))
        previous = pair
    assert previous is not None, "there was at least one frame"
    # A copy: the caller may write the next part into the same memory.
    return scores, (previous[0].copy(), previous[1].copy())


def summarise(scores: Sequence[FrameScore], *, chunk_frames: int) -> Quality:
    """Return the figures of a clip from the scores of its frames, in order.

    Args:
        scores: At least one.
        chunk_frames: Frames that are made together: a boundary lies before each frame whose index is a multiple of it.

    Raises:
        InputError: there is no score.
    """
    if not scores:
        raise InputError("quality: got no frame, expected at least one")
    frames_psnr = tuple(psnr_db(score.mse) for score in scores)
    mse = fmean(score.mse for score in scores)
    different = [psnr for psnr in frames_psnr if math.isfinite(psnr)]
    worst = max(range(len(scores)), key=lambda index: scores[index].mse)
    motion = [score.motion_mse for score in scores if score.motion_mse is not None]
    return Quality(
        frames=len(scores),
        identical_frames=len(scores) - len(different),
        mse=mse,
        psnr_db=_finite(psnr_db(mse)),
        psnr_frame_mean_db=fmean(different) if different else None,
        worst_frame=worst,
        worst_frame_psnr_db=_finite(frames_psnr[worst]),
        max_levels=max(score.max_levels for score in scores),
        ssim=_mean([score.ssim for score in scores]),
        ms_ssim=_mean([score.ms_ssim for score in scores]),
        motion_psnr_db=_finite(psnr_db(fmean(motion))) if motion else None,
        boundary_flicker_ratio=_flicker(scores, chunk_frames),
        frames_psnr_db=tuple(map(_finite, frames_psnr)),
    )


def psnr_db(mse: float) -> float:
    """Return the peak signal-to-noise ratio of a mean squared error of 8-bit values; infinite for 0."""
    return 10.0 * math.log10(255.0**2 / mse) if mse > 0 else math.inf


def _score(pair: Pair, previous: Pair | None) -> FrameScore:
    difference = pair[1].astype(np.int16) - pair[0]
    ssim, ms_ssim = similarity(*pair)
    motion = None if previous is None else difference - (previous[1].astype(np.int16) - previous[0])
    return FrameScore(
        mse=_mean_square(difference),
        max_levels=int(np.abs(difference).max()),
        ssim=ssim,
        ms_ssim=ms_ssim,
        motion_mse=None if motion is None else _mean_square(motion),
        motion_mae=None if motion is None else float(np.abs(motion).mean()),
    )


def _mean_square(values: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> float:
    # int32: the square of a difference of differences, 510^2, does not fit into 16 bits.
    return float(np.square(values, dtype=np.int32).mean())


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, or None where a frame has no value: frames of a clip have one size, so none has or all have."""
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _flicker(scores: Sequence[FrameScore], chunk_frames: int) -> float | None:
    """Return mean |D| at boundaries over mean |D| inside; None where one of them has no frame, or that inside is 0."""
    moving = [
        (index, score.motion_mae)
        for index, score in enumerate(scores)
        if score.motion_mae is not None
    ]
    at = [mae for index, mae in moving if index % chunk_frames == 0]
    inside = [mae for index, mae in moving if index % chunk_frames]
    return fmean(at) / fmean(inside) if at and any(inside) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
