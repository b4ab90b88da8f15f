"""How much every layer of a network loses in float16: by itself, and with all that came before it.

    float32 network    x0 -[ layer 1 ]- x1 -[ layer 2 ]- x2 ...          values that are right
                        |                |
    own error           +-[ in half ]-   +-[ in half ]-                  each layer in half, on right inputs
    float16 network    x0 -[ in half ]-----[ in half ]- ...              each layer in half, on what half made of them

The first layer whose own error is bad is the cause; those behind it only pass it on. An error is given as a ratio of
powers in dB, where the signal is what varies over the picture: a channel that is 3000 everywhere but for +-1 has lost
its signal in float16, whose numbers are 2 apart there, while the error is small beside 3000.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.frames import Frames
from edgevae.spec import Role
from edgevae_export.exportable import Exportable, graph_spec
from edgevae_export.precision import FLOAT16_MAX, Peaks, halved, watch_peaks
from edgevae_export.runs import ROLES, run_module

BAD_SNR_dB = 40.0
"""Below it a layer's error is more than 1 % of its signal. Rounding to float16 alone leaves about 70 dB."""

KEPT_VALUES = 2**16
"""Of each result of the float32 network, spread evenly, kept to compare; NaN and Inf are looked for in all."""


@dataclass(frozen=True, kw_only=True)
class LayerError:
    """What float16 does to one layer, over all clips."""

    layer: str
    """Its name in the graph module."""
    kind: str
    """Its class."""
    peak_in: float
    """Largest absolute input in float32."""
    peak_out: float
    """Largest absolute output in float32."""
    peak_weight: float
    """Largest absolute weight."""
    own_finite: bool
    """Whether the layer in half gives finite numbers on right inputs."""
    own_snr_dB: float
    """Signal over error of the layer in half on right inputs; infinite where there is no error."""
    network_finite: bool
    """Whether its output is finite where the whole network is in half."""
    network_snr_dB: float
    """Signal over error of its output where the whole network is in half."""

    @property
    def headroom(self) -> float:
        """How many times larger its values may become before float16 ends."""
        most = max(self.peak_in, self.peak_out)
        return FLOAT16_MAX / most if most else math.inf

    @property
    def own_is_bad(self) -> bool:
        """Whether the layer itself is where something goes wrong."""
        return not self.own_finite or self.own_snr_dB < BAD_SNR_dB


@dataclass(frozen=True)
class LayerErrors:
    """What float16 does to the layers of the encoder or the decoder."""

    layers: tuple[LayerError, ...]
    """In the order of the first call."""
    first_not_finite: str | None
    """The layer out of which NaN or Inf first came where the whole network is in half."""


@dataclass
class _Powers:
    """Sums over calls, from which a ratio follows."""

    signal: float = 0.0
    noise: float = 0.0
    finite: bool = True

    def add(self, exact: Tensor, got: Tensor, *, signal: float, count: int) -> None:
        """Add one call: some of its values, and the power of its signal over all `count`."""
        self.signal += signal
        if not torch.isfinite(got).all():
            self.finite = False
        else:
            difference = got.double() - exact.double()
            self.noise += float(difference.square().mean()) * count

    @property
    def snr_dB(self) -> float:
        if not self.finite:
            return -math.inf
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


@dataclass
class _Watch:
    """What the hooks of one role's two networks write to."""

    own: dict[str, _Powers] = field(default_factory=dict)
    network: dict[str, _Powers] = field(default_factory=dict)
    kept: dict[str, list[tuple[Tensor, float, int]]] = field(default_factory=dict)
    """Of the float32 network's calls on this clip: some values, their signal's power and how many there were."""
    first_lost: str | None = None
    """Where NaN or Inf first came out of a layer of the network in half."""


def measure_layers(
    exportable: Exportable,
    clips: Mapping[str, Frames],
    *,
    chunk_frames: int,
    whole_network: bool = True,
    step: Callable[[str], None] = lambda _: None,
) -> dict[Role, LayerErrors]:
    """Return what float16 does to every leaf layer.

    Costs, for each clip, a run in float32 with every layer once more in half, and a run in half.

    Args:
        exportable: The VAE.
        clips: uint8 `[T, H, W, 3]` by kind.
        chunk_frames: Of one call.
        whole_network: Also run the network in half; else `network_*` are those of nothing, infinite.
        step: Told what comes next, twice a clip.
    """
    found: dict[Role, LayerErrors] = {}
    inputs: dict[str, np.ndarray] = dict(clips)
    for role in ROLES:
        exact = exportable.graph_module(role, chunk_frames=chunk_frames)
        half = halved(exact)
        peaks, watch = Peaks(), _Watch()
        watch_peaks(exact, peaks)
        _watch_exact(exact, half, watch, keep=whole_network)
        if whole_network:
            _watch_half(half, watch)
        graphs = {
            p: graph_spec(exportable.spec, role, precision=p, chunk_frames=chunk_frames)
            for p in ("fp32", "fp16")
        }
        for name, data in inputs.items():
            step(f"{role} {name}")
            inputs[name] = run_module(exact, graphs["fp32"], exportable.spec, data)
            if whole_network:
                run_module(half, graphs["fp16"], exportable.spec, data)
            watch.kept.clear()
        found[role] = LayerErrors(_errors(exact, peaks, watch), watch.first_lost)
    return found


def _errors(module: nn.Module, peaks: Peaks, watch: _Watch) -> tuple[LayerError, ...]:
    layers = dict(module.named_modules())
    nothing = _Powers()
    return tuple(
        LayerError(
            layer=name,
            kind=type(layers[name]).__name__,
            peak_in=peaks.inputs.get(name, 0.0),
            peak_out=peaks.outputs.get(name, 0.0),
            peak_weight=max(
                (float(p.detach().abs().max()) for p in layers[name].parameters()), default=0.0
            ),
            own_finite=own.finite,
            own_snr_dB=own.snr_dB,
            network_finite=watch.network.get(name, nothing).finite,
            network_snr_dB=watch.network.get(name, nothing).snr_dB,
        )
        for name, own in watch.own.items()
    )


def _leaves(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers that compute: those without layers inside that are no placeholder."""
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if name and not any(layer.children()) and not isinstance(layer, (nn.Identity, nn.Dropout))
    ]


def _watch_exact(exact: nn.Module, half: nn.Module, watch: _Watch, *, keep: bool) -> None:
    """Have every leaf of the float32 network be repeated in half on the same inputs."""
    twins, repeated = dict(half.named_modules()), dict[str, Any]()

    def repeat(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Its forward alone: a call would also set off what watches the network in half.
        halves = {k: _half(v) for k, v in kwargs.items()}
        repeated[name] = twins[name].forward(*map(_half, args), **halves)

    def compare(name: str, out: object) -> None:
        got = repeated.pop(name)
        if isinstance(out, Tensor) and out.is_floating_point():
            power, count = _signal(out) * out.numel(), out.numel()
            watch.own.setdefault(name, _Powers()).add(out, got, signal=power, count=count)
            if keep:
                watch.kept.setdefault(name, []).append((_some(out), power, count))

    for name, layer in _leaves(exact):
        # Before the layer itself runs: an activation in place leaves nothing of its input.
        layer.register_forward_pre_hook(lambda _, a, k, n=name: repeat(n, a, k), with_kwargs=True)
        layer.register_forward_hook(lambda _, __, out, n=name: compare(n, out))


def _watch_half(half: nn.Module, watch: _Watch) -> None:
    """Have every leaf of the network in half be compared with what the float32 network kept, call by call."""

    def compare(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, __: object, out: object) -> None:
            if not (isinstance(out, Tensor) and out.is_floating_point()):
                return
            exact, power, count = watch.kept[name].pop(0)
            powers = watch.network.setdefault(name, _Powers())
            powers.add(exact, _some(out), signal=power, count=count)
            powers.finite &= bool(torch.isfinite(out).all())
            if not powers.finite and watch.first_lost is None:
                watch.first_lost = name

        return hook

    for name, layer in _leaves(half):
        layer.register_forward_hook(compare(name))


def _half(value: object) -> object:
    return value.half() if isinstance(value, Tensor) and value.is_floating_point() else value


def _signal(value: Tensor) -> float:
    """Return the mean square of what varies over the picture, or over the positions of `[B, N, C]`."""
    if value.ndim >= 3:
        axes = tuple(range(2, value.ndim)) if value.ndim > 3 else (1,)
        value = value - value.mean(dim=axes, keepdim=True)
    return float(value.double().square().mean())


def _some(value: Tensor) -> Tensor:
    flat = value.detach().flatten()
    return flat[:: max(1, flat.numel() // KEPT_VALUES) | 1].clone()
