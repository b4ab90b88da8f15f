"""What ran: graphs of a bundle or engines built from them, named by their digests, and how much work they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GraphFacts:
    """One graph."""

    role: str
    """encoder or decoder."""
    sha256: str
    """Of the ONNX graph; of the weights file where PyTorch ran."""
    plan_sha256: str | None
    """Of the TensorRT plan that was built from it; None on other backends."""
    layer_types: dict[str, int]
    """Layers by type: operators of the ONNX graph, or of an engine the arithmetic of its layers."""
    profile: str | None
    """Of the engine: the sizes that it takes; None on other backends."""
    gflop: float | None
    """Billions of floating-point operations of one call: 2 per multiplication of a convolution or matrix product. None
    where they could not be counted."""
    least_bytes: int | None
    """Bytes that one call must at least move: data, state and weights, once each; None as `gflop`."""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """What a subject ran."""

    graphs: tuple[GraphFacts, ...]
    """Encoder, decoder."""
    has_cuda_graphs: bool | None
    """Whether calls are replayed as CUDA graphs; None where the backend has none."""
    note: str | None = None
    """What could not be found out, and why."""
