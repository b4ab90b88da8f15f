"""Half precision, decided in PyTorch: the network in float16, but for the layers that were measured not to bear it.

Two questions are asked of every layer that has weights, about the largest values that went through it in float32:

    float32 in ->[ layer ]-> float32 out
       |             |            |
       |             |            +-- would it, or what the next layer sees (a residual sum!), leave float16?  it widens
       |             +-- would input or output leave float16?                                           it is kept
       +-- cast to the layer's own type before each layer with weights

A kept layer computes in float32. A widening layer gives float32, so that the sum behind it is one of float32.
Where that is not enough others are searched for (`mixed.py`).
Frames are uint8 and latents float32 at the boundary in either case.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

FLOAT16_MAX = 65504.0

HEADROOM = 4.0
"""How many times larger than on the calibration frames a value may become; a power of 2, chosen, not measured."""
WARNED_HEADROOM = 16.0
"""Likewise where the model's authors say that it leaves float16 on some pictures."""


@dataclass(frozen=True)
class Pins:
    """Which layers of a module do not work in float16 alone, by name."""

    kept: frozenset[str] = frozenset()
    """Compute in float32."""
    widened: frozenset[str] = frozenset()
    """Give float32, whatever they compute in."""

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.kept | self.widened


@dataclass
class Peaks:
    """The largest absolute values that went through the layers of a module, in the order of the first call."""

    inputs: dict[str, float] = field(default_factory=dict)
    """By layer."""
    outputs: dict[str, float] = field(default_factory=dict)
    """By layer; NaN once a value was not finite."""


def halved(module: nn.Module, pins: Pins | None = None) -> nn.Module:
    """Return a copy of a graph module whose layers are float16, but for the pinned ones; its own buffers stay.

    Args:
        module: In float32.
        pins: Which layers are not; by default all are float16.
    """
    pins = pins or Pins()
    module = copy.deepcopy(module)
    for name, layer in module.named_modules():
        # Not by half() on everything and back: a weight that float16 does not hold would be lost on the way.
        if name and name not in pins.kept:
            _halve_own_tensors(layer)
        if not (name and is_layer(layer)):
            continue
        compute = torch.float32 if name in pins.kept else torch.float16
        layer.register_forward_pre_hook(_caster(compute))
        result = torch.float32 if name in pins.widened else torch.float16
        if result != compute:
            layer.register_forward_hook(_giver(result))
    return module


def choose_pins(module: nn.Module, peaks: Peaks, *, headroom: float = HEADROOM) -> Pins:
    """Return which layers of a graph module must not work in float16 alone.

    Args:
        module: In float32.
        peaks: What went through its layers.
        headroom: How many times larger values may become on other frames.
    """
    most = FLOAT16_MAX / headroom
    kept, widened = set[str](), set[str]()
    previous: str | None = None
    layers = dict(module.named_modules())
    for name, peak_in in peaks.inputs.items():
        peak_out = peaks.outputs.get(name, 0.0)
        if not is_layer(layers[name]):
            continue
        if peak_in > most and previous is not None:
            widened.add(previous)
        if peak_in > most or peak_out > most:
            kept.add(name)
        if peak_out > most:
            widened.add(name)
        previous = name
    return Pins(frozenset(kept), frozenset(widened))


def why_pinned(name: str, peaks: Peaks, *, headroom: float = HEADROOM) -> str:
    """Return in words why `choose_pins` pins a layer."""
    most = FLOAT16_MAX / headroom
    for what, peak in (("input", peaks.inputs.get(name, 0.0)), ("output", peaks.outputs[name])):
        if peak > most:
            return (
                f"its {what} reaches {peak:.4g}, {headroom:g} times of which float16 does not hold"
            )
    return f"a sum behind it reaches more than float16 holds with a margin of {headroom:g}"


def is_layer(module: nn.Module) -> bool:
    """Return whether a module has weights and no modules inside."""
    return not any(module.children()) and any(True for _ in module.parameters())


def has_own_tensors(module: nn.Module) -> bool:
    """Return whether a module has floating-point weights or buffers of its own, not in modules inside it."""
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return any(tensor.is_floating_point() for tensor in own)


def watch_peaks(module: nn.Module, peaks: Peaks) -> None:
    """Have every leaf layer of a module note its largest absolute input and output in `peaks` from now on."""

    def before(name: str) -> Callable[[nn.Module, tuple[object, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[object, ...]) -> None:
            if inputs:
                _note(peaks.inputs, name, inputs[0])

        return hook

    def behind(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, output: object) -> None:
            _note(peaks.outputs, name, output)

        return hook

    for name, layer in module.named_modules():
        if name and not any(layer.children()):
            # An activation in place leaves nothing of its input.
            layer.register_forward_pre_hook(before(name))
            layer.register_forward_hook(behind(name))


def mixes_types(error: RuntimeError) -> bool:
    """Return whether PyTorch refuses to compute because float16 meets float32: its products take one type."""
    said = ("dtype", "scalar type", "same type", "should be the same")
    return any(words in str(error) for words in said)


def highest(peaks: dict[str, float]) -> tuple[str, float]:
    """Return the layer with the highest peak; one that is not finite is above all."""
    return max(peaks.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])


def _halve_own_tensors(layer: nn.Module) -> None:
    """Make the parameters and buffers of a module, not those of the modules inside it, float16."""
    for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half()


def _note(peaks: dict[str, float], name: str, value: object) -> None:
    if not (isinstance(value, Tensor) and value.is_floating_point()):
        return
    peak = float(value.abs().max()) if torch.isfinite(value).all() else math.nan
    before = peaks.get(name, 0.0)
    # max() would lose a NaN, which compares false with everything.
    peaks[name] = math.nan if math.isnan(peak + before) else max(before, peak)


def _caster(
    dtype: torch.dtype,
) -> Callable[[nn.Module, tuple[Any, ...]], tuple[Any, ...]]:  # Any: what a layer is called with
    def hook(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
            for value in inputs
        )

    return hook


def _giver(dtype: torch.dtype) -> Callable[[nn.Module, object, Tensor], Tensor]:
    def hook(_: nn.Module, __: object, output: Tensor) -> Tensor:
        return output.to(dtype)

    return hook
