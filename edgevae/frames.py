"""Pad, crop and chunk arithmetic; pure functions on shapes and numpy arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError

Frames: TypeAlias = npt.NDArray[np.uint8]
Latents: TypeAlias = npt.NDArray[np.floating]


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


def psnr_dB(one: np.ndarray, other: np.ndarray) -> float:
    """Return the PSNR between frames uint8 of one shape, over all values; infinite where they are equal."""
    mse = float(np.square(one.astype(np.float64) - other.astype(np.float64)).mean())
    return math.inf if mse == 0 else 10 * math.log10(255.0**2 / mse)


def check_frames(frames: object, *, name: str = "frames") -> Frames:
    """Return `frames` if they are uint8 RGB `[T, H, W, 3]` or `[B, T, H, W, 3]` with at least one pixel.

    Raises:
        InputError: not a numpy array, another dtype, another number of axes, not three channels, or an empty axis.
    """
    if not isinstance(frames, np.ndarray):
        raise InputError(
            f"{name}: got {type(frames).__name__}, expected a numpy array uint8 [T, H, W, 3]"
        )
    if frames.dtype != np.uint8:
        hint = (
            "; multiply by 255, round and convert"
            if np.issubdtype(frames.dtype, np.floating)
            else ""
        )
        raise InputError(f"{name}: got dtype {frames.dtype}, expected uint8 (0..255){hint}")
    if frames.ndim not in (4, 5) or frames.shape[-1] != 3:
        raise InputError(
            f"{name}: got shape {list(frames.shape)}, expected [T, H, W, 3] or [B, T, H, W, 3]"
        )
    if 0 in frames.shape:
        raise InputError(
            f"{name}: got shape {list(frames.shape)}, which holds no pixel; give at least one frame"
        )
    return frames


def check_latents(
    latents: object, *, channels: int, nested: tuple[int, ...] = (), name: str = "latents"
) -> Latents:
    """Return `latents` as float32 if they are finite floats `[t, C, h, w]` or `[B, t, C, h, w]`.

    C is `channels`, or one of the numbers in `nested`.

    Raises:
        InputError: not a numpy array, another dtype or shape, an empty axis, or a NaN or an infinity.
    """
    if not isinstance(latents, np.ndarray):
        raise InputError(
            f"{name}: got {type(latents).__name__}, expected a numpy array float [t, C, h, w]"
        )
    if latents.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(f"{name}: got dtype {latents.dtype}, expected float16 or float32")
    if latents.ndim not in (4, 5) or latents.shape[-3] not in (*nested, channels):
        c = "C" if nested else channels
        choice = f" with C one of {', '.join(map(str, (*nested, channels)))}" if nested else ""
        raise InputError(
            f"{name}: got shape {list(latents.shape)}, expected [t, {c}, h, w] or [B, t, {c}, h, w]{choice}"
        )
    if 0 in latents.shape:
        raise InputError(
            f"{name}: got shape {list(latents.shape)}, which holds no value; give at least one latent step"
        )
    # As the graphs take them: a float64 beyond float32 would become infinite there.
    with np.errstate(over="ignore"):
        latents = latents.astype(np.float32, copy=False)
    if not np.isfinite(latents).all():
        bad = int(latents.size - np.isfinite(latents).sum())
        raise InputError(
            f"{name}: {bad} of {latents.size} values are NaN or infinite, expected finite numbers"
        )
    return latents


def fill_channels(latents: Latents, *, channels: int) -> Latents:
    """Return latents `[..., n, h, w]` as `[..., C, h, w]`: channels n to C, which are missing, are 0.

    The same array comes back where nothing is missing.
    """
    *before, n, h, w = latents.shape
    if n == channels:
        return latents
    filled = np.zeros((*before, channels, h, w), latents.dtype)
    filled[..., :n, :, :] = latents
    return filled


def lead_in(frames: Frames, lead_frames: int) -> Frames:
    """Return `frames [..., T, H, W, 3]` behind `lead_frames` copies of the first: filler of a clip's first chunk."""
    if not lead_frames:
        return frames
    return np.concatenate(
        [np.repeat(frames[..., :1, :, :, :], lead_frames, axis=-4), frames], axis=-4
    )


def pad_frames(frames: Frames, *, frame_multiple: int, size_multiple: int) -> Frames:
    """Return `frames [..., T, H, W, 3]` with T, H and W rounded up, repeating the last frame, row and column.

        a a b            a a b b b      W: 3 -> 5
        c c d     ->     c c d d d
                         c c d d d      H: 2 -> 3

    The same array comes back where nothing is to pad.
    """
    *_, t, h, w, _ = frames.shape
    pad_t, pad_h, pad_w = (
        round_up(t, frame_multiple) - t,
        round_up(h, size_multiple) - h,
        round_up(w, size_multiple) - w,
    )
    if not (pad_t or pad_h or pad_w):
        return frames
    before = [(0, 0)] * (frames.ndim - 4)
    return np.pad(frames, [*before, (0, pad_t), (0, pad_h), (0, pad_w), (0, 0)], mode="edge")


def chunks(
    frames: Iterable[Frames], *, chunk_frames: int, lead_frames: int = 0
) -> Iterator[Frames]:
    """Yield new arrays `[chunk_frames, H, W, 3]` from arrays `[n, H, W, 3]` of any n; the last one may be shorter.

    The groups are copied before the next one is asked for, so a camera may fill the same buffer again and again.

    Args:
        frames: The groups.
        chunk_frames: Of one chunk.
        lead_frames: The first chunk is shorter by so many, as models that code the first frame alone take it.

    Raises:
        InputError: a group is not uint8 `[n, H, W, 3]`, or has another size than the one before.
    """
    chunk: Frames | None = None
    begin = filled = lead_frames
    for group in frames:
        check_frames(group, name="group of frames")
        if group.ndim != 4 or (chunk is not None and group.shape[1:] != chunk.shape[1:]):
            size = "one size" if chunk is None else f"[n, {', '.join(map(str, chunk.shape[1:]))}]"
            raise InputError(
                f"group of frames: got shape {list(group.shape)}, expected [n, H, W, 3] of {size}"
            )
        while len(group):
            if chunk is None:
                chunk = np.empty((chunk_frames, *group.shape[1:]), np.uint8)
            taken = min(chunk_frames - filled, len(group))
            chunk[filled : filled + taken] = group[:taken]
            group, filled = group[taken:], filled + taken
            if filled == chunk_frames:
                yield chunk[begin:]
                chunk, begin, filled = np.empty_like(chunk), 0, 0
    if chunk is not None and filled > begin:
        yield chunk[begin:filled]
