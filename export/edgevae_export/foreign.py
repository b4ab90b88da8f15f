"""A network that somebody else wrote as what is exported: pixels and latents become frames and unit-scale latents.

    uint8 frames -> [-1..1 pixels] -> encoder -> own scale -> unit scale -> latents
    uint8 frames <- [-1..1 pixels] <- decoder <- own scale <- unit scale <- latents

The arithmetic at the boundary stays in float32, as in `edgevae.nn.graph`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgevae.spec import Role, VaeSpec
from edgevae_export.precision import HEADROOM

WholeClip = Callable[[Role, Tensor], Tensor]
"""A library's own call on one clip: pixels `[T, 3, H, W]` in -1..1 to latents `[t, C, h, w]`, or back; own scale."""


@dataclass(frozen=True, kw_only=True)
class ForeignVae:
    """Two modules and what a runtime must know of them.

    Before a graph is made of a module its attribute `chunk_frames` is set to T, which a video network needs to tell the
    frames of one clip from those of the next.
    """

    spec: VaeSpec
    """Factors, state, halo and normalisation."""
    encoder: nn.Module
    """Pixels `[B*T, 3, H, W]` in -1..1 and state to the mean, the log-variance or None, and the next state.

    Mean and log-variance are `[B*t, C, h, w]` in the network's own scale.
    """
    decoder: nn.Module
    """Latents `[B*t, C, h, w]` in the network's own scale and state to pixels `[B*T, 3, H, W]` and the next state."""
    own: nn.Module
    """The library's own model."""
    whole: WholeClip
    """What that makes of a clip."""
    has_log_variance: bool
    """Whether the encoder gives one."""
    headroom: float = HEADROOM
    """How many times larger than on the calibration frames values in the network may become."""

    def graph_module(
        self, role: Role, *, chunk_frames: int, log_variance: bool = False
    ) -> nn.Module:
        """Return the boundary around a copy of the encoder or decoder; its weights share memory with this one's."""
        network = shared_copy(self.encoder if role == "encoder" else self.decoder)
        network.chunk_frames = chunk_frames  # type: ignore[assignment]  # a plain attribute, see the class
        if role == "encoder":
            return ForeignEncoder(network, spec=self.spec, log_variance=log_variance).eval()
        return ForeignDecoder(network, spec=self.spec).eval()

    def library_module(self, role: Role) -> nn.Module:
        """Return the boundary around the library's own call on one clip, for models without state."""
        return LibraryCall(self.own, self.whole, role=role, spec=self.spec).eval()

    @torch.inference_mode()
    def whole_clip(self, role: Role, data: np.ndarray) -> np.ndarray:
        """Return what the library makes of a clip."""
        (result,) = self.library_module(role)(torch.from_numpy(data))
        return np.ascontiguousarray(result.numpy())


class ForeignEncoder(nn.Module):
    """uint8 frames `[B*T, H, W, 3]` and state to latents float32 `[B*t, C, h, w]` and the next state."""

    wraps = "network"  # see layer_names.py

    def __init__(self, network: nn.Module, *, spec: VaeSpec, log_variance: bool) -> None:
        super().__init__()
        self.network, self.log_variance = network, log_variance
        self.latent_mean, self.latent_std = (nn.Buffer(t) for t in _normalisation(spec))

    def forward(self, frames: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        mean, log_variance, *following = self.network(to_pixels(frames), *state)
        latents = (mean.float() - self.latent_mean) / self.latent_std
        outputs = [latents]
        if self.log_variance:
            outputs.append(log_variance.float() - 2.0 * torch.log(self.latent_std))
        return (*outputs, *_like(following, state))


class ForeignDecoder(nn.Module):
    """Latents float32 `[B*t, C, h, w]` and state to uint8 frames `[B*T, H, W, 3]` and the next state."""

    wraps = "network"  # see layer_names.py

    def __init__(self, network: nn.Module, *, spec: VaeSpec) -> None:
        super().__init__()
        self.network = network
        self.latent_mean, self.latent_std = (nn.Buffer(t) for t in _normalisation(spec))

    def forward(self, latents: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        own_scale = latents * self.latent_std + self.latent_mean
        pixels, *following = self.network(own_scale, *state)
        return (to_frames(pixels), *_like(following, state))


class LibraryCall(nn.Module):
    """What a library makes of one clip, with frames and latents as the graphs have them; its weights are not copied.

    Args:
        own: The library's model; its parameters may be float32 or float16.
        whole: Its call.
        role: encoder or decoder.
        spec: Of the model.
    """

    def __init__(self, own: nn.Module, whole: WholeClip, *, role: Role, spec: VaeSpec) -> None:
        super().__init__()
        self.network, self._whole, self._role = own, whole, role
        self.latent_mean, self.latent_std = (nn.Buffer(t) for t in _normalisation(spec))

    def forward(self, data: Tensor) -> tuple[Tensor]:
        dtype = next(self.network.parameters()).dtype
        if self._role == "encoder":
            own_scale = self._whole("encoder", to_pixels(data).to(dtype)).float()
            return ((own_scale - self.latent_mean) / self.latent_std,)
        own_scale = data * self.latent_std + self.latent_mean
        return (to_frames(self._whole("decoder", own_scale.to(dtype))),)


def shared_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a module whose tensors are its own to replace, but not to write into: they share memory.

    The weights of a large model are most of it; an export holds several copies of one.
    """
    shared: dict[int, object] = {
        id(p): nn.Parameter(p.data, requires_grad=p.requires_grad) for p in module.parameters()
    }
    shared |= {id(b): b.detach() for b in module.buffers()}
    return copy.deepcopy(module, shared)


def to_pixels(frames: Tensor) -> Tensor:
    """Return float32 `[N, 3, H, W]` in -1..1 of uint8 `[N, H, W, 3]`."""
    # Cast before the transpose: TensorRT lets a UINT8 input meet nothing but a cast.
    return frames.float().permute(0, 3, 1, 2) / 127.5 - 1.0


def to_frames(pixels: Tensor) -> Tensor:
    """Return uint8 `[N, H, W, 3]` of `[N, 3, H, W]` in -1..1."""
    levels = torch.round(torch.clamp(pixels.float() * 127.5 + 127.5, 0.0, 255.0))
    return levels.permute(0, 2, 3, 1).to(torch.uint8)


def _normalisation(spec: VaeSpec) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the latents, float32 `[C, 1, 1]`."""
    mean, std = (
        torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)
        for values in (spec.latent_mean, spec.latent_std)
    )
    return mean, std


def _like(following: list[Tensor], state: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the next state in the dtype of the last one: layers that compute in float32 give float32."""
    return [new.to(old.dtype) for new, old in zip(following, state, strict=True)]


def state_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of weights by name, shape, type and value, whatever file they are from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
