"""What happens beside the steps: averaged weights, progress, pictures. The average moves before anything is saved."""

from __future__ import annotations

import sys
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from edgevae.training.keeper import Keeper, training_of
from edgevae.training.module import reconstruct, to_unit_range
from edgevae.training.pictures import save_pictures
from edgevae.training.run import RunFolder


class WeightAverage(Callback):
    """Moves the averaged weights after every step. First of all callbacks."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, *_batch: object
    ) -> None:
        training_of(module).move_average()


class Progress(Callback):
    """A progress bar on stderr with what the keeper logged last; behind it. Only in the first process."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.bar: tqdm[Any] | None = None  # Any: it counts, it iterates over nothing

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        total, done = training.train_config.steps, training.step
        self.bar = tqdm(total=total, initial=done, desc="train", unit="step", file=sys.stderr)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, *_batch: object
    ) -> None:
        assert self.bar is not None, "made in on_train_start"
        shown = {}
        row = self.keeper.last_row
        if row is not None:
            shown["psnr"] = f"{row['psnr_db']:.2f} dB"
            shown["frames/s"] = f"{row['frames_per_s']:.0f}"
            shown["data wait"] = f"{row['data_wait_share']:.0%}"
            if "gpu_busy_share" in row:
                shown["gpu busy"] = f"{row['gpu_busy_share']:.0%}"
        if self.keeper.last_psnr_db is not None:
            shown["val"] = f"{self.keeper.last_psnr_db:.2f} dB"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._close()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Pictures(Callback):
    """A picture of source, reconstruction and difference of some validation clips, after each validation.

    Args:
        folder: The run folder.
        clips: uint8 `[B, T, 3, H, W]`.
    """

    def __init__(self, folder: RunFolder, clips: Tensor) -> None:
        self.folder, self.clips = folder, clips

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        with torch.no_grad():
            shown = to_unit_range(self.clips.to(training.device))
            made = reconstruct(training.average, shown)
        save_pictures(
            self.folder.samples / f"step_{training.step:07d}.png", shown.cpu(), made.cpu()
        )
