"""A VAE of your own: any `nn.Module` with `encode`, `decode` and a `spec`, made by a function of yours.

    def build() -> nn.Module            `--module package.mod:build`; weights come from `--checkpoint`
        .spec                           edgevae.spec.VaeSpec: factors, halo, state, normalisation
        .encode(pixels, *state)         [B*T, 3, H, W] in -1..1 -> latents [B*t, C, h, w], own scale, and the next state
        .decode(latents, *state)        back

Without state `encode` and `decode` may give the tensor alone. A module with memory finds T in `self.chunk_frames`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgevae.errors import InputError, IntegrityError
from edgevae.spec import Role, VaeSpec
from edgevae_export.exportable import Source, graph_spec
from edgevae_export.foreign import ForeignVae, state_sha256
from edgevae_export.halo_check import require_halos
from edgevae_export.runs import torch_runs


class Encode(nn.Module):
    """The `encode` of a user's module, as a module."""

    wraps = "module"  # see layer_names.py

    def __init__(self, module: Any) -> None:  # Any: the user's, here and below
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor, *state: Tensor) -> tuple[Any, ...]:
        self.module.chunk_frames = self.chunk_frames
        latents, *following = _tuple(self.module.encode(pixels, *state))
        return (latents, None, *following)


class Decode(nn.Module):
    """The `decode` of a user's module, as a module."""

    wraps = "module"  # see layer_names.py

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Any, ...]:
        self.module.chunk_frames = self.chunk_frames
        return _tuple(self.module.decode(latents, *state))


def open_module(name: str, weights: Path | None) -> Source:
    """Return the VAE that a user's function builds.

    Args:
        name: `package.mod:build`; the current folder is searched first.
        weights: In safetensors, with the names of the module's `state_dict`; without it as the function leaves them.

    Raises:
        InputError: no such function, or what it builds is not what an export needs.
        ConfigError: a halo of its spec is too small.
        IntegrityError: the weights are damaged.
    """
    module = _build(name)
    if weights is not None:
        _load(module, weights)
    spec: VaeSpec = module.spec
    alone = spec.temporal_factor == 1 and not (spec.encoder_state or spec.decoder_state)
    foreign = ForeignVae(
        spec=spec,
        encoder=Encode(module),
        decoder=Decode(module),
        own=module,
        whole=lambda role, data: _one_by_one(module, role, data),
        has_log_variance=False,
    )
    _try_out(foreign, name=name)
    chunk = spec.temporal_factor
    runs = torch_runs(foreign, precision="fp32", chunk_frames=chunk)
    require_halos(runs, spec, chunk_frames=chunk, where=f"--module {name}")
    return Source(
        foreign,
        name.partition(":")[0],
        state_sha256(module.state_dict()),
        library="one by one" if alone else None,
    )


def _build(name: str) -> Any:
    package, _, function = name.partition(":")
    if not (package and function):
        raise InputError(f"--module {name}: expected package.mod:build, a module and a function")
    sys.path.insert(0, str(Path.cwd()))
    try:
        build = getattr(importlib.import_module(package), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"--module {name}: {error}; it is searched in {Path.cwd()} and in the installed packages"
        ) from error
    finally:
        sys.path.pop(0)
    module = build()
    missing = [m for m in ("encode", "decode") if not callable(getattr(module, m, None))]
    missing += [] if isinstance(getattr(module, "spec", None), VaeSpec) else ["spec"]
    if missing or not isinstance(module, nn.Module):
        what = f"without {', '.join(missing)}" if missing else "that is no torch.nn.Module"
        raise InputError(
            f"--module {name}: gives a {type(module).__name__} {what}; expected a torch.nn.Module with encode, decode "
            "and spec (an edgevae.spec.VaeSpec)"
        )
    network: nn.Module = module
    return network.float().eval()


def _load(module: nn.Module, weights: Path) -> None:
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; expected weights in safetensors")
    try:
        module.load_state_dict(load_file(weights))
    except SafetensorError as error:
        raise IntegrityError(f"{weights}: damaged, or no safetensors file ({error})") from error
    except RuntimeError as error:
        why = " ".join(str(error).split())[:300]
        raise InputError(f"{weights}: does not fit the module: {why}") from error


@torch.no_grad()
def _try_out(foreign: ForeignVae, *, name: str) -> None:
    """Run both directions once and compare all shapes with the spec, before minutes are spent."""
    spec = foreign.spec
    sizes = {"batch": 2, "height": 4 * spec.spatial_factor, "width": 6 * spec.spatial_factor}
    roles: tuple[Role, ...] = ("encoder", "decoder")
    for role in roles:
        graph = graph_spec(spec, role, precision="fp32", chunk_frames=spec.temporal_factor)
        inputs = [
            torch.zeros(t.resolve(sizes), dtype=getattr(torch, t.dtype)) for t in graph.inputs
        ]
        method = "encode" if role == "encoder" else "decode"
        try:
            outputs = foreign.graph_module(role, chunk_frames=spec.temporal_factor)(*inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            why = " ".join(str(error).split())[:300]
            raise InputError(f"--module {name}: {method} fails on {sizes}: {why}") from error
        got = [list(t.shape) for t in outputs]
        wanted = [list(t.resolve(sizes)) for t in graph.outputs]
        if got != wanted:
            raise InputError(
                f"--module {name}: {method} gives, with frames channels last, {got} on {sizes}, its spec says {wanted}"
            )


def _one_by_one(module: Any, role: Role, data: Tensor) -> Tensor:
    """Return what a module makes of pictures that are given to it one by one."""
    method = module.encode if role == "encoder" else module.decode
    return torch.cat([_tuple(method(one[None]))[0] for one in data])


def _tuple(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)
