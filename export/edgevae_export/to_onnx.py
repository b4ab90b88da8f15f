"""A network as an ONNX graph."""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edgevae.nn import Vae
from edgevae.nn.graph import DecoderGraph, EncoderGraph
from edgevae.spec import GraphSpec, Precision, Role, TensorSpec, next_name, with_dtype
from edgevae_export import precision as half
from edgevae_export.passes import clean_up

OPSET = 20
"""Parsed by TensorRT 10.0 and later (JetPack 6 has 10.3)."""

EXAMPLE_PX = {"batch": 2, "height": 48, "width": 80}
"""Sizes of the traced example. All differ, and none is 1, which the exporter would bake in (torch 2.13)."""


def graph_module(
    vae: Vae, role: Role, *, precision: Precision, chunk_frames: int, log_variance: bool = False
) -> nn.Module:
    """Return the PyTorch module that is exported; for fp16 a copy of the network in half precision."""
    network = half.halved(vae) if precision == "fp16" else copy.deepcopy(vae)
    if role == "encoder":
        return EncoderGraph(network, chunk_frames=chunk_frames, log_variance=log_variance).eval()
    return DecoderGraph(network, chunk_frames=chunk_frames).eval()


def graph_spec(
    vae: Vae, role: Role, *, precision: Precision, chunk_frames: int, log_variance: bool = False
) -> GraphSpec:
    """Return the tensors of a graph: data first, then state; `height` and `width` are those of the frames."""
    spec = vae.spec
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


def to_onnx(module: nn.Module, graph: GraphSpec) -> bytes:
    """Return the ONNX file of a module: opset 20, batch, H and W dynamic, no external data, no custom operators."""
    import onnx_ir as ir

    example = tuple(_example(spec) for spec in graph.inputs)
    with _quiet():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[t.name for t in graph.inputs],
            output_names=[t.name for t in graph.outputs],
            dynamic_shapes=_dynamic_shapes(graph.inputs),
            verbose=False,
        )
    assert program is not None, "torch.onnx.export returns a program when it is given no path"
    model = clean_up(program.model, graph)
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def _example(spec: TensorSpec) -> Tensor:
    shape = spec.resolve(EXAMPLE_PX)
    if spec.dtype == "uint8":
        return torch.zeros(shape, dtype=torch.uint8)
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


def _dynamic_shapes(
    inputs: tuple[TensorSpec, ...],
) -> tuple[Any, ...]:  # Any: nested as the exporter wants it
    """Return the exporter's description of the inputs: `height/4` is twice the unit of `height/8`, and so on."""
    cell = math.lcm(*(_over(dim) for t in inputs for dim in t.shape if isinstance(dim, str)))
    units = {name: torch.export.Dim(name, min=1) for name in ("batch", "height", "width")}
    shapes = [
        {
            axis: _symbol(dim, units, cell=cell)
            for axis, dim in enumerate(t.shape)
            if isinstance(dim, str)
        }
        for t in inputs
    ]
    return (
        (shapes[0], tuple(shapes[1:])) if shapes[1:] else (shapes[0],)
    )  # the state is one `*state`, if any


def _symbol(
    dim: str, units: dict[str, Any], *, cell: int
) -> Any:  # Any: torch.export.Dim and its multiples
    name = dim.split("*")[-1].split("/")[0]
    times = int(dim.split("*")[0]) if "*" in dim else 1
    factor = times if name == "batch" else times * cell // _over(dim)
    return units[name] if factor == 1 else factor * units[name]


def _over(dim: str) -> int:
    return int(dim.split("/")[1]) if "/" in dim else 1


def _times(count: int, name: str) -> str:
    return name if count == 1 else f"{count}*{name}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch 2.13's exporter says of torchvision, its own deprecated calls and its axis names."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", message=".*axis name.*", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)
