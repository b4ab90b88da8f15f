"""Train a predictor: a new run or one that is continued, from digits to a checkpoint.

RUN/train.json    the configuration      RUN/checkpoint/   the code of patches and the averaged predictor
RUN/state.ckpt    what --resume needs    RUN/errors.csv    step, loss, squared error per predicted frame
"""

from __future__ import annotations

import copy
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from edgevae.errors import EdgeVaeError
from edgevae.files import write_atomically
from edgevae.moving_mnist import MovingMnist
from edgevae.nn import save_checkpoint
from edgevae.nn.patch_code import patch_code
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import save_predictor
from edgevae.strict import to_dict
from edgevae.training.prediction.config import FILE, PredictionConfig, read_config
from edgevae.training.prediction.data import CODE, latents_of, sources
from edgevae.training.prediction.rollout import frame_errors, loss_of
from edgevae.training.run import RunFolder
from edgevae.training.state import STATE, TrainState, load_state, save_state

_VALIDATION_BATCH = 32


def start(config: PredictionConfig, *, run: Path, max_minutes: float | None = None) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Raises:
        InputError: the run folder exists, or there are no digits.
    """
    folder = RunFolder(run)
    folder.refuse_existing()
    data = sources(config)
    run.mkdir(parents=True)
    write_atomically(run / FILE, (json.dumps(to_dict(config), indent=2) + "\n").encode())
    with folder.locked():
        return _Training(config, folder, data, state=None).to_its_end(max_minutes)


def resume(run: Path, *, max_minutes: float | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no run of a predictor, another process trains in it, or the digits are gone.
        IntegrityError: the state is damaged.
    """
    config, folder = read_config(run), RunFolder(run)
    with folder.locked():
        # A run that was killed before its first save starts again at step 0.
        state = load_state(run) if (run / STATE).exists() else None
        return _Training(config, folder, sources(config), state=state).to_its_end(max_minutes)


class _Training:
    """A run in this process."""

    def __init__(
        self,
        config: PredictionConfig,
        folder: RunFolder,
        data: tuple[MovingMnist, MovingMnist],
        *,
        state: TrainState | None,
    ) -> None:
        self.config, self.folder, self.data = config, folder, data
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.predictor = Predictor(config.network)
        self.average = copy.deepcopy(self.predictor).requires_grad_(False)
        for network in (self.predictor, self.average):
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizer = torch.optim.AdamW(
            self.predictor.parameters(), betas=(0.9, 0.99), weight_decay=0.0
        )
        self.step, self.best, self.losses = 0, math.inf, list[float]()
        if state is not None:
            self._restore(state)
        self.validation = latents_of(data[1].batch(0, config.val_clips))

    def to_its_end(self, max_minutes: float | None) -> Path:
        """Train until the last step, the time or Ctrl-C, each with the state saved; return the checkpoint's folder."""
        config = self.config
        deadline = math.inf if max_minutes is None else time.monotonic() + 60.0 * max_minutes
        with tqdm(
            total=config.steps, initial=self.step, desc="train", unit="step", file=sys.stderr
        ) as bar:
            while self.step < config.steps and time.monotonic() < deadline:
                self._take_step()
                bar.update()
                if self.step % config.save_every_steps == 0:
                    bar.set_postfix_str(f"squared error per frame {self._save():.1f}")
        self._save()
        if self.step < config.steps:
            tqdm.write(
                f"stopped at step {self.step} of {config.steps}; --resume {self.folder.path} continues",
                file=sys.stderr,
            )
        return self.folder.checkpoint

    def _take_step(self) -> None:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        clips = self.data[0].batch(self.step * config.batch_clips, config.batch_clips)
        with self._arithmetic():
            loss = loss_of(self.predictor, latents_of(clips).to(self.device), config)
        if not torch.isfinite(loss):
            raise EdgeVaeError(
                f"step {self.step}: the loss is {loss.item()}, expected a finite number; lower the learning rate"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        nn.utils.clip_grad_norm_(self.predictor.parameters(), config.clip_norm)
        self.optimizer.step()
        self.losses.append(loss.item())
        share = 1.0 - config.ema_decay_at(self.step)
        with torch.no_grad():
            for mean, value in zip(
                self.average.parameters(), self.predictor.parameters(), strict=True
            ):
                mean.lerp_(value, share)
        self.step += 1

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        )

    def _validated(self) -> float:
        errors = list[Tensor]()
        for batch in torch.split(self.validation, _VALIDATION_BATCH):
            with self._arithmetic():
                errors.append(frame_errors(self.average, batch.to(self.device), self.config))
        return float(torch.cat(errors).mean())

    def _save(self) -> float:
        """Validate, keep the averaged weights where they are the best so far, save the state; return the error."""
        error, best = self._validated(), self.best
        self.best = min(best, error)
        if error < best:
            save_checkpoint(patch_code(CODE), self.folder.checkpoint, half=True)
            save_predictor(self.average.cpu(), self.folder.checkpoint)
            self.average.to(self.device)
        loss = sum(self.losses) / max(1, len(self.losses))
        with (self.folder.path / "errors.csv").open("a") as log:
            log.write(f"{self.step},{loss:.6g},{error:.6g}\n")
        self.losses = []
        module = {
            f"{name}.{key}": value
            for name, network in (("predictor", self.predictor), ("average", self.average))
            for key, value in network.state_dict().items()
        }
        state = TrainState(
            step=self.step,
            module=module,
            optimizer=self.optimizer.state_dict(),
            best_val_loss=self.best,
            stale_validations=0,
        )
        save_state(state, self.folder.path)
        return error

    def _restore(self, state: TrainState) -> None:
        for name, network in (("predictor", self.predictor), ("average", self.average)):
            own: dict[str, Any] = {  # Any: as load_state_dict takes it
                key.removeprefix(f"{name}."): value
                for key, value in state.module.items()
                if key.startswith(f"{name}.")
            }
            network.load_state_dict(own)
        self.optimizer.load_state_dict(state.optimizer)
        self.step, self.best = state.step, state.best_val_loss
