"""Train a predictor: a new run or one that is continued, from digits to a checkpoint.

The checkpoint has the code of patches and the averaged predictor; `plain_loop` says what else is in the run's folder.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from edgevae.moving_mnist import MovingMnist
from edgevae.nn import save_checkpoint
from edgevae.nn.patch_code import patch_code
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_checkpoint import save_predictor
from edgevae.training.arithmetic import arithmetic, decided
from edgevae.training.plain_loop import Course, resume_run, start_run
from edgevae.training.prediction.config import PredictionConfig, read_config
from edgevae.training.prediction.data import CODE, latents_of, sources
from edgevae.training.prediction.rollout import frame_errors, loss_of
from edgevae.training.schedule import follow

_VALIDATION_BATCH = 32


def start(config: PredictionConfig, *, run: Path, max_minutes: float | None = None) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Raises:
        InputError: the run folder exists, or there are no digits.
    """
    config = decided(config)
    return start_run(
        run,
        config,
        lambda: _Training(config, sources(config)),
        _course(config),
        max_minutes=max_minutes,
    )


def resume(run: Path, *, max_minutes: float | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no run of a predictor, another process trains in it, or the digits are gone.
        IntegrityError: the state is damaged.
    """
    config = read_config(run)
    return resume_run(
        run,
        lambda: _Training(config, sources(config)),
        _course(config),
        max_minutes=max_minutes,
    )


def _course(config: PredictionConfig) -> Course:
    return Course(
        steps=config.steps,
        save_every_steps=config.save_every_steps,
        figure="squared error per frame",
    )


class _Training:
    """A predictor that learns: a `Learner`."""

    def __init__(self, config: PredictionConfig, data: tuple[MovingMnist, MovingMnist]) -> None:
        self.config, self.source = config, data[0]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.predictor = Predictor(config.network)
        self.average = copy.deepcopy(self.predictor).requires_grad_(False)
        self.networks = {"predictor": self.predictor, "average": self.average}
        for network in self.networks.values():
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizer = torch.optim.AdamW(
            self.predictor.parameters(), betas=(0.9, 0.99), weight_decay=0.0
        )
        self.optimizers = (self.optimizer,)
        self.validation = latents_of(data[1].batch(0, config.val_clips))

    def take_step(self, step: int) -> float:
        """Learn from the clips of a step."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(step)
        clips = self.source.batch(step * config.batch_clips, config.batch_clips)
        with self._arithmetic():
            loss = loss_of(self.predictor, latents_of(clips).to(self.device), config)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        nn.utils.clip_grad_norm_(self.predictor.parameters(), config.clip_norm)
        self.optimizer.step()
        follow(self.average, self.predictor, decay=config.ema_decay_at(step))
        return loss.item()

    def validate(self) -> float:
        """Return the squared error of a predicted frame."""
        errors = list[Tensor]()
        for batch in torch.split(self.validation, _VALIDATION_BATCH):
            with self._arithmetic():
                errors.append(frame_errors(self.average, batch.to(self.device), self.config))
        return float(torch.cat(errors).mean())

    def keep(self, checkpoint: Path) -> None:
        """Write the code of patches and the averaged predictor."""
        save_checkpoint(patch_code(CODE), checkpoint, half=True)
        save_predictor(self.average, checkpoint)

    def _arithmetic(self) -> torch.autocast:
        return arithmetic(self.config.precision, self.device)
