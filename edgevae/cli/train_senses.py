"""`edgevae train --model multimodal`: a VAE of several senses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevae.errors import InputError, UnavailableError

OPTIONS = {
    "steps": "steps",
    "batch_clips": "batch_windows",
    "crop_px": "side_px",
    "clip_frames": "window_frames",
    "learning_rate": "learning_rate",
    "precision": "precision",
    "seed": "seed",
}
"""What of a run's options a VAE of several senses has, and the values that they are."""


def train_senses(
    data: str | None,
    output: Path | None,
    config: Path | None,
    max_minutes: float | None,
    given: dict[str, Any],  # Any: the values of a run, which SensesTraining checks
) -> Path:
    """Start a run and return the folder of its checkpoint.

    Args:
        data: As the command has it; None takes that of the configuration.
        output: The run's folder.
        config: A recipe to start from.
        max_minutes: After which to stop.
        given: Other options of the command that were given.

    Raises:
        InputError: an option that such a run has not, or no output.
        UnavailableError: a library is missing.
    """
    for name in given:
        if name not in OPTIONS:
            raise InputError(
                f"train: --model multimodal has no --{name.replace('_', '-')}; leave it out"
            )
    if output is None or (data is None and config is None):
        raise InputError(
            "train: --model multimodal: expected DATA (made-world, or a folder) and -o RUN"
        )
    try:
        from edgevae.training.loop import Session
        from edgevae.training.recipe import read_recipe
        from edgevae.training.senses import fit
        from edgevae.training.senses.config import MADE_WORLD, SensesTraining
    except ImportError as error:
        raise UnavailableError(
            f"train: {error}; install it with `pip install 'edgevae[train]'`"
        ) from error
    chosen = SensesTraining()
    if config is not None:
        chosen = read_recipe(config, SensesTraining)
    if data is not None:
        chosen = replace(chosen, data=data if data == MADE_WORLD else str(Path(data).absolute()))
    chosen = replace(chosen, **{OPTIONS[name]: value for name, value in given.items()})
    return fit.start(chosen, run=output, max_minutes=Session(max_minutes=max_minutes).max_minutes)
