"""A generator on disk: `config.json`, whose kind is sprites, and `model.safetensors` in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgevae.errors import ConfigError, InputError
from edgevae.files import write_atomically
from edgevae.nn.checkpoint import CONFIG, WEIGHTS, load_weights, save_weights
from edgevae.nn.generator import Generator
from edgevae.nn.generator_config import KIND, GeneratorConfig
from edgevae.strict import from_dict, to_dict


def has_generator(folder: str | os.PathLike[str]) -> bool:
    """Return whether a checkpoint is one of a generator.

    Raises:
        ConfigError: its `config.json` is not JSON.
    """
    data = _config(Path(folder)) if Path(folder, CONFIG).is_file() else None
    return isinstance(data, dict) and data.get("kind") == KIND


def save_generator(
    generator: Generator, folder: str | os.PathLike[str], *, half: bool = False
) -> None:
    """Write a checkpoint; each file is complete or absent at any moment.

    Args:
        generator: The network.
        folder: Made where it does not exist.
        half: Store the weights as float16: half the size, a relative error of 5e-4 at most.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(generator, path / WEIGHTS, half=half)
    config = json.dumps(to_dict(generator.config), indent=2) + "\n"
    write_atomically(path / CONFIG, config.encode())


def load_generator(folder: str | os.PathLike[str]) -> Generator:
    """Return the generator of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid, or of something else.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    path = Path(folder)
    if not (path / CONFIG).is_file():
        raise InputError(f"{folder}: no {CONFIG} in it; expected the checkpoint of a generator")
    generator = Generator(from_dict(GeneratorConfig, _config(path), where=str(path / CONFIG)))
    load_weights(generator, path / WEIGHTS)
    return generator.eval()


def _config(folder: Path) -> object:
    path = folder / CONFIG
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); write the checkpoint again") from error
