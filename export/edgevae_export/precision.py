"""Half precision, decided in PyTorch: the network in float16, frames uint8 and latents float32 at its boundary."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgevae.nn import Vae


def halved(vae: Vae) -> Vae:
    """Return a copy of a network whose parameters are float16."""
    return copy.deepcopy(vae).half()


def watch_peaks(module: nn.Module, peaks: dict[str, float]) -> None:
    """Have every leaf layer of a module note its largest absolute output in `peaks` from now on, by its name.

    NaN once a layer gave a value that is not finite.
    """

    def watch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                peak = float(output.abs().max()) if torch.isfinite(output).all() else math.nan
                # max() would lose a NaN, which compares false with everything.
                peaks[name] = (
                    math.nan
                    if math.isnan(peak + peaks.get(name, 0.0))
                    else max(peaks.get(name, 0.0), peak)
                )

        return hook

    for name, layer in module.named_modules():
        if name and not any(layer.children()):
            layer.register_forward_hook(watch(name))


def highest(peaks: dict[str, float]) -> tuple[str, float]:
    """Return the layer with the highest peak; one that is not finite is above all."""
    return max(peaks.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])
