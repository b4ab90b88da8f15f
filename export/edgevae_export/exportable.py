"""What is exported: a VAE as two PyTorch modules that have the tensors of the graphs, whoever wrote the network.

    our checkpoint  ->  OwnVae          \\
    diffusers       ->  ForeignVae       >  Exportable  ->  to_onnx, verify, precision  ->  bundle
    your module     ->  ForeignVae      /

Nothing behind this line asks where a network is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgevae.spec import GraphSpec, Precision, Role, TensorSpec, VaeSpec, next_name, with_dtype

if TYPE_CHECKING:
    from torch import nn

OPSET = 20
"""Of every graph: parsed by TensorRT 10.0 and later (JetPack 6 has 10.3)."""


class Exportable(Protocol):
    """A VAE with weights, in float32, ready to become graphs."""

    @property
    def spec(self) -> VaeSpec:
        """Factors, state, halo and normalisation."""

    @property
    def has_log_variance(self) -> bool:
        """Whether the encoder knows the posterior's log-variance."""

    @property
    def headroom(self) -> float:
        """How many times larger than on the calibration frames values in the network may become."""

    def graph_module(
        self, role: Role, *, chunk_frames: int, log_variance: bool = False
    ) -> nn.Module:
        """Return a new module that takes and gives what the graph does: data, then state.

        Its layers are the caller's to change, its tensors to replace, but not to write into: weights may share memory.

        Encoder: uint8 `[B*T, H, W, 3]` to float32 `[B*t, C, h, w]` of unit scale. Decoder: back. Layers whose dtype is
        changed to float16 must still fit together; `precision.halved` casts what goes into each layer with weights.
        """

    def whole_clip(self, role: Role, data: np.ndarray) -> np.ndarray:
        """Return what the network's own library makes of one whole clip, in float32: the reference of all streaming.

        Args:
            role: encoder or decoder.
            data: All frames of the clip, uint8 `[T, H, W, 3]`, or all its latents `[t, C, h, w]`.
        """


@dataclass(frozen=True)
class Source:
    """Where an `Exportable` is from."""

    exportable: Exportable
    """The VAE."""
    name: str
    """The model's name, for people."""
    weights_sha256: str
    """Digest of the weights file, or of all of them in the order of their names."""
    library: str | None = "whole clip"
    """What `whole_clip` runs, for the report; None where it has nothing to run."""


def graph_spec(
    spec: VaeSpec,
    role: Role,
    *,
    precision: Precision,
    chunk_frames: int,
    log_variance: bool = False,
) -> GraphSpec:
    """Return the tensors of a graph: data first, then state; `height` and `width` are those of the frames."""
    steps, cell = chunk_frames // spec.temporal_factor, spec.spatial_factor
    latents_shape = (
        _times(steps, "batch"),
        spec.latent_channels,
        f"height/{cell}",
        f"width/{cell}",
    )
    frames = TensorSpec(
        name="frames", dtype="uint8", shape=(_times(chunk_frames, "batch"), "height", "width", 3)
    )
    latents = TensorSpec(name="latents", dtype="float32", shape=latents_shape)
    variance = TensorSpec(name="log_variance", dtype="float32", shape=latents_shape)
    state = with_dtype(spec.state(role), "float16" if precision == "fp16" else "float32")
    data_in, data_out = (frames, [latents]) if role == "encoder" else (latents, [frames])
    if role == "encoder" and log_variance:
        data_out.append(variance)
    following = tuple(
        TensorSpec(name=next_name(s.name), dtype=s.dtype, shape=s.shape) for s in state
    )
    return GraphSpec(
        role=role,
        precision=precision,
        file=f"{role}.{precision}.onnx",
        chunk_frames=chunk_frames,
        inputs=(data_in, *state),
        outputs=(*data_out, *following),
    )


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count}*{name}"
