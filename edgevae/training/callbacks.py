"""What happens beside the steps: averaged weights, progress, logs, pictures, saving.

Order matters: the average moves before anything is saved. A step that is validated is saved after its validation, so
that a run continued from there neither misses nor repeats it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from tqdm import tqdm

from edgevae.errors import EdgeVaeError
from edgevae.nn.checkpoint import save_checkpoint
from edgevae.training.module import VaeTraining, reconstruct, to_unit_range
from edgevae.training.pictures import save_pictures
from edgevae.training.record import Metrics
from edgevae.training.run import RunFolder
from edgevae.training.state import TrainState, save_state

_Outputs: TypeAlias = "Tensor | Mapping[str, Any] | None"  # Any: Lightning's own type


def training_of(module: LightningModule) -> VaeTraining:
    """Return the module as what it is; our callbacks serve no other."""
    assert isinstance(module, VaeTraining), "callbacks of edgevae run with its own module"
    return module


class WeightAverage(Callback):
    """Moves the averaged weights after every step. First of all callbacks."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, *_batch: object
    ) -> None:
        training_of(module).move_average()


class Keeper(Callback):
    """Results into the log, the best weights into `checkpoint/`, the training state into `state.ckpt`.

    Args:
        folder: The run folder.
        metrics: Its log.
        state: Of the run that is continued.
    """

    def __init__(
        self, folder: RunFolder, metrics: Metrics, *, state: TrainState | None = None
    ) -> None:
        self.folder, self.metrics = folder, metrics
        self.best_psnr_db = state.best_psnr_db if state else float("-inf")
        self.stale_validations = state.stale_validations if state else 0
        self.last_psnr_db: float | None = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: _Outputs,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        training = training_of(module)
        config, step = training.train_config, training.step
        numbers = _numbers(outputs)
        if not math.isfinite(numbers["loss"]):
            raise EdgeVaeError(
                f"step {step}: the loss is {numbers['loss']}, expected a finite number; lower the learning rate"
            )
        row = self.metrics.add_step(step, numbers, learning_rate=config.learning_rate_at(step - 1))
        _log(trainer, row, step)
        validated = step % config.val_every_steps == 0 or step == config.steps
        if step % config.save_every_steps == 0 and not validated:
            self._save(training)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        psnr = torch.cat(training.val_psnr_db)
        self.last_psnr_db, worst = float(psnr.mean()), float(psnr.min())
        _log(
            trainer,
            self.metrics.add_validation(training.step, self.last_psnr_db, worst_psnr_db=worst),
            training.step,
        )
        tqdm.write(
            f"step {training.step}: val PSNR {self.last_psnr_db:.3f} dB (worst {worst:.2f})",
            file=sys.stderr,
        )
        if self.last_psnr_db > self.best_psnr_db:
            self.best_psnr_db, self.stale_validations = self.last_psnr_db, 0
            save_checkpoint(training.average, self.folder.checkpoint)
        else:
            self.stale_validations += 1
        if not trainer.sanity_checking:  # before the first step there is no optimiser state
            self._save(training)

    def _save(self, training: VaeTraining) -> None:
        optimizer = training.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer), "one optimiser"
        state = TrainState(
            step=training.step,
            module=training.state_dict(),
            optimizer=optimizer.state_dict(),
            best_psnr_db=self.best_psnr_db,
            stale_validations=self.stale_validations,
        )
        save_state(state, self.folder.path)


class Progress(Callback):
    """A progress bar on stderr with the PSNR of training (smoothed) and of the last validation."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.bar: tqdm[Any] | None = None  # Any: it counts, it iterates over nothing
        self.psnr_db: float | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        total, done = training.train_config.steps, training.step
        self.bar = tqdm(total=total, initial=done, desc="train", unit="step", file=sys.stderr)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: _Outputs,
        batch: Tensor,
        batch_idx: int,
    ) -> None:
        assert self.bar is not None, "made in on_train_start"
        psnr = _numbers(outputs)["psnr_db"]
        self.psnr_db = psnr if self.psnr_db is None else 0.95 * self.psnr_db + 0.05 * psnr
        shown = {"psnr": f"{self.psnr_db:.2f} dB"}
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


def _numbers(
    outputs: Tensor | Mapping[str, Any] | None,
) -> dict[str, float]:  # Any: Lightning's type
    """Return loss and PSNR of a step as `VaeTraining.training_step` gave them."""
    assert isinstance(outputs, Mapping), "our step returns a dictionary"
    return {key: float(outputs[key]) for key in ("loss", "psnr_db")}


def _log(trainer: Trainer, row: dict[str, float] | None, step: int) -> None:
    """Give a row of the log to TensorBoard, where it was asked for."""
    for logger in trainer.loggers:
        logger.log_metrics(
            {key: value for key, value in (row or {}).items() if key != "step"}, step
        )
