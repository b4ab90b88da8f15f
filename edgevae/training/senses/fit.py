"""Train a VAE of several senses: a new run or one that is continued, from data to a checkpoint.

`plain_loop` says what is in the run's folder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.nn.senses import MultimodalVae, target
from edgevae.nn.senses_checkpoint import is_senses_checkpoint, load_senses, save_senses
from edgevae.nn.senses_config import SensesConfig
from edgevae.training.arithmetic import arithmetic, decided
from edgevae.training.plain_loop import Course, resume_run, start_run
from edgevae.training.run import RunFolder
from edgevae.training.schedule import follow
from edgevae.training.senses.config import SensesTraining, read_config
from edgevae.training.senses.data import Windows, sources
from edgevae.training.senses.objective import loss_of, random_subset, unexplained

_MEASURED = 256
"""Windows of the training data that means and deviations are measured on."""


def start(config: SensesTraining, *, run: Path, max_minutes: float | None = None) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Raises:
        InputError: the run folder exists, or there is no such data.
    """
    config = decided(config)
    return start_run(
        run,
        config,
        lambda: Training(config, sources(config)),
        _course(config),
        max_minutes=max_minutes,
    )


def resume(run: Path, *, max_minutes: float | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no such run, another process trains in it, or the data is gone or other data.
        IntegrityError: the state is damaged.
    """
    config = read_config(run)
    return resume_run(run, lambda: _again(config, run), _course(config), max_minutes=max_minutes)


def _again(config: SensesTraining, run: Path) -> Training:
    """Return what is trained in a run that there is, after checking that its data gives the same network."""
    training, kept = Training(config, sources(config)), RunFolder(run).checkpoint
    if is_senses_checkpoint(kept) and load_senses(kept).config != training.network:
        raise InputError(
            f"{config.data}: is not the data that {run} began with, its senses or their scales are others; put that "
            "data back, or start another run"
        )
    return training


def _course(config: SensesTraining) -> Course:
    return Course(
        steps=config.steps, save_every_steps=config.save_every_steps, figure="unexplained share"
    )


class Training:
    """A VAE of several senses that learns: a `Learner`."""

    def __init__(self, config: SensesTraining, data: tuple[Windows, Windows]) -> None:
        self.config, (self.windows, held_out) = config, data
        self.network = network_config(config, self.windows)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.vae = MultimodalVae(self.network)
        means = mean_windows(self.network, self.windows)
        if self.network.has_base:
            self.vae.begin_at(means)
        self.average = copy.deepcopy(self.vae).requires_grad_(False)
        self.networks: Mapping[str, nn.Module] = {"vae": self.vae, "average": self.average}
        for network in self.networks.values():
            network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        self.optimizer = torch.optim.AdamW(
            self.vae.parameters(), betas=(0.9, 0.99), weight_decay=config.weight_decay
        )
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (self.optimizer,)
        self.validation = held_out.take(np.arange(len(held_out)))
        self.variances = variances(self.network, means, self.validation)

    def take_step(self, step: int) -> float:
        """Learn from the windows of a step, with a subset and noise of its own."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(step)
        data = self.windows.draw(config.batch_windows, seed=config.seed, step=step)
        rng = np.random.default_rng([config.seed, step, 1])
        shape = (2, config.batch_windows, config.latent_channels, 1, 1)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        with self._arithmetic():
            loss = loss_of(
                self.vae,
                {name: value.to(self.device) for name, value in data.items()},
                random_subset(self.network.spec.names, rng),
                noise.to(self.device),
                sense_weight=config.sense_weight,
                divergence_weight=config.divergence_weight_at(step),
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's stubs
        nn.utils.clip_grad_norm_(self.vae.parameters(), config.clip_norm)
        self.optimizer.step()
        follow(self.average, self.vae, decay=config.ema_decay_at(step))
        return loss.item()

    def validate(self) -> float:
        """Return what is unexplained of the senses, the mean over subsets and senses."""
        shares = self.shares()
        return sum(shares.values()) / len(shares)

    def shares(self) -> dict[str, float]:
        """Return what is unexplained, by `SUBSET>SENSE`."""
        data = {name: value.to(self.device) for name, value in self.validation.items()}
        with self._arithmetic():
            return unexplained(self.average, data, self.variances)

    def keep(self, checkpoint: Path) -> None:
        """Write the averaged network, as float16."""
        save_senses(self.average, checkpoint, half=True)

    def _arithmetic(self) -> torch.autocast:
        return arithmetic(self.config.precision, self.device)


def network_config(config: SensesTraining, windows: Windows) -> SensesConfig:
    """Return the network of a run: its senses are those of the data, and so are the scales of sound and tracks."""
    first = windows.take(np.arange(min(_MEASURED, len(windows))))
    by_kind = {s.kind: first[s.name] for s in windows.spec.senses}
    sound, tracks = by_kind.get("sound"), by_kind.get("tracks")
    plain = SensesConfig(spec=windows.spec)
    return replace(
        plain,
        latent_channels=config.latent_channels,
        channels=config.channels,
        hidden=config.hidden,
        has_base=config.has_base,
        sees_motion=config.sees_motion,
        sound_mean_db=plain.sound_mean_db if sound is None else round(float(sound.mean()), 1),
        sound_std_db=plain.sound_std_db
        if sound is None
        else max(1.0, round(float(sound.std()), 1)),
        tracks_std=plain.tracks_std if tracks is None else max(1e-3, float(f"{tracks.std():.2g}")),
    )


def mean_windows(network: SensesConfig, windows: Windows) -> dict[str, Tensor]:
    """Return the mean of all training windows of each sense, `[T, H, W, 3]` of frames, in unit scale."""
    totals = dict[str, Tensor]()
    for first in range(0, len(windows), _MEASURED):
        some = windows.take(np.arange(first, min(first + _MEASURED, len(windows))))
        for sense in network.spec.senses:
            data = some[sense.name]
            values = _by_window(sense.shape, target(network, sense, data), data).sum(0)
            totals[sense.name] = totals.get(sense.name, 0.0) + values
    return {name: total / len(windows) for name, total in totals.items()}


def variances(
    network: SensesConfig, means: Mapping[str, Tensor], validation: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return the squared error of each sense's mean training window on the validation data, in unit scale."""
    found = dict[str, float]()
    for sense in network.spec.senses:
        data = validation[sense.name]
        wanted = _by_window(sense.shape, target(network, sense, data), data)
        found[sense.name] = float((wanted - means[sense.name]).square().mean())
    return found


def _by_window(shape: tuple[int, ...], values: Tensor, like: Tensor) -> Tensor:
    """Return a sense's tensor with a window an entry: frames are folded into the batch."""
    return values.reshape(-1, shape[0], *values.shape[1:]) if like.dtype == torch.uint8 else values
