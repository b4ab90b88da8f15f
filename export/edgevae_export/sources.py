"""From what the user names to a VAE that can be exported: the folder's `config.json` says whose it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from edgevae.errors import ConfigError, InputError
from edgevae.nn.checkpoint import CONFIG
from edgevae.nn.senses_checkpoint import is_senses_checkpoint
from edgevae.runtime.shipped import locate, names
from edgevae_export.diffusers.loading import HUB, download, open_diffusers
from edgevae_export.exportable import Source
from edgevae_export.own import model_name, open_checkpoint
from edgevae_export.own_senses import SensesSource, open_senses

CLASS_NAME = "_class_name"
"""The key of `config.json` with which diffusers says what class the model is; our configurations have none."""


def open_source(path: str | os.PathLike[str]) -> Source:
    """Return the VAE of a checkpoint of ours, or of diffusers.

    Args:
        path: A checkpoint's folder, the name of a shipped model, a folder of diffusers (of a VAE, or of a pipeline with
            a `vae` inside), or `hub:owner/model`, which is downloaded.

    Raises:
        InputError: none of these, or a class of diffusers that cannot be exported.
        UnavailableError: diffusers is needed and not installed, or the Hub cannot be reached.
    """
    name = os.fspath(path)
    folder = download(name) if name.startswith(HUB) else Path(path)
    if not (folder / CONFIG).is_file() and (folder / "vae" / CONFIG).is_file():
        folder = folder / "vae"
    if CLASS_NAME in _config(folder):
        return open_diffusers(folder)
    own = locate(folder, part="checkpoint")
    if is_senses_checkpoint(own):
        raise InputError(
            f"{name}: is a VAE of several senses, expected one of frames; give the checkpoint of a plain VAE"
        )
    return open_checkpoint(own)


def open_senses_source(path: str | os.PathLike[str]) -> SensesSource | None:
    """Return the VAE of several senses of a folder or a shipped name, or None where it is another model.

    Raises:
        InputError: it is one, and its files are not what was written.
    """
    name = os.fspath(path)
    if name.startswith(HUB) or (not Path(path).exists() and name not in names()):
        return None  # whoever opens it as a plain VAE says what is wrong
    folder = locate(path, part="checkpoint")
    return open_senses(folder, name=model_name(folder)) if is_senses_checkpoint(folder) else None


def _config(folder: Path) -> dict[str, object]:
    """Return the content of a folder's `config.json`; empty where there is none."""
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); write the checkpoint again") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds no JSON object, expected the configuration of a model")
    return config
