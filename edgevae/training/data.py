"""From what the user names as data to batches: a source of training clips, fixed validation clips, loaders."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from edgevae.frames import Frames
from edgevae.training.augment import training_augmentation, validation_augmentation
from edgevae.training.config import TrainConfig
from edgevae.training.media import MediaFile, find_media
from edgevae.training.procedural import BUILT_IN, built_in_source
from edgevae.training.sources import ClipSource, FolderSource, fixed_clips, hold_out, media_listing

_VALIDATION_START = 2**40
"""Built-in data is endless: its validation clips are those from this index on, which no training run reaches."""


@dataclass(frozen=True, kw_only=True)
class TrainData:
    """Training and validation data of a run."""

    source: ClipSource
    """Training clips by index."""
    validation: Tensor
    """uint8 `[N, T, 3, H, W]`."""
    files: dict[str, int]
    """Bytes of every file by name; empty for built-in data."""


def open_data(data: str, val: str | None, config: TrainConfig) -> TrainData:
    """Return the data of a run.

    Args:
        data: A folder of videos and images, or a name in `BUILT_IN`.
        val: A folder of validation data; None holds out some of the files.
        config: The run.

    Raises:
        InputError: a folder is missing or empty.
        MediaError: a file cannot be read.
    """
    if data in BUILT_IN and not Path(data).is_dir():
        source = built_in_source(data, training_augmentation(config), seed=config.seed)
        if val is None:
            held = built_in_source(data, validation_augmentation(config), seed=config.seed)
            clips = [held.clip(_VALIDATION_START + i) for i in range(config.val_clips)]
            return TrainData(source=source, validation=_stack(clips), files={})
        return TrainData(source=source, validation=_validation(val, config), files={})
    files = find_media(Path(data))
    training, held_out = (files, []) if val else hold_out(files)
    if held_out == training:
        _say(
            f"{data}: one file only, so validation is on the training data; give --val for another"
        )
    source = FolderSource(
        training,
        training_augmentation(config),
        seed=config.seed,
        cache_bytes=config.cache_mib * 2**20,
        refresh_clips=config.refresh_clips,
    )
    _say_size(data, source, training, held_out)
    validation = _validation(val, config) if val else _fixed(held_out, config)
    return TrainData(source=source, validation=validation, files=media_listing(files))


def batches(
    source: ClipSource, config: TrainConfig, *, step: Callable[[], int]
) -> DataLoader[Tensor]:
    """Return a loader of batches uint8 `[B, T, 3, H, W]` from the step that `step()` tells to the next validation."""
    sampler = _StepSampler(config, step)
    return DataLoader(_Clips(source), batch_size=config.batch_clips, sampler=sampler)


class _Clips(Dataset[Tensor]):
    """Clips by index as tensors `[T, 3, H, W]`."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Tensor:
        return clip_tensor(self.source.clip(index))


class _StepSampler(Sampler[int]):
    """Indices of the clips from a step to the next validation. It has no length: the first part may be shorter."""

    def __init__(self, config: TrainConfig, step: Callable[[], int]) -> None:
        self.config, self.step = config, step

    def __iter__(self) -> Iterator[int]:
        start, every, clips = self.step(), self.config.val_every_steps, self.config.batch_clips
        stop = min(self.config.steps, (start // every + 1) * every)
        return iter(range(start * clips, stop * clips))


def _validation(folder: str, config: TrainConfig) -> Tensor:
    return _fixed(find_media(Path(folder)), config)


def _fixed(files: list[MediaFile], config: TrainConfig) -> Tensor:
    clips = fixed_clips(
        files, validation_augmentation(config), seed=config.seed, count=config.val_clips
    )
    return _stack(clips)


def _stack(clips: list[Frames]) -> Tensor:
    return torch.stack([clip_tensor(clip) for clip in clips])


def clip_tensor(clip: Frames) -> Tensor:
    """Return a clip uint8 `[T, H, W, 3]` as a tensor uint8 `[T, 3, H, W]`."""
    return torch.from_numpy(np.ascontiguousarray(clip)).permute(0, 3, 1, 2).contiguous()


def _say_size(
    data: str, source: FolderSource, training: list[MediaFile], held_out: list[MediaFile]
) -> None:
    apart = held_out and held_out != training
    held = f", {len(held_out)} more held out for validation" if apart else ""
    parts = len(source.parts)
    turns = (
        f"; more than the cache, so {parts} parts take turns every {source.refresh_clips} clips"
        if parts > 1
        else ""
    )
    mib = source.size_bytes / 2**20
    _say(f"{data}: {len(training)} files, {mib:.0f} MiB decoded{held}{turns}")


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)
