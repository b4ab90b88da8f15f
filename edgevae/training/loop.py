"""The steps of a run in one of its processes: Lightning's trainer with what edgevae has beside it."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from dataclasses import dataclass

import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from tqdm import tqdm

from edgevae.errors import InputError, UnavailableError
from edgevae.training.alive import Vitality
from edgevae.training.callbacks import Pictures, Progress, WeightAverage
from edgevae.training.config import TrainConfig
from edgevae.training.data import TrainData, batches, validation_batches
from edgevae.training.keeper import Keeper
from edgevae.training.module import VaeTraining
from edgevae.training.processes import Processes
from edgevae.training.record import Metrics
from edgevae.training.run import RunFolder
from edgevae.training.state import TrainState
from edgevae.training.stopping import Interrupt, Patience, TimeLimit
from edgevae.training.throughput import Throughput

_PICTURED_CLIPS = 6
_VALIDATION_BATCH = 4


@dataclass(frozen=True, kw_only=True)
class Session:
    """What concerns one process of a run and not its result."""

    max_minutes: float | None = None
    """Stop cleanly after this time."""
    tensorboard: bool = False
    """Log to TensorBoard too, in the folder `tensorboard` of the run."""

    def __post_init__(self) -> None:
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise InputError(f"max-minutes: got {self.max_minutes}, expected a number above 0")
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise UnavailableError(
                "tensorboard: the package is missing; pip install tensorboard, or leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class Launch:
    """A run at its start or where it continues, in one of its processes."""

    folder: RunFolder
    """Where it is kept; only the first process looks there."""
    config: TrainConfig
    """Its settings."""
    data: TrainData
    """Opened by every process for itself."""
    processes: Processes
    """That train together."""
    state: TrainState | None = None
    """What it continues from."""


def run_steps(module: VaeTraining, launch: Launch, session: Session) -> None:
    """Train from where the run is to its end, or to what stops it; the result is in its folder."""
    # Its tips for other products and its list of absent accelerators; what it trains on is said below.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    config, processes = launch.config, launch.processes
    training = batches(launch.data.source, config, processes, step=lambda: module.step)
    validation = validation_batches(
        launch.data.validation, processes, batch_clips=_VALIDATION_BATCH
    )
    throughput = Throughput(config, training, processes)
    trainer = _trainer(launch, _callbacks(launch, throughput, session), session)
    with warnings.catch_warnings():
        # Worker processes would each hold the frames again; the steps wait for no data (`data_wait_share`).
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning 2.6 calls an interface of PyTorch that 2.13 deprecates.
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        among = f", {processes.world} processes" if processes.world > 1 else ""
        say(f"train on {trainer.strategy.root_device}, {config.precision}{among}")
        # On a GPU some of cuDNN's algorithms add in any order, and a run that is continued would not have its bits.
        torch.backends.cudnn.deterministic = True
        try:
            trainer.fit(module, training, validation)
        finally:
            training.close()
    summary = throughput.summary()
    if summary is not None:
        say(summary)


def _trainer(launch: Launch, callbacks: list[Callback], session: Session) -> Trainer:
    config, processes = launch.config, launch.processes
    done = launch.state.step if launch.state else 0
    alone = processes.world == 1
    return Trainer(
        accelerator="auto",
        devices=processes.local_world,
        num_nodes=processes.world // processes.local_world,
        strategy="auto" if alone else _strategy(),
        use_distributed_sampler=False,  # who takes which clip is decided by `batches`
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        max_steps=config.steps - done,
        max_epochs=-1,  # an epoch is the steps between two validations
        min_epochs=0,  # so that the first one may be stopped
        gradient_clip_val=config.clip_norm or None,
        # A new run begins with a whole validation, at step 0.
        num_sanity_val_steps=0 if done else -1,
        callbacks=callbacks,
        logger=TensorBoardLogger(launch.folder.path, name="tensorboard", version="")
        if session.tensorboard and processes.first
        else False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _strategy() -> DDPStrategy:
    """Return gradients averaged over the processes, in the same order of additions in a run and in its continuation.

    Without `find_unused_parameters` DDP sorts the gradients anew after its first step (PyTorch 2.13, reducer.cpp,
    `_rebuild_buckets`). A run that is continued so adds those of one step in another order than one without a stop,
    and three processes then differ in the last bit.
    """
    return DDPStrategy(cluster_environment=TorchElasticEnvironment(), find_unused_parameters=True)


def _callbacks(launch: Launch, throughput: Throughput, session: Session) -> list[Callback]:
    folder, config, processes = launch.folder, launch.config, launch.processes
    metrics = Metrics(
        folder.metrics if processes.first else None,
        first_step=launch.state.step if launch.state else -1,
    )
    keeper = Keeper(folder, metrics, throughput=throughput, processes=processes, state=launch.state)
    callbacks: list[Callback] = [WeightAverage(), throughput, keeper]
    if processes.first:
        clips = launch.data.validation[:_PICTURED_CLIPS]
        callbacks += [Progress(keeper), Pictures(folder, clips), Vitality(clips)]
    callbacks.append(Interrupt(processes))
    if config.patience:
        callbacks.append(Patience(keeper, validations=config.patience))
    if session.max_minutes is not None:
        callbacks.append(TimeLimit(processes, minutes=session.max_minutes))
    return callbacks


def say(line: str) -> None:
    """Show a line on stderr, above a progress bar."""
    tqdm.write(line, file=sys.stderr)
