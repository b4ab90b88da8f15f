"""The folder of a run: its files, and the lock that keeps a second process out.

RUN/train.json    the configuration          RUN/checkpoint/   the best averaged weights (config.json, safetensors)
RUN/data.json     what it was trained on     RUN/samples/      pictures
RUN/state.ckpt    what --resume needs        RUN/metrics.csv   the log
RUN/launches.jsonl  command line, versions and machine of every start
RUN/start/        the checkpoint that it began with, where one was given
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from edgevae.errors import ConfigError, InputError
from edgevae.files import write_atomically
from edgevae.nn.checkpoint import save_checkpoint
from edgevae.nn.vae import Vae
from edgevae.strict import from_dict, to_dict
from edgevae.training.config import TrainConfig, config_json
from edgevae.training.recipe import read_recipe


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run was trained on: `data.json`."""

    data: str
    """A folder, or the name of built-in data."""
    val: str | None
    """A folder of validation data, where one was given."""
    files: dict[str, int]
    """Bytes of every file; a run is not continued on other data."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of every file. Runs begun before it was noted have none."""
    val_sha256: dict[str, str] = field(default_factory=dict)
    """Of every file of the folder of validation data, where one was given."""
    perceptual_sha256: str | None = None
    """Of the weights of LPIPS, where the run has such a loss."""


@dataclass(frozen=True)
class RunFolder:
    """Paths in the folder of a run."""

    path: Path
    """The folder."""

    @property
    def checkpoint(self) -> Path:
        """The best averaged weights so far; at the end of the run, its result."""
        return self.path / "checkpoint"

    @property
    def start(self) -> Path:
        """The checkpoint that the run began with; there is none where it began by itself."""
        return self.path / "start"

    @property
    def samples(self) -> Path:
        """Pictures."""
        return self.path / "samples"

    @property
    def metrics(self) -> Path:
        """The log."""
        return self.path / "metrics.csv"

    @property
    def launches(self) -> Path:
        """Every start of the run."""
        return self.path / "launches.jsonl"

    def refuse_existing(self) -> None:
        """Check that a new run may be made here.

        Raises:
            InputError: the folder exists.
        """
        if self.path.exists():
            raise InputError(
                f"{self.path}: exists; give another folder, or --resume {self.path} to continue that run"
            )

    def create(self, config: TrainConfig, data: RunData, *, begun: Vae | None = None) -> None:
        """Make the folder of a new run; `data.json` comes last, and without it the folder is none.

        Args:
            config: Its settings.
            data: What it is trained on.
            begun: The network that it begins with, where one was given.

        Raises:
            InputError: it exists.
        """
        self.refuse_existing()
        self.path.mkdir(parents=True)
        if begun is not None:
            save_checkpoint(begun, self.start)
        write_atomically(self.path / "train.json", config_json(config))
        write_atomically(
            self.path / "data.json", (json.dumps(to_dict(data), indent=2) + "\n").encode()
        )

    def read(self) -> tuple[TrainConfig, RunData]:
        """Return configuration and data of an existing run.

        Raises:
            InputError: the folder is no run.
            ConfigError: one of its files is not what was written.
        """
        file = self.path / "data.json"
        if not file.is_file():
            raise InputError(
                f"{self.path}: no data.json in it; expected the folder of a training run"
            )
        try:
            data = json.loads(file.read_text())
        except ValueError as error:
            raise ConfigError(f"{file}: not JSON ({error}); start the run again") from error
        return read_recipe(self.path / "train.json", TrainConfig), from_dict(
            RunData, data, where=str(file)
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the system lets go of the lock when this one ends, however it ends.

        Raises:
            InputError: another process is training in this folder.
        """
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{self.path}: another process is training in it; wait for it or stop it"
            ) from None
        try:
            yield
        finally:
            lock.release()
