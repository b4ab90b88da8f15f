"""`edgevae train moving-digits --model predictor`, prior or gan: what learns on moving digits alone."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevae.cli.torch_needed import needs_torch
from edgevae.errors import InputError

DIGIT_MODELS = {
    "predictor": ("edgevae.training.prediction", "PredictionConfig"),
    "prior": ("edgevae.training.flow", "FlowConfig"),
    "gan": ("edgevae.training.generation", "GanConfig"),
}
"""What is trained on moving digits alone: by --model its package and its configuration."""

OPTIONS = ("steps", "batch_clips", "learning_rate", "precision", "seed")
"""What of a run's values theirs have too."""


def train_on_digits(
    data: str | None,
    output: Path | None,
    model: str,
    digits: str | None,
    config: Path | None,
    weights: str | None,
    max_minutes: float | None,
    given: dict[str, Any],  # Any: the values of a run, which the configuration checks
) -> Path:
    """Start a run of one of `DIGIT_MODELS` and return the folder of its checkpoint.

    Args:
        data: As the command has it; only moving-digits will do.
        output: The run's folder.
        model: Which of them.
        digits: The folder with the files of MNIST; None takes what the recipe says.
        config: A recipe to start from.
        weights: The checkpoint of a prior's VAE.
        max_minutes: After which to stop.
        given: Other options of the command that were given.

    Raises:
        InputError: an option that such a run has not, or one that it needs is missing.
        UnavailableError: a library is missing.
    """
    if (weights is None) == (model == "prior"):
        what = (
            "needs --from, the checkpoint of its VAE; add it"
            if weights is None
            else "has no --from; leave it out"
        )
        raise InputError(f"train: --model {model} {what}")
    for name, value in given.items():
        if value is not None and name not in OPTIONS:
            raise InputError(
                f"train: --model {model} has no --{name.replace('_', '-')}; leave it out"
            )
    if data != "moving-digits" or output is None:
        raise InputError(f"train: --model {model}: expected moving-digits as DATA, and -o RUN")
    package, kind = DIGIT_MODELS[model]
    with needs_torch():
        from edgevae.runtime.shipped import locate
        from edgevae.training.loop import Session
        from edgevae.training.recipe import read_recipe

        fit, settings = (importlib.import_module(f"{package}.{name}") for name in ("fit", "config"))
    own = {name: given[name] for name in OPTIONS if name in given}
    if digits is not None:
        own["digits"] = str(Path(digits).absolute())
    minutes = Session(max_minutes=max_minutes).max_minutes
    configuration = getattr(settings, kind)
    recipe = configuration() if config is None else read_recipe(config, configuration)
    chosen = replace(recipe, **own)
    begun = {} if weights is None else {"weights": locate(weights, part="checkpoint")}
    checkpoint: Path = fit.start(chosen, run=output, max_minutes=minutes, **begun)
    return checkpoint
