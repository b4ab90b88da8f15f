"""A predictor in a checkpoint, beside its VAE: `predictor.json` and `predictor.safetensors`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgevae.errors import ConfigError, InputError
from edgevae.files import write_atomically
from edgevae.nn.checkpoint import load_weights, save_weights
from edgevae.nn.predictor import Predictor
from edgevae.nn.predictor_config import PredictorConfig
from edgevae.strict import from_dict, to_dict

CONFIG, WEIGHTS = "predictor.json", "predictor.safetensors"


def has_predictor(folder: str | os.PathLike[str]) -> bool:
    """Return whether there is a predictor in a checkpoint."""
    return Path(folder, CONFIG).is_file()


def save_predictor(
    predictor: Predictor, folder: str | os.PathLike[str], *, half: bool = False
) -> None:
    """Write a predictor into the folder of its VAE's checkpoint; each file is complete or absent at any moment.

    Args:
        predictor: The network.
        folder: Made where it does not exist.
        half: Store the weights as float16: half the size, a relative error of 5e-4 at most.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(predictor, path / WEIGHTS, half=half)
    config = json.dumps(to_dict(predictor.config), indent=2) + "\n"
    write_atomically(path / CONFIG, config.encode())


def load_predictor(folder: str | os.PathLike[str]) -> Predictor:
    """Return the predictor of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    path = Path(folder, CONFIG)
    if not path.is_file():
        raise InputError(f"{folder}: no {CONFIG} in it; expected a checkpoint with a predictor")
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); write the checkpoint again") from error
    predictor = Predictor(from_dict(PredictorConfig, data, where=str(path)))
    load_weights(predictor, Path(folder, WEIGHTS))
    return predictor.eval()
