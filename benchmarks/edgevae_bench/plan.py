"""What is to be measured, and what a run gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edgevae.errors import InputError
from edgevae.spec import Precision
from edgevae_bench.clip import Clip
from edgevae_bench.comparison import Shown
from edgevae_bench.result import Result

Progress: TypeAlias = Callable[[str, int, int | None], object]
"""Told what is being done, how much of it is done, and of how much where that is known."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure."""

    bundle: Path
    """The folder of the model."""
    checkpoint: Path | None
    """The folder of the weights that it was exported from, for the PyTorch baselines; None for none."""
    clip: Clip
    """The frames."""
    threads: int
    """CPU threads of every subject."""
    rounds: int
    """Samples to take."""
    backend: str = "auto"
    """As `edgevae.load` takes it."""
    device: str = "auto"
    """As `edgevae.load` takes it."""
    precision: Precision | None = None
    """As `edgevae.load` takes it."""
    max_warm_up_rounds: int = 15
    """Bound of the warm-up."""
    seed: int = 0
    """Of the order within the rounds."""

    def __post_init__(self) -> None:
        for name in ("rounds", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: got {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run gives."""

    result: Result
    """For the report."""
    shown: tuple[Shown, ...]
    """Frames for the picture, reconstructed by `shown_subject`."""
    shown_subject: str
    """The runtime's name."""
