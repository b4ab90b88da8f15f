"""What is exported: a VAE as two PyTorch modules that have the tensors of the graphs, whoever wrote the network.

    our checkpoint  ->  OwnVae          \\
    diffusers       ->  ForeignVae       >  Exportable  ->  to_onnx, verify, precision  ->  bundle
    your module     ->  ForeignVae      /

Nothing behind this line asks where a network is from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from edgevae.roles import FLOWS, VAE
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


class Part(Protocol):
    """A further network of a model, in the latent grid of its VAE: what predicts latents, or makes them of noise."""

    @property
    def role(self) -> Role:
        """Of its graph; one that gives latents."""

    @property
    def chunk_steps(self) -> int:
        """Latent steps of one call."""

    @property
    def state(self) -> tuple[TensorSpec, ...]:
        """Its caches, float32, in order; zeros at the start of a clip."""

    def module(self) -> nn.Module:
        """Return a new module, float32, whose `forward(data, *state)` gives what the graph does: data, then state."""


@runtime_checkable
class SelfDescribed(Protocol):
    """A part whose tensors do not follow from the VAE's specification: of a sense, or between senses."""

    def graph(self, precision: Precision) -> GraphSpec:
        """Return the tensors of its graph."""


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
    parts: tuple[Part, ...] = ()
    """What else the model has, of one number of steps."""
    roles: tuple[Role, ...] = VAE
    """What the exportable has itself: both halves of a VAE, or a decoder alone (`decoder_alone.py`)."""
    picture_px: tuple[int, int] | None = None
    """Height and width of the pictures that it makes of noise, where it makes any."""


def graph_spec(
    spec: VaeSpec,
    role: Role,
    *,
    precision: Precision,
    chunk_frames: int,
    log_variance: bool = False,
    state: tuple[TensorSpec, ...] | None = None,
) -> GraphSpec:
    """Return the tensors of a graph: data first, then state; `height` and `width` are those of the frames.

    Args:
        spec: Of the VAE.
        role: Of the graph.
        precision: Of its arithmetic and its state.
        chunk_frames: Frames that one call stands for.
        log_variance: Whether an encoder also gives that.
        state: Its caches; those of an encoder or decoder are in the specification.
    """
    steps, cell, flow = chunk_frames // spec.temporal_factor, spec.spatial_factor, FLOWS[role]
    latents = TensorSpec(
        name="latents",
        dtype="float32",
        shape=(_times(steps, "batch"), spec.latent_channels, f"height/{cell}", f"width/{cell}"),
    )
    kinds = {
        "frames": TensorSpec(
            name="frames",
            dtype="uint8",
            shape=(_times(chunk_frames, "batch"), "height", "width", 3),
        ),
        "latents": latents,
        "noise": replace(latents, name="noise"),
    }
    given = kinds[flow.gives]
    # Like a state: what goes in once more by its own name comes out as the next of it.
    data_out = [replace(given, name=next_name(given.name)) if flow.takes == flow.gives else given]
    if role == "encoder" and log_variance:
        data_out.append(replace(latents, name="log_variance"))
    kept = spec.state(role) if state is None else state
    caches = with_dtype(kept, "float16" if precision == "fp16" else "float32")
    following = tuple(
        TensorSpec(name=next_name(s.name), dtype=s.dtype, shape=s.shape) for s in caches
    )
    return GraphSpec(
        role=role,
        precision=precision,
        file=f"{role}.{precision}.onnx",
        chunk_frames=chunk_frames,
        inputs=(kinds[flow.takes], *caches),
        outputs=(*data_out, *following),
    )


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count}*{name}"
