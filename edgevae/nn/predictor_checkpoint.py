"""A predictor in a checkpoint, beside its VAE: `predictor.json` and `predictor.safetensors`."""

from __future__ import annotations

import os

from edgevae.nn.part_checkpoint import has_part, load_part_config, load_part_weights, save_part
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_config import PredictorConfig


def has_predictor(folder: str | os.PathLike[str]) -> bool:
    """Return whether there is a predictor in a checkpoint."""
    return has_part(folder, "predictor")


def save_predictor(
    predictor: Predictor, folder: str | os.PathLike[str], *, half: bool = False
) -> None:
    """Write a predictor into the folder of its VAE's checkpoint, as `save_part`."""
    save_part(predictor, folder, role="predictor", config=predictor.config, half=half)


def load_predictor(folder: str | os.PathLike[str]) -> Predictor:
    """Return the predictor of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    predictor = Predictor(load_part_config(folder, "predictor", PredictorConfig))
    load_part_weights(predictor, folder, "predictor")
    return predictor
