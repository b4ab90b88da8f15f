"""What a run keeps: its log, the best weights, and the state that it continues from.

A step that is validated is saved after its validation, so that a run continued from there neither misses
nor repeats it.
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
from edgevae.training.module import VaeTraining
from edgevae.training.processes import Processes
from edgevae.training.record import FIGURES, Metrics
from edgevae.training.run import RunFolder
from edgevae.training.state import TrainState, save_state
from edgevae.training.throughput import Throughput

Outputs: TypeAlias = "Tensor | Mapping[str, Any] | None"  # Any: Lightning's own type


def training_of(module: LightningModule) -> VaeTraining:
    """Return the module as what it is; our callbacks serve no other."""
    assert isinstance(module, VaeTraining), "callbacks of edgevae run with its own module"
    return module


class Keeper(Callback):
    """Results into the log, the best weights into `checkpoint/`, the training state into `state.ckpt`.

    It runs in all processes, which so come to the same decisions; only the first one writes.

    Args:
        folder: The run folder.
        metrics: Its log.
        throughput: Whose figures go into the log.
        processes: Among which a figure is the mean.
        state: Of the run that is continued.
    """

    def __init__(
        self,
        folder: RunFolder,
        metrics: Metrics,
        *,
        throughput: Throughput,
        processes: Processes,
        state: TrainState | None = None,
    ) -> None:
        self.folder, self.metrics = folder, metrics
        self.throughput, self.processes = throughput, processes
        self.best_val_loss = state.best_val_loss if state else math.inf
        self.stale_validations = state.stale_validations if state else 0
        self.since_line = list(state.since_line) if state else []
        self.unread: list[Tensor] = []
        self.last_row: dict[str, float] | None = None
        self.last_psnr_db: float | None = None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Outputs, *_batch: object
    ) -> None:
        training = training_of(module)
        config, step = training.train_config, training.step
        assert isinstance(outputs, Mapping), "our step returns a dictionary"
        absent = torch.full_like(outputs["psnr_db"], math.nan)
        self.unread.append(torch.stack([outputs.get(name, absent).float() for name in FIGURES]))
        lined = step % self.metrics.every_steps == 0
        validated = step % config.val_every_steps == 0 or step == config.steps
        saved = step % config.save_every_steps == 0
        if lined or validated or saved:
            self._read(step)
        if lined:
            self._write_line(trainer, step, learning_rate=config.learning_rate_at(step - 1))
        if saved and not validated:
            self._save(training)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        training = training_of(module)
        if self.unread:  # a stop brings a validation that was not due
            self._read(training.step)
        loss = self._write_validation(trainer, training)
        better = loss < self.best_val_loss
        if better or not training.train_config.is_judged_by_loss_at(training.step):
            self.best_val_loss = min(self.best_val_loss, loss)
            self.stale_validations = 0
            if self.processes.first:
                save_checkpoint(training.average, self.folder.checkpoint)
        else:
            self.stale_validations += 1
        if not trainer.sanity_checking:  # before the first step there is no optimiser state
            self._save(training)

    def _write_validation(self, trainer: Trainer, training: VaeTraining) -> float:
        """Log a validation; return its loss: what the run minimises, so that what it trades PSNR for counts too."""
        psnr, losses = training.validation_figures()
        self.last_psnr_db, worst, loss = float(psnr.mean()), float(psnr.min()), float(losses.mean())
        row = self.metrics.add_validation(
            training.step, self.last_psnr_db, worst_psnr_db=worst, loss=loss
        )
        _log(trainer, row)
        said = f"val PSNR {self.last_psnr_db:.3f} dB (worst {worst:.2f}), loss {loss:.4f}"
        tqdm.write(f"step {training.step}: {said}", file=sys.stderr)
        return loss

    def _read(self, step: int) -> None:
        """Fetch the figures of the last steps from the device, which the host waits for only here.

        Raises:
            EdgeVaeError: a loss is not finite; before anything of it is saved.
        """
        mine = torch.stack(self.unread).cpu().double()  # [steps, figures]
        self.unread = []
        self.throughput.settle()
        means = self.processes.gather(mine).mean(0)
        for i, figures in enumerate(means.tolist(), start=step - len(means) + 1):
            if not math.isfinite(figures[0]):
                said = f"step {i}: the loss is {figures[0]}, expected a finite number; lower the learning rate"
                with self.processes.agreeing():
                    raise EdgeVaeError(said)
            self.since_line.append(tuple(figures))

    def _write_line(self, trainer: Trainer, step: int, *, learning_rate: float) -> None:
        speed = self.throughput.take()
        self.last_row = self.metrics.add_steps(
            step, self.since_line, learning_rate=learning_rate, speed=speed
        )
        self.since_line = []
        _log(trainer, self.last_row)

    def _save(self, training: VaeTraining) -> None:
        if not self.processes.first:
            return
        optimizer = training.optimizers()
        assert isinstance(optimizer, torch.optim.Optimizer), "one optimiser"
        state = TrainState(
            step=training.step,
            module=training.state_dict(),
            optimizer=optimizer.state_dict(),
            best_val_loss=self.best_val_loss,
            stale_validations=self.stale_validations,
            since_line=self.since_line,
            processes=self.processes.world,
            discriminator_optimizer=training.judges.optimizer_state(),
        )
        save_state(state, self.folder.path)


def _log(trainer: Trainer, row: dict[str, float]) -> None:
    """Give a row of the log to TensorBoard, where it was asked for."""
    for logger in trainer.loggers:
        logger.log_metrics(
            {key: value for key, value in row.items() if key != "step"}, int(row["step"])
        )
