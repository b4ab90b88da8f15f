"""Random clips of a fixed size out of frames: pure functions of a random generator.

segment [n, H, W, 3]  ->  frames start, start + stride, ...  ->  window of crop / scale pixels  ->  crop x crop
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from edgevae.frames import Frames
from edgevae.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is chosen at random for a clip."""

    frames: int
    """Frames of a clip."""
    crop_px: int
    """Side of a clip."""
    strides: tuple[int, ...] = (1,)
    """Time strides to choose from."""
    min_scale: float = 1.0
    """Smallest factor by which the source is scaled down."""
    reverse: bool = False
    """Whether half of the clips run backwards."""
    flip: bool = False
    """Whether half of the clips are mirrored."""
    grey_share: float = 0.0
    """Share of the clips that lose some or all of their colour."""
    flat_share: float = 0.0
    """Share of the clips that become one colour."""


def training_augmentation(config: TrainConfig) -> Augmentation:
    """Return what training clips go through."""
    return Augmentation(
        frames=config.clip_frames,
        crop_px=config.crop_px,
        strides=config.time_strides,
        min_scale=config.min_scale,
        reverse=config.reverse,
        flip=True,
        grey_share=config.grey_share,
        flat_share=config.flat_share,
    )


def validation_augmentation(config: TrainConfig) -> Augmentation:
    """Return what validation clips go through: a place in space and time, nothing else."""
    return Augmentation(frames=config.val_frames, crop_px=config.val_crop_px)


def random_clip(segment: Frames, rng: np.random.Generator, augmentation: Augmentation) -> Frames:
    """Return a clip `[T, crop, crop, 3]` out of a segment `[n, H, W, 3]`.

    A segment that is too short holds its last frame; one that is too small is continued by reflection.
    """
    a = augmentation
    # Every number is drawn whatever the earlier ones were, so that clips of one index stay comparable.
    stride, scale = int(rng.choice(a.strides)), float(rng.uniform(a.min_scale, 1.0))
    place, (backwards, mirrored) = rng.random(3), rng.random(2) < 0.5
    times = choose_times(len(segment), a.frames, stride, place[0])
    if backwards and a.reverse:
        times = times[::-1]
    _, height, width, _ = segment.shape
    side = round(a.crop_px / scale)
    if side > min(height, width):
        side = a.crop_px
    top, left = (
        int(place[1] * (max(height - side, 0) + 1)),
        int(place[2] * (max(width - side, 0) + 1)),
    )
    clip = segment[times, top : top + side, left : left + side]
    if mirrored and a.flip:
        clip = clip[:, :, ::-1]
    sized = grow_to(clip, a.crop_px) if side == a.crop_px else shrink_to(clip, a.crop_px)
    greyed, saturation = rng.random(2)
    if greyed < a.grey_share:
        sized = desaturate(sized, max(0.0, 2.0 * saturation - 1.0))
    return one_colour(sized, rng) if rng.random() < a.flat_share else sized


def choose_times(
    available: int, frames: int, stride: int, place: float
) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return `frames` indices below `available`, `stride` apart.

    Where frames are short the stride is made smaller, and then the last frame is held.
    """
    while stride > 1 and (frames - 1) * stride + 1 > available:
        stride -= 1
    slack = max(0, available - ((frames - 1) * stride + 1))
    start = int(place * (slack + 1))
    return np.minimum(start + stride * np.arange(frames), available - 1)


def shrink_to(clip: Frames, side_px: int) -> Frames:
    """Return a clip `[T, H, W, 3]` as `[T, side, side, 3]`, antialiased."""
    channels_first = torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2)
    smaller = interpolate(channels_first, size=(side_px, side_px), mode="bilinear", antialias=True)
    return smaller.permute(0, 2, 3, 1).contiguous().numpy()


def grow_to(clip: Frames, side_px: int) -> Frames:
    """Return a clip `[T, H, W, 3]`, where smaller than `side` continued by reflection at the bottom and right."""
    _, height, width, _ = clip.shape
    missing = ((0, 0), (0, max(0, side_px - height)), (0, max(0, side_px - width)), (0, 0))
    if missing == ((0, 0),) * 4:
        return np.ascontiguousarray(clip)
    return np.pad(clip, missing, mode="symmetric")


def desaturate(clip: Frames, saturation: float) -> Frames:
    """Return a clip with its colours drawn towards their luma (BT.601); nothing of them is left at saturation 0."""
    luma = clip @ np.array([0.299, 0.587, 0.114], np.float32)
    mixed = luma[..., None] + np.float32(saturation) * (clip - luma[..., None])
    levels: Frames = np.rint(mixed).astype(np.uint8)
    return levels


def one_colour(clip: Frames, rng: np.random.Generator) -> Frames:
    """Return a clip of the same shape in one colour: white, black, a grey or any, each as often."""
    kind, level = int(rng.integers(4)), rng.integers(0, 256, 3, dtype=np.uint8)
    colours = (np.full(3, 255, np.uint8), np.zeros(3, np.uint8), level[:1].repeat(3), level)
    flat: Frames = np.broadcast_to(colours[kind], clip.shape).copy()
    return flat
