"""A network beside a VAE in its checkpoint: `ROLE.json` and `ROLE.safetensors`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from edgevae.errors import ConfigError, InputError
from edgevae.files import write_atomically
from edgevae.nn.checkpoint import load_weights, save_weights
from edgevae.roles import Role
from edgevae.strict import from_dict, to_dict

C = TypeVar("C")


def has_part(folder: str | os.PathLike[str], role: Role) -> bool:
    """Return whether a checkpoint has a network of a role."""
    return Path(folder, f"{role}.json").is_file()


def save_part(
    network: nn.Module,
    folder: str | os.PathLike[str],
    *,
    role: Role,
    config: Any,  # Any: a frozen dataclass
    half: bool = False,
) -> None:
    """Write a network into the folder of its VAE's checkpoint; each file is complete or absent at any moment.

    Args:
        network: Its weights are written.
        folder: Made where it does not exist.
        role: Of the network.
        config: What the network is made of.
        half: Store the weights as float16: half the size, a relative error of 5e-4 at most.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    save_weights(network, path / f"{role}.safetensors", half=half)
    text = json.dumps(to_dict(config), indent=2) + "\n"
    write_atomically(path / f"{role}.json", text.encode())


def load_part_config(folder: str | os.PathLike[str], role: Role, kind: type[C]) -> C:
    """Return the configuration of a checkpoint's network.

    Raises:
        InputError: the checkpoint has none of this role.
        ConfigError: the configuration is invalid.
    """
    path = Path(folder, f"{role}.json")
    if not path.is_file():
        raise InputError(f"{folder}: no {path.name} in it; expected a checkpoint with a {role}")
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); write the checkpoint again") from error
    return from_dict(kind, data, where=str(path))


def load_part_weights(network: nn.Module, folder: str | os.PathLike[str], role: Role) -> None:
    """Set a network to a checkpoint's weights, as float32, in evaluation mode.

    Raises:
        InputError: there are none, or they do not fit the configuration.
        IntegrityError: they are damaged, or not finite.
    """
    load_weights(network, Path(folder, f"{role}.safetensors"))
    network.eval()
