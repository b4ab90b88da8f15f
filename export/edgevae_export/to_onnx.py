"""A network as an ONNX graph."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from edgevae.spec import GraphSpec, TensorSpec
from edgevae_export.exportable import OPSET
from edgevae_export.passes import clean_up

EXAMPLE = {"batch": 2, "height": 6, "width": 10}
"""Sizes of the traced example, in latent cells. All differ, and none is 1, which the exporter bakes in (torch 2.13)."""


def to_onnx(module: nn.Module, graph: GraphSpec) -> bytes:
    """Return the ONNX file of a module: opset 20, batch, H and W dynamic, no external data, no custom operators."""
    import onnx_ir as ir

    cell = _cell_px(graph)
    example = tuple(_example(spec, cell=cell) for spec in graph.inputs)
    with _quiet():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=[t.name for t in graph.inputs],
            output_names=[t.name for t in graph.outputs],
            dynamic_shapes=_dynamic_shapes(graph.inputs, cell=cell),
            verbose=False,
        )
    assert program is not None, "torch.onnx.export returns a program when it is given no path"
    model = clean_up(program.model, graph)
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def _cell_px(graph: GraphSpec) -> int:
    """Return what height and width are multiples of: every division in the shapes leaves no remainder."""
    shapes = [t.shape for t in (*graph.inputs, *graph.outputs)]
    return math.lcm(*(_over(dim) for shape in shapes for dim in shape if isinstance(dim, str)))


def _example(spec: TensorSpec, *, cell: int) -> Tensor:
    scale = {"batch": 1, "height": cell, "width": cell}
    shape = spec.resolve({name: cells * scale[name] for name, cells in EXAMPLE.items()})
    if spec.dtype == "uint8":
        return torch.zeros(shape, dtype=torch.uint8)
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


def _dynamic_shapes(
    inputs: tuple[TensorSpec, ...], *, cell: int
) -> tuple[Any, ...]:  # Any: nested as the exporter wants it
    """Return the exporter's description of the inputs: `height/4` is twice the unit of `height/8`, and so on."""
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
