"""A checkpoint on disk: `config.json` and `model.safetensors` in a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from edgevae.errors import ConfigError, InputError, IntegrityError
from edgevae.files import write_atomically
from edgevae.nn.config import VaeConfig
from edgevae.nn.image import ImageVae
from edgevae.nn.vae import Vae
from edgevae.nn.video import VideoVae
from edgevae.strict import from_dict, to_dict

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def build(config: VaeConfig) -> Vae:
    """Return the network of a configuration, with random weights."""
    return VideoVae(config) if config.kind == "video" else ImageVae(config)


def save_checkpoint(vae: Vae, folder: str | os.PathLike[str], *, half: bool = False) -> None:
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


def save_weights(network: nn.Module, path: Path, *, half: bool) -> None:
    """Write the weights of a network, as float32 or float16."""
    dtype = torch.float16 if half else torch.float32
    tensors = {
        name: t.detach().to("cpu", dtype).contiguous() for name, t in network.state_dict().items()
    }
    write_atomically(path, save(tensors))


def load_config(folder: str | os.PathLike[str]) -> VaeConfig:
    """Return the configuration of a checkpoint.

    Raises:
        InputError: there is no `config.json` in the folder.
        ConfigError: it is not JSON, or has an unknown or missing key or a wrong type.
    """
    path = Path(folder, CONFIG)
    if not path.is_file():
        raise InputError(
            f"{folder}: no {CONFIG} in it; expected a checkpoint folder with {CONFIG} and {WEIGHTS}"
        )
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); write the checkpoint again") from error
    return from_dict(VaeConfig, data, where=str(path))


def load_checkpoint(folder: str | os.PathLike[str]) -> Vae:
    """Return the network of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    vae = build(load_config(folder))
    load_weights(vae, Path(folder, WEIGHTS))
    return vae.eval()


def load_weights(network: nn.Module, path: Path) -> None:
    """Set a network to the weights in a file, as float32.

    Raises:
        InputError: there is no such file, or it is of another network.
        IntegrityError: it is damaged, or holds a value that is not finite.
    """
    if not path.is_file():
        raise InputError(
            f"{path.parent}: no {path.name} in it; expected a checkpoint folder with {CONFIG} and {WEIGHTS}"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise IntegrityError(f"{path}: damaged ({error}); copy or train it again") from error
    wrong = _first_difference(network, tensors)
    if wrong:
        raise InputError(f"{path}: {wrong}; the weights belong to another configuration")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise IntegrityError(
                f"{path}: tensor {name!r} has values that are NaN or infinite; train or copy it again"
            )
    network.load_state_dict(tensors)


def _first_difference(network: nn.Module, tensors: dict[str, torch.Tensor]) -> str | None:
    expected = network.state_dict()
    for name in expected.keys() | tensors.keys():
        if name not in tensors:
            return f"tensor {name!r} is missing"
        if name not in expected:
            return f"tensor {name!r} is unknown"
        if tensors[name].shape != expected[name].shape:
            return f"tensor {name!r} is {list(tensors[name].shape)}, expected {list(expected[name].shape)}"
    return None
