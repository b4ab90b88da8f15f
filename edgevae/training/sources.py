"""Where training clips come from: a sample is a pure function of the run's seed and the sample's index.

Nothing is remembered from sample to sample, so that a run continues anywhere by starting at the right index.
"""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from edgevae.frames import Frames
from edgevae.training.augment import Augmentation, choose_times, grow_to, random_clip
from edgevae.training.media import MediaFile, Segment, decode_segments, split_segments

_SAMPLE, _ORDER, _VALIDATION = 1, 2, 3
"""What a random generator is for; the second word of its seed."""


class ClipSource(Protocol):
    """Endless clips by index."""

    def clip(self, index: int) -> Frames:
        """Return clip `index`, `[T, crop, crop, 3]`; the same index always gives the same clip."""
        ...


def sample_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of sample `index` of the run with `seed`."""
    return np.random.default_rng([seed, _SAMPLE, index])


class FolderSource:
    """Clips out of files, decoded in parts that fit a memory budget.

    All segments are shuffled once and dealt into parts of about the budget. Part `(i // refresh_clips) % parts` is in
    memory for clip `i`, so that which frames a clip comes from depends on its index only.

    Args:
        files: Videos and images.
        augmentation: What a clip goes through.
        seed: The run's seed.
        cache_bytes: Memory budget for decoded frames, exceeded by one segment at most.
        refresh_clips: Clips that are taken from a part before the next one is decoded.
    """

    def __init__(
        self,
        files: list[MediaFile],
        augmentation: Augmentation,
        *,
        seed: int,
        cache_bytes: int,
        refresh_clips: int,
    ) -> None:
        self.augmentation, self.seed, self.refresh_clips = augmentation, seed, refresh_clips
        length = max(64, augmentation.frames * max(augmentation.strides))
        segments = [s for file in files for s in split_segments(file, segment_frames=length)]
        self.size_bytes = sum(s.size_bytes for s in segments)
        self.parts = deal_segments(segments, seed=seed, part_bytes=cache_bytes)
        self._loaded: int | None = None
        self._frames: list[Frames] = []
        self._edges = np.zeros(0)

    def clip(self, index: int) -> Frames:
        """Return clip `index`; decodes another part first where the index asks for one."""
        part = (index // self.refresh_clips) % len(self.parts)
        if part != self._loaded:
            self._load(part)
        rng = sample_rng(self.seed, index)
        chosen = int(np.searchsorted(self._edges, rng.random(), side="right"))
        return random_clip(self._frames[min(chosen, len(self._frames) - 1)], rng, self.augmentation)

    def _load(self, part: int) -> None:
        self._frames, self._loaded = (
            [],
            None,
        )  # first, so that two parts are never in memory together
        segments = self.parts[part]
        by_file: dict[str, list[Segment]] = {}
        for segment in segments:
            by_file.setdefault(segment.file.name, []).append(segment)
        title = f"decode part {part + 1} of {len(self.parts)}"
        weights: list[float] = []
        for group in tqdm(by_file.values(), desc=title, unit="file", leave=False, file=sys.stderr):
            self._frames += decode_segments(group)
            # A long file counts for more than a short one, but not in proportion: its frames are alike.
            weights += [(s.stop - s.start) / math.sqrt(s.file.frames) for s in group]
        self._edges = np.cumsum(weights) / np.sum(weights)
        self._loaded = part


def deal_segments(segments: list[Segment], *, seed: int, part_bytes: int) -> list[list[Segment]]:
    """Return the segments, shuffled, in as few parts as their bytes need, of about equal bytes each."""
    order = np.random.default_rng([seed, _ORDER]).permutation(len(segments))
    total = sum(s.size_bytes for s in segments)
    count = min(len(segments), -(-total // part_bytes))
    parts: list[list[Segment]] = [[] for _ in range(count)]
    before = 0
    for i in order:
        parts[min(count - 1, before * count // total)].append(segments[i])
        before += segments[i].size_bytes
    return [part for part in parts if part]


def hold_out(
    files: list[MediaFile], *, share: float = 0.1
) -> tuple[list[MediaFile], list[MediaFile]]:
    """Return training and validation files: about a share of them, chosen by a hash of their names, one at least.

    A single file serves as both; the caller says so.
    """
    if len(files) == 1:
        return files, files
    ranked = sorted(files, key=lambda f: hashlib.sha256(f.name.encode()).hexdigest())
    held = {f.name for f in ranked[: max(1, round(share * len(files)))]}
    return [f for f in files if f.name not in held], [f for f in files if f.name in held]


def fixed_clips(
    files: list[MediaFile], augmentation: Augmentation, *, seed: int, count: int
) -> list[Frames]:
    """Return `count` clips `[T, side, side, 3]`, spread over the files in turn; only their own pixels stay in memory.

    The side is that of the augmentation, or the largest multiple of 8 that the smallest frame has.
    """
    smallest = min(min(f.height_px, f.width_px) for f in files)
    side = min(augmentation.crop_px, max(8, smallest // 8 * 8))
    names = sorted(files, key=lambda f: f.name)
    clips: list[Frames] = []
    for i in tqdm(
        range(count), desc="decode validation clips", unit="clip", leave=False, file=sys.stderr
    ):
        file, place = names[i % len(names)], np.random.default_rng([seed, _VALIDATION, i]).random(3)
        times = choose_times(file.frames, augmentation.frames, 1, place[0])
        frames = decode_segments(
            [Segment(file=file, start=int(times[0]), stop=int(times[-1]) + 1)]
        )[0]
        top, left = (
            int(place[1] * (file.height_px - side + 1)),
            int(place[2] * (file.width_px - side + 1)),
        )
        window = frames[:, max(top, 0) : max(top, 0) + side, max(left, 0) : max(left, 0) + side]
        held = window[np.minimum(np.arange(augmentation.frames), len(window) - 1)]
        clips.append(grow_to(held, side))
    return clips


def media_listing(files: list[MediaFile]) -> dict[str, int]:
    """Return the size in bytes of every file by its name; what a resumed run compares."""
    return {f.name: Path(f.path).stat().st_size for f in files}
