"""A prior in a checkpoint, beside its VAE: `prior.json` and `prior.safetensors`."""

from __future__ import annotations

import os

from edgevae.nn.part_checkpoint import has_part, load_part_config, load_part_weights, save_part
from edgevae.nn.prior import Prior
from edgevae.nn.prior_config import PriorConfig


def has_prior(folder: str | os.PathLike[str]) -> bool:
    """Return whether there is a prior in a checkpoint."""
    return has_part(folder, "prior")


def save_prior(prior: Prior, folder: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a prior into the folder of its VAE's checkpoint, as `save_part`."""
    save_part(prior, folder, role="prior", config=prior.config, half=half)


def load_prior(folder: str | os.PathLike[str]) -> Prior:
    """Return the prior of a checkpoint in float32, in evaluation mode, on the CPU.

    Raises:
        InputError: a file is missing, or the weights do not fit the configuration.
        ConfigError: the configuration is invalid.
        IntegrityError: the weights file is damaged, or holds a value that is not finite.
    """
    prior = Prior(load_part_config(folder, "prior", PriorConfig))
    load_part_weights(prior, folder, "prior")
    return prior
