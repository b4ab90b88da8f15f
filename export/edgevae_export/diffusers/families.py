"""Which families of diffusers can be exported, and why the others cannot yet."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from edgevae.errors import InputError
from edgevae_export.foreign import ForeignVae

FAMILIES = {
    "AutoencoderKL": "kl",
    "AutoencoderKLFlux2": "flux2",
    "AsymmetricAutoencoderKL": "asymmetric",
    "AutoencoderTiny": "tiny",
    "AutoencoderDC": "dc",
    "AutoencoderKLHunyuanImage": "hunyuan_image",
    "AutoencoderKLQwenImage": "qwen_image",
    "AutoencoderKLWan": "wan",
}
"""The adapter's module in this package, by `_class_name`: it has `adapt(vae) -> ForeignVae`."""

_PAST = "its attention sees all frames before the present one, so its state has no fixed size"

NOT_YET = {
    "AutoencoderKLCogVideoX": "diffusers codes it in windows whose first is 1 frame longer than the others, and its "
    "group normalisation sums over all frames of a window, so one graph does not do for both",
    "AutoencoderKLTemporalDecoder": "its decoder sees later frames and sums over all that it is given at once, so its "
    "result depends on how many these are; it needs graphs of whole clips",
    "AutoencoderKLHunyuanVideo": _PAST,
    "AutoencoderKLHunyuanVideo15": _PAST,
    "AutoencoderKLMochi": "its encoder's attention sees all frames before the present one, so its state has no fixed "
    "size",
    "AutoencoderKLLTXVideo": "its decoder sees later frames, so it cannot stream; it needs graphs of whole clips",
    "AutoencoderKLCosmos": _PAST,
    "ConsistencyDecoderVAE": "its decoder is a diffusion model of several steps",
    "VQModel": "its latents are indices into a codebook, not numbers of unit scale",
}
"""Known families that have no adapter, with the reason."""


def adapt(vae: nn.Module, *, class_name: str, where: str) -> ForeignVae:
    """Return a model of diffusers as what is exported.

    Args:
        vae: The model.
        class_name: Of its class.
        where: What it is, for the message.

    Raises:
        InputError: its family, or this configuration of it, cannot be exported.
    """
    require_family(class_name, where=where)
    module: Any = importlib.import_module(f"{__package__}.{FAMILIES[class_name]}")  # Any: by name
    adapted: ForeignVae = module.adapt(vae)
    return adapted


def require_family(class_name: str, *, where: str) -> None:
    """Check that there is an adapter.

    Raises:
        InputError: there is none, with the reason where it is known.
    """
    if class_name in FAMILIES:
        return
    known = ", ".join(FAMILIES)
    why = f": {NOT_YET[class_name]}" if class_name in NOT_YET else ""
    raise InputError(
        f"{where}: {class_name} of diffusers cannot be exported yet{why}; expected one of {known}"
    )
