"""What ends a run before its last step, always cleanly: validated, with its state saved.

Of several processes all stop at the same step, whichever of them has a reason.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from edgevae.training.keeper import Keeper, training_of
from edgevae.training.processes import Processes


class Patience(Callback):
    """Stops when so many validations in a row brought no better PSNR. Behind the keeper, which counts them."""

    def __init__(self, keeper: Keeper, *, validations: int) -> None:
        self.keeper, self.validations = keeper, validations

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if self.keeper.stale_validations >= self.validations:
            _stop(trainer, module, f"no better PSNR in {self.validations} validations")


class TimeLimit(Callback):
    """Stops after some minutes, counted from when it is made."""

    def __init__(self, processes: Processes, *, minutes: float) -> None:
        self.processes, self.deadline_s = processes, time.monotonic() + 60.0 * minutes

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, *_batch: object
    ) -> None:
        if self.processes.any(time.monotonic() >= self.deadline_s):
            _stop(trainer, module, "time is up")


class Interrupt(Callback):
    """Stops after the running step on Ctrl-C or a termination signal; a second one ends the process at once."""

    def __init__(self, processes: Processes) -> None:
        self.processes, self.received = processes, ""

    def on_train_start(self, _trainer: Trainer, _module: LightningModule) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, *_batch: object
    ) -> None:
        if self.processes.any(bool(self.received)):
            _stop(trainer, module, f"{self.received or 'a signal'} received")

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self._give_back()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        self._give_back()

    def _give_back(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL)


def _stop(trainer: Trainer, module: LightningModule, why: str) -> None:
    if not trainer.should_stop:
        tqdm.write(f"step {training_of(module).step}: {why}, stop", file=sys.stderr)
        trainer.should_stop = True
