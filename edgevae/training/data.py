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

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae.moving_mnist import digit_files
from edgevae.training.augment import training_augmentation, validation_augmentation
from edgevae.training.config import TrainConfig
from edgevae.training.digits import DigitClips, training_and_held_out
from edgevae.training.media import MediaFile, find_media
from edgevae.training.prefetch import Prefetch
from edgevae.training.procedural import BUILT_IN, built_in_source
from edgevae.training.processes import Processes
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
    media: tuple[MediaFile, ...] = ()
    """These files."""
    val_media: tuple[MediaFile, ...] = ()
    """The files of a folder of validation data, where one was given."""


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
    if config.digits is not None:
        return _digits(data, val, config)
    if data in BUILT_IN and not Path(data).is_dir():
        source = built_in_source(data, training_augmentation(config), seed=config.seed)
        if val is None:
            held = built_in_source(data, validation_augmentation(config), seed=config.seed)
            clips = [held.clip(_VALIDATION_START + i) for i in range(config.val_clips)]
            return TrainData(source=source, validation=_stack(clips), files={})
        val_files = find_media(Path(val))
        return TrainData(
            source=source,
            validation=_fixed(val_files, config),
            files={},
            val_media=tuple(val_files),
        )
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
    val_files = find_media(Path(val)) if val else []
    return TrainData(
        source=source,
        validation=_fixed(val_files or held_out, config),
        files=media_listing(files),
        media=tuple(files),
        val_media=tuple(val_files),
    )


def _digits(data: str, val: str | None, config: TrainConfig) -> TrainData:
    """Return clips of MNIST's digits; those of the test set are validated on."""
    assert config.digits is not None, "else the digits are scikit-learn's"
    if data != "moving-digits" or val is not None:
        raise InputError(
            "digits: the files of MNIST go with moving-digits as DATA and without --val: their test digits are it"
        )
    training, held_out = training_and_held_out(config.digits)
    validation = DigitClips(held_out, frames=config.val_frames, seed=config.seed)
    return TrainData(
        source=DigitClips(training, frames=config.clip_frames, seed=config.seed),
        validation=_stack(
            [validation.clip(_VALIDATION_START + i) for i in range(config.val_clips)]
        ),
        files={path.name: path.stat().st_size for path in digit_files(Path(config.digits))},
    )


def batches(
    source: ClipSource, config: TrainConfig, processes: Processes, *, step: Callable[[], int]
) -> Prefetch:
    """Return this process's batches uint8 `[B, T, 3, H, W]` from the step that `step()` tells to the next validation.

    Step s takes clips s * batch_clips and following, however many processes divide them: rank r the r-th share.
    """
    sampler = _StepSampler(config, processes, step)
    return Prefetch(DataLoader(_Clips(source), batch_size=processes.share(config), sampler=sampler))


def validation_batches(
    validation: Tensor, processes: Processes, *, batch_clips: int
) -> DataLoader[Tensor]:
    """Return a loader of this process's validation clips: rank r has clips r, r + world, and so on.

    All have equally many, as Lightning needs; the last ones of some are clips that others have too.
    """
    share = -(-len(validation) // processes.world)
    mine = [(processes.rank + i * processes.world) % len(validation) for i in range(share)]
    return DataLoader([validation[i] for i in mine], batch_size=batch_clips)  # type: ignore[arg-type]  # a list is a dataset


class _Clips(Dataset[Tensor]):
    """Clips by index as tensors `[T, 3, H, W]`."""

    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Tensor:
        return clip_tensor(self.source.clip(index))


class _StepSampler(Sampler[int]):
    """Indices of the clips from a step to the next validation. It has no length: the first part may be shorter."""

    def __init__(self, config: TrainConfig, processes: Processes, step: Callable[[], int]) -> None:
        self.config, self.step = config, step
        self.share, self.rank = processes.share(config), processes.rank

    def __iter__(self) -> Iterator[int]:
        start, every, clips = self.step(), self.config.val_every_steps, self.config.batch_clips
        stop = min(self.config.steps, (start // every + 1) * every)
        own = self.rank * self.share
        return (s * clips + own + i for s in range(start, stop) for i in range(self.share))


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
