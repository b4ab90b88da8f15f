"""How much work an ONNX graph is at one size: floating-point operations, and the bytes that must be moved at least.

Counted are convolutions and matrix products, 2 operations per multiplication; the rest is below 1 % in these networks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgevae.spec import GraphSpec


@dataclass(frozen=True, kw_only=True)
class GraphWork:
    """What one call of a graph is."""

    operators: dict[str, int]
    """Nodes by operator."""
    gflop: float | None
    """Billions of operations; None where a shape is not known."""
    least_bytes: int
    """Inputs, outputs and weights, once each."""


def count(model: bytes, graph: GraphSpec, sizes: Mapping[str, int]) -> GraphWork | None:
    """Return the work of one call; None where the package `onnx` is not installed.

    Args:
        model: The ONNX file.
        graph: Its description.
        sizes: batch, height and width, whole latent cells.
    """
    try:
        import onnx
    except ImportError:
        return None
    proto = onnx.load_from_string(model)
    shapes = {spec.name: spec.resolve(sizes) for spec in (*graph.inputs, *graph.outputs)}
    for value in (*proto.graph.input, *proto.graph.output):
        if value.name in shapes:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, shapes[value.name], strict=True):
                dim.dim_value = size
    del proto.graph.value_info[:]  # they have the names of dimensions, not their sizes
    proto = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    weights = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    known = _shapes(proto.graph) | weights
    flops = [_flop(node, known) for node in proto.graph.node]
    moved = [math.prod(s.resolve(sizes)) * _WIDTH[s.dtype] for s in (*graph.inputs, *graph.outputs)]
    stored = sum(t.ByteSize() for t in proto.graph.initializer)
    return GraphWork(
        operators=dict(Counter(node.op_type for node in proto.graph.node).most_common()),
        gflop=None if None in flops else sum(filter(None, flops)) / 1e9,
        least_bytes=sum(moved) + stored,
    )


_WIDTH = {"uint8": 1, "float16": 2, "float32": 4}
"""Bytes of one value."""


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:  # Any: onnx.GraphProto
    """Return the shapes that are wholly known."""
    found = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if all(dim.dim_value > 0 for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found


def _flop(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int | None:  # Any: onnx.NodeProto
    """Return the operations of a node, 0 for those that are not counted, None where a shape is not known."""
    if node.op_type not in ("Conv", "ConvTranspose", "MatMul", "Gemm"):
        return 0
    first, second = (shapes.get(name) for name in node.input[:2])
    output = shapes.get(node.output[0])
    if first is None or second is None or output is None:
        return None
    if node.op_type == "Conv":  # weights are [out, in / groups, *kernel]
        return 2 * math.prod(output) * math.prod(second[1:])
    if node.op_type == "ConvTranspose":  # weights are [in, out / groups, *kernel]
        return 2 * math.prod(first) * math.prod(second[1:])
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return 2 * math.prod(output) * first[-2 if transposed else -1]
