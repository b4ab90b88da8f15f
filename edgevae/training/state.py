"""The state of a training run on disk: what a run that was killed continues from."""

from __future__ import annotations

import math
import pickle  # noqa: TID251 # for its error, which torch.load raises
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgevae.errors import IncompatibleError, InputError, IntegrityError
from edgevae.files import atomic_file

STATE = "state.ckpt"
_VERSION = 4
"""2 added `since_line` and `processes`, 3 the discriminator; 4 keeps by loss, not PSNR; earlier states are read too."""


@dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that a run's next step depends on, beside its configuration and data."""

    step: int
    """Steps done."""
    module: dict[str, torch.Tensor]
    """Weights and averaged weights."""
    optimizer: dict[str, Any]  # Any: PyTorch's own nested structure
    """AdamW's state."""
    best_val_loss: float
    """Lowest validation loss so far."""
    stale_validations: int
    """Validations since then."""
    since_line: list[tuple[float, ...]] = field(default_factory=list)
    """Figures of the steps since the last line of the log (`edgevae.training.record.FIGURES`)."""
    processes: int = 1
    """How many processes the run had; with as many it continues to the bit."""
    discriminator_optimizer: dict[str, Any] | None = None  # Any: as above
    """AdamW's state for the discriminator, whose weights are in `module`; None for a run without one."""


def save_state(state: TrainState, run: Path) -> None:
    """Write the state; at any moment the file is the earlier one or the new one, whole."""
    with atomic_file(run / STATE) as partial:
        torch.save({"version": _VERSION, **vars(state)}, partial)


def load_state(run: Path) -> TrainState:
    """Return the state of a run; nothing in the file is executed.

    Raises:
        InputError: there is none.
        IntegrityError: the file is damaged.
        IncompatibleError: it was written by another version of edgevae.
    """
    path = run / STATE
    if not path.is_file():
        raise InputError(f"{run}: no {STATE} in it; expected the folder of a training run")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 # only tensors and numbers
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise IntegrityError(f"{path}: damaged ({reason}); start the run again") from error
    version = data.pop("version", None) if isinstance(data, dict) else None
    if version not in range(1, _VERSION + 1):
        raise IncompatibleError(
            f"{path}: state version {version}, expected {_VERSION}; start the run again"
        )
    if version in (1, 2, 3):
        data["best_val_loss"] = math.inf
        del data["best_psnr_db"]
    return TrainState(**data)
