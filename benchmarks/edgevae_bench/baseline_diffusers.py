"""A VAE of diffusers on the PyTorch side: the modules that were exported, or diffusers' own calls.

Both take and give what the graphs do. A part of `baseline`; with it the only one that knows the exporter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.spec import Precision, Role, VaeSpec
from edgevae_export.foreign import ForeignVae
from edgevae_export.precision import halved
from edgevae_export.sources import open_source

LIBRARY = "diffusers"
"""The variant of diffusers' own calls."""
ROLES: tuple[Role, ...] = ("encoder", "decoder")

Pin = Callable[[nn.Module, torch.memory_format], None]
"""Has a network's input in one memory format."""


@dataclass(frozen=True)
class Modules:
    """What is run, and of what."""

    by_role: dict[Role, nn.Module]
    """Frames uint8 `[B*T, H, W, 3]` and state to latents float32 `[B*t, C, h, w]` and state, and back."""
    spec: VaeSpec
    """Of the model."""
    name: str
    """Of the model."""
    weights_sha256: str
    """As in a bundle's manifest."""


class OnePicture(nn.Module):
    """diffusers' own call, refusing batches: the adapters call diffusers picture by picture."""

    def __init__(self, call: nn.Module) -> None:
        super().__init__()
        self.call = call

    def forward(self, data: Tensor) -> tuple[Tensor, ...]:
        if data.shape[0] != 1:
            raise InputError(
                f"pytorch_diffusers: got {data.shape[0]} frames in a call, expected 1; leave --batch out"
            )
        result: tuple[Tensor, ...] = self.call(data)
        return result


def open_modules(
    folder: Path,
    *,
    variant: str,
    memory_format: torch.memory_format,
    pin: Pin,
    chunk_frames: int,
    device: str,
    precision: Precision,
) -> Modules:
    """Return a folder of diffusers as modules on a device.

    Args:
        folder: The checkpoint.
        variant: `diffusers` for its own calls, anything else for the exported modules.
        memory_format: Of weights and of what enters the first layer.
        pin: See `Pin`.
        chunk_frames: T of one call.
        device: `cpu` or `cuda:N`.
        precision: Of the network.

    Raises:
        InputError: diffusers' own calls cannot be made chunk by chunk.
        EdgeVaeError: as `edgevae_export.sources.open_source`.
    """
    source = open_source(folder)
    vae = source.exportable
    assert isinstance(vae, ForeignVae), "told apart by its config.json"
    if variant == LIBRARY and (vae.spec.encoder_state or vae.spec.decoder_state):
        raise InputError(
            f"pytorch_diffusers: {source.name} codes whole clips in diffusers, expected a model that codes pictures"
        )
    found: dict[Role, nn.Module] = {}
    for role in ROLES:
        if variant == LIBRARY:
            module = vae.library_module(role)
            module.get_submodule("network").to(
                torch.float16 if precision == "fp16" else torch.float32
            )
        else:
            module = vae.graph_module(role, chunk_frames=chunk_frames)
            module = halved(module) if precision == "fp16" else module
            pin(module.get_submodule("network"), memory_format)
        module = module.to(device=device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's overloads leave the format out
        found[role] = OnePicture(module) if variant == LIBRARY else module
    return Modules(found, vae.spec, source.name, source.weights_sha256)
