"""A VAE of several senses on disk: `config.json` and `model.safetensors` in a folder, as for any other."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgevae.errors import ConfigError, InputError
from edgevae.files import write_atomically
from edgevae.nn.checkpoint import CONFIG, WEIGHTS, load_weights, save_weights
from edgevae.nn.senses import MultimodalVae
from edgevae.nn.senses_config import SensesConfig
from edgevae.strict import from_dict, to_dict


def is_senses_checkpoint(folder: str | os.PathLike[str]) -> bool:
    """Return whether a checkpoint is that of a VAE of several senses."""
    try:
        data = json.loads(Path(folder, CONFIG).read_text())
    except (OSError, ValueError):
        return False  # whoever opens it says what is wrong
    return isinstance(data, dict) and data.get("model") == "senses"


def save_senses(vae: MultimodalVae, folder: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a checkpoint; each file is complete or absent at any moment.

    Args:
        vae: The network.
        folder: Made where it does not exist.
        half: Store the weights as float16: half the size, a relative error of 5e-4 at most.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(vae, path / WEIGHTS, half=half)
    write_atomically(path / CONFIG, (json.dumps(to_dict(vae.config), indent=2) + "\n").encode())


def load_senses(folder: str | os.PathLike[str]) -> MultimodalVae:
    """Return the network of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: it is none of a VAE of several senses, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    if not is_senses_checkpoint(folder):
        raise InputError(
            f"{folder}: no {CONFIG} of a VAE of several senses in it; train one with --model multimodal"
        )
    path = Path(folder, CONFIG)
    data = json.loads(path.read_text())
    try:
        config = from_dict(SensesConfig, data, where=str(path))
    except ConfigError as error:
        raise ConfigError(f"{error}; write the checkpoint again") from error
    vae = MultimodalVae(config)
    load_weights(vae, Path(folder, WEIGHTS))
    return vae.eval()
