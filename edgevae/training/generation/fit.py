"""Train a generator: a new run or one that is continued, from digits to a checkpoint.

    noise -- generator -- made clips --+-- critic of frames --+-- real or made?
    digits ------------- real clips ---+-- critic of clips ---+

A step teaches the critics on one batch of real and made clips, and then the generator, by the critics as they are now,
on the same made ones: making them is a third of a step.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor

from edgevae.moving_mnist import MovingMnist
from edgevae.nn.critics import Critics, critics_loss, generator_loss, slope_penalty
from edgevae.nn.generator import Generator
from edgevae.nn.generator_checkpoint import save_generator
from edgevae.training.arithmetic import arithmetic, decided
from edgevae.training.digits import training_and_held_out
from edgevae.training.draws import seed_of
from edgevae.training.generation.config import GanConfig
from edgevae.training.generation.likeness import Likeness
from edgevae.training.plain_loop import Course, read_run, resume_run, start_run
from edgevae.training.schedule import follow

_BETAS = (0.5, 0.99)
"""Of both optimisers: less memory of gradients than usual, since what is right changes with the other's weights."""


def start(config: GanConfig, *, run: Path, max_minutes: float | None = None) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Raises:
        InputError: the run folder exists, or there are no digits.
    """
    config = decided(config)
    return start_run(
        run, config, lambda: _Training(config), _course(config), max_minutes=max_minutes
    )


def resume(run: Path, *, max_minutes: float | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no run of a generator, another process trains in it, or the digits are gone.
        IntegrityError: the state is damaged.
    """
    config = read_run(run, GanConfig, model="gan")
    return resume_run(run, lambda: _Training(config), _course(config), max_minutes=max_minutes)


def _course(config: GanConfig) -> Course:
    return Course(
        steps=config.steps,
        save_every_steps=config.save_every_steps,
        figure="distance",
        keep_best=False,
    )


class _Training:
    """A generator that learns, and what it learns from: a `Learner`."""

    def __init__(self, config: GanConfig) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        training, held_out = training_and_held_out(config.digits)
        self.source = MovingMnist(training, seed=config.seed)
        self.likeness = Likeness(held_out, clips=config.val_clips, frames=config.clip_frames)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.generator = Generator(config.network)
            self.critics = Critics(width=config.critic_channels, frames=config.clip_frames)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.networks = {
            "generator": self.generator,
            "critics": self.critics,
            "average": self.average,
        }
        for network in self.networks.values():
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizers = tuple(
            torch.optim.Adam(network.parameters(), betas=_BETAS)
            for network in (self.generator, self.critics)
        )

    def take_step(self, step: int) -> float:
        """Teach the critics, then the generator; return the loss of both."""
        config = self.config
        for optimizer, factor in zip(self.optimizers, (1.0, config.critic_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = factor * config.learning_rate_at(step)
        of_generator, of_critics = self.optimizers
        random = torch.Generator().manual_seed(seed_of(config.seed, step))
        noise = torch.randn(
            config.batch_clips, config.network.latent_channels, generator=random
        ).to(self.device)
        chosen = torch.randint(config.clip_frames, (2, config.batch_clips), generator=random)
        with self._arithmetic():
            made = self.generator(noise, config.clip_frames)
        told = self._critics_loss(made.detach(), chosen[0], step)
        of_critics.zero_grad()
        told.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        of_critics.step()
        with self._arithmetic():
            loss = generator_loss(self.critics(self.critics.views(made, chosen[1])))
        of_generator.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        of_generator.step()
        follow(self.average, self.generator, decay=config.ema_decay_at(step))
        return (told + loss).item()

    def _critics_loss(self, made: Tensor, chosen: Tensor, step: int) -> Tensor:
        config = self.config
        first = step * config.batch_clips
        clips = self.source.batch(first, config.batch_clips, frames=config.clip_frames)
        real = torch.from_numpy(clips).to(self.device).float() / 255.0
        seen, shown = self.critics.views(real, chosen), self.critics.views(made, chosen)
        if step % config.slope_every_steps:
            with self._arithmetic():
                return critics_loss(self.critics(seen), self.critics(shown))
        for view in seen:
            view.requires_grad_(True)
        said = self.critics(seen)
        weight = 0.5 * config.slope_weight_at(step) * config.slope_every_steps
        return critics_loss(said, self.critics(shown)) + weight * slope_penalty(said, seen)

    def validate(self) -> float:
        """Return the distance of made clips to real ones of digits that are not trained on."""
        return self.likeness.distance(self.average)

    def keep(self, checkpoint: Path) -> None:
        """Write the averaged generator."""
        save_generator(self.average, checkpoint)

    def _arithmetic(self) -> torch.autocast:
        return arithmetic(self.config.precision, self.device)
