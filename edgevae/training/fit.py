"""Train: a new run or one that is continued, from data to a checkpoint."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from edgevae.errors import InputError, UnavailableError
from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.training.callbacks import Keeper, Pictures, Progress, WeightAverage
from edgevae.training.config import TrainConfig
from edgevae.training.data import TrainData, batches, open_data
from edgevae.training.measure import start_linear, with_latent_statistics
from edgevae.training.module import VaeTraining
from edgevae.training.procedural import BUILT_IN
from edgevae.training.record import Metrics
from edgevae.training.run import RunData, RunFolder
from edgevae.training.state import STATE, TrainState, load_state
from edgevae.training.stopping import Interrupt, Patience, TimeLimit

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


def start(
    config: TrainConfig,
    data: str,
    *,
    run: Path,
    val: str | None = None,
    session: Session | None = None,
) -> Path:
    """Train a new run and return the folder of its checkpoint.

    Args:
        config: The run.
        data: A folder of videos and images, or a name in `BUILT_IN`.
        run: The run folder to make.
        val: A folder of validation data; None holds out some of the files.
        session: Time limit and logs of this process.

    Raises:
        InputError: the run folder exists, or the data cannot be used.
        MediaError: a file of the data cannot be read.
    """
    if run.exists():
        raise InputError(
            f"{run}: exists; give another folder, or --resume {run} to continue that run"
        )
    opened = open_data(data, val, config)
    folder = RunFolder(run)
    folder.create(
        config,
        RunData(data=_absolute(data), val=_absolute(val) if val else None, files=opened.files),
    )
    with folder.locked():
        return _train(folder, config, opened, state=None, session=session or Session())


def resume(run: Path, *, session: Session | None = None) -> Path:
    """Continue a run where its state was last saved and return the folder of its checkpoint.

    Raises:
        InputError: the folder is no run, another process trains in it, or its data has changed.
        IntegrityError: the state is damaged.
    """
    folder = RunFolder(run)
    config, data = folder.read()
    with folder.locked():
        # A run that was killed before its first save starts again at step 0.
        state = load_state(run) if (run / STATE).exists() else None
        opened = open_data(data.data, data.val, config)
        if opened.files != data.files:
            raise InputError(
                f"{data.data}: not the files that {run} was trained on; restore them or start a new run"
            )
        return _train(folder, config, opened, state=state, session=session or Session())


def _train(
    folder: RunFolder,
    config: TrainConfig,
    data: TrainData,
    *,
    state: TrainState | None,
    session: Session,
) -> Path:
    module = VaeTraining(config, state=state)
    if state is None and config.principal_patches:
        start_linear(module.vae, data.source, config)
        module.restart_average()
    done = state.step if state else 0
    if done < config.steps:
        # Its tips for other products and its list of absent accelerators; what it trains on is said below.
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        trainer = _trainer(
            folder,
            config,
            done,
            _callbacks(folder, config, data, state=state, session=session),
            session,
        )
        loaders = (
            batches(data.source, config, step=lambda: module.step),
            _validation_loader(data.validation),
        )
        with warnings.catch_warnings():
            # Worker processes would each hold the frames again, and a clip takes a hundredth of a step.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6 calls an interface of PyTorch that 2.13 deprecates.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
            tqdm.write(
                f"train on {trainer.strategy.root_device}, {config.precision}", file=sys.stderr
            )
            trainer.fit(module, *loaders)
        done = module.step
    if done < config.steps:
        tqdm.write(
            f"stopped at step {done} of {config.steps}; --resume {folder.path} continues",
            file=sys.stderr,
        )
    best = load_checkpoint(folder.checkpoint)
    save_checkpoint(with_latent_statistics(best, data.source, config), folder.checkpoint)
    return folder.checkpoint


def _trainer(
    folder: RunFolder, config: TrainConfig, done: int, callbacks: list[Callback], session: Session
) -> Trainer:
    return Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        max_steps=config.steps - done,
        max_epochs=-1,  # an epoch is the steps between two validations
        min_epochs=0,  # so that the first one may be stopped
        gradient_clip_val=config.clip_norm or None,
        num_sanity_val_steps=0
        if done
        else -1,  # a new run begins with a whole validation, at step 0
        callbacks=callbacks,
        logger=TensorBoardLogger(folder.path, name="tensorboard", version="")
        if session.tensorboard
        else False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _callbacks(
    folder: RunFolder,
    config: TrainConfig,
    data: TrainData,
    *,
    state: TrainState | None,
    session: Session,
) -> list[Callback]:
    metrics = Metrics(folder.metrics, first_step=state.step if state else -1)
    keeper = Keeper(folder, metrics, state=state)
    pictures = Pictures(folder, data.validation[:_PICTURED_CLIPS])
    callbacks: list[Callback] = [WeightAverage(), keeper, Progress(keeper), pictures, Interrupt()]
    if config.patience:
        callbacks.append(Patience(keeper, validations=config.patience))
    if session.max_minutes is not None:
        callbacks.append(TimeLimit(minutes=session.max_minutes))
    return callbacks


def _validation_loader(validation: Tensor) -> DataLoader[Tensor]:
    return DataLoader(list(validation), batch_size=_VALIDATION_BATCH)  # type: ignore[arg-type]  # a list is a dataset


def _absolute(data: str) -> str:
    """Return a folder's absolute path; the name of built-in data as it is."""
    return data if data in BUILT_IN and not Path(data).is_dir() else str(Path(data).absolute())
