"""The steps of a run in one process, without Lightning: what models beside the VAE have in common while they learn.

RUN/train.json    the configuration      RUN/checkpoint/   the averaged weights
RUN/state.ckpt    what --resume needs    RUN/errors.csv    step, mean loss since the last line, figure of the validation

A `Learner` is what is trained: it takes a step, is judged and is kept. Sample i of a run is a function of the seed and
i, so that weights, optimisers and the number of the step are all that a run continues from, to the bit.
A stop between two validations is a validation more: what is kept as the best may then be of that step.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from tqdm import tqdm

from edgevae.errors import ConfigError, EdgeVaeError, InputError
from edgevae.files import write_atomically
from edgevae.strict import to_dict
from edgevae.training.plain_state import restore, state_of_learner
from edgevae.training.recipe import read_recipe
from edgevae.training.run import RunFolder
from edgevae.training.signals import StopSignals
from edgevae.training.state import STATE, TrainState, load_state, save_state

CONFIG = "train.json"


class Learner(Protocol):
    """What a run trains."""

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """All that has weights, averages included, by name."""

    @property
    def optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """One, or a second one for what judges."""

    def take_step(self, step: int) -> float:
        """Learn from the samples of a step, counted from 0; return the loss."""

    def validate(self) -> float:
        """Return how wrong the averaged weights are on what is not trained on."""

    def keep(self, checkpoint: Path) -> None:
        """Write the averaged weights as a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run goes."""

    steps: int
    """Of the whole run."""
    save_every_steps: int
    """Between validations, each of which saves the state."""
    figure: str
    """What `validate` returns, for people."""
    keep_best: bool = True
    """Keep only weights that are better than all before; otherwise the last ones, where the figure is too noisy."""


def start_run(
    run: Path,
    config: Any,  # Any: a dataclass
    make: Callable[[], Learner],
    course: Course,
    *,
    max_minutes: float | None = None,
) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Args:
        run: The folder to make, once there is something to train.
        config: Of the run.
        make: Makes what is trained.
        course: How it goes.
        max_minutes: Stop cleanly after this time.

    Raises:
        InputError: the folder exists.
        EdgeVaeError: as `make`, or the loss is not finite.
    """
    RunFolder(run).refuse_existing()
    learner = make()
    folder = new_run(run, config)
    with folder.locked():
        return learn(learner, folder, course, max_minutes=max_minutes)


def resume_run(
    run: Path, make: Callable[[], Learner], course: Course, *, max_minutes: float | None = None
) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint; as `start_run`.

    Raises:
        InputError: another process trains in the folder.
        IncompatibleError: the state is damaged, or of other networks than the configuration's.
        EdgeVaeError: as `make`, or the loss is not finite.
    """
    folder = RunFolder(run)
    with folder.locked():
        state = state_of(run)
        return learn(make(), folder, course, state=state, max_minutes=max_minutes)


def new_run(run: Path, config: Any) -> RunFolder:  # Any: a dataclass
    """Make the folder of a new run with its configuration.

    Raises:
        InputError: it exists.
    """
    folder = RunFolder(run)
    folder.refuse_existing()
    run.mkdir(parents=True)
    write_atomically(run / CONFIG, (json.dumps(to_dict(config), indent=2) + "\n").encode())
    return folder


def model_of_run(run: Path) -> str | None:
    """Return what a folder's run trains where it is one of this loop's, such as `predictor`; else None."""
    path = run / CONFIG
    try:
        data: Any = json.loads(path.read_text()) if path.is_file() else None  # Any: not checked yet
    except ValueError:
        return None
    model = data.get("model") if isinstance(data, dict) else None
    return model if isinstance(model, str) else None  # of a VAE's run it is its network, or null


def read_run(run: Path, cls: type[Any], *, model: str) -> Any:  # Any: a dataclass, and one of it
    """Return the configuration of a run.

    Raises:
        InputError: the folder is no run of this model.
        ConfigError: the file has an unknown key, a wrong type or an invalid value.
    """
    path = run / CONFIG
    if model_of_run(run) != model:
        raise InputError(f"{run}: no {CONFIG} of a {model} in it; expected the folder of its run")
    config = read_recipe(path, cls)
    if config.precision == "auto":
        raise ConfigError(
            f"{path}: precision: got 'auto', expected fp32 or bf16, whichever the run began with; write it there"
        )
    return config


def state_of(run: Path) -> TrainState | None:
    """Return where a run was last saved; one that was killed before its first save starts again at step 0.

    Raises:
        IntegrityError: the state is damaged.
    """
    return load_state(run) if (run / STATE).exists() else None


def learn(
    learner: Learner,
    folder: RunFolder,
    course: Course,
    *,
    state: TrainState | None = None,
    max_minutes: float | None = None,
) -> Path:
    """Train until the last step, the time or Ctrl-C, with the state saved, and return the checkpoint's folder.

    Raises:
        EdgeVaeError: the loss is not finite.
    """
    return _Loop(learner, folder, course, state).to_its_end(max_minutes)


class _Loop:
    """Where a run is."""

    def __init__(
        self, learner: Learner, folder: RunFolder, course: Course, state: TrainState | None
    ) -> None:
        self.learner, self.folder, self.course = learner, folder, course
        self.step, self.best, self.losses = 0, math.inf, list[float]()
        self.saved: int | None = None
        if state is not None:
            restore(learner, state, run=folder.path)
            self.step, self.best, self.saved = state.step, state.best_val_loss, state.step

    def to_its_end(self, max_minutes: float | None) -> Path:
        course = self.course
        deadline = math.inf if max_minutes is None else time.monotonic() + 60.0 * max_minutes
        with (
            StopSignals() as signals,
            tqdm(
                total=course.steps, initial=self.step, desc="train", unit="step", file=sys.stderr
            ) as bar,
        ):
            while self.step < course.steps and time.monotonic() < deadline and not signals.received:
                self._take_step()
                bar.update()
                if self.step % course.save_every_steps == 0:
                    bar.set_postfix_str(f"{course.figure} {self._save():.4g}")
            if self.step != self.saved:
                self._save()
        if self.step < course.steps:
            why = f"{signals.received} received" if signals.received else "time is up"
            tqdm.write(
                f"{why}, stopped at step {self.step} of {course.steps}; --resume {self.folder.path} continues",
                file=sys.stderr,
            )
        return self.folder.checkpoint

    def _take_step(self) -> None:
        loss = self.learner.take_step(self.step)
        if not math.isfinite(loss):
            raise EdgeVaeError(
                f"step {self.step}: the loss is {loss}, expected a finite number; lower the learning rate"
            )
        self.losses.append(loss)
        self.step += 1

    def _save(self) -> float:
        """Validate, keep the averaged weights, save the state; return the figure."""
        figure, best = self.learner.validate(), self.best
        self.best = min(best, figure)
        if figure < best or not self.course.keep_best:
            self.learner.keep(self.folder.checkpoint)
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        with (self.folder.path / "errors.csv").open("a") as log:
            log.write(f"{self.step},{loss:.6g},{figure:.6g}\n")
        self.losses = []
        state = state_of_learner(self.learner, step=self.step, best=self.best)
        save_state(state, self.folder.path)
        self.saved = self.step
        return figure
