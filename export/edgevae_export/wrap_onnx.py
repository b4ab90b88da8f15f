"""A graph of somebody else inside one of a bundle: uint8 frames and unit-scale latents at the boundary.

    frames uint8 [B,H,W,3] -Cast-Transpose-Div-Sub-> net -(Slice)-Sub-Div-> latents
    latents -Mul-Add-> net -Mul-Add-Clip-Round-Transpose-Cast-> frames uint8 [B,H,W,3]

Cast comes before the transpose on the way in, behind it on the way out: TensorRT lets UINT8 meet nothing but a cast.
Names inside get a prefix, so that none is one of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgevae.errors import InputError
from edgevae.spec import GraphSpec, TensorSpec
from edgevae_export.exportable import OPSET
from edgevae_export.import_spec import ImportSpec
from edgevae_export.inspect_onnx import one_line
from edgevae_export.passes import clean_up

INSIDE, BOUNDARY = "net_", "boundary_"
"""Before the names of the foreign graph, and before those of the nodes around it."""

TYPES = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


def wrap(
    model: ModelProto,
    inputs: Sequence[str],
    outputs: Sequence[str],
    spec: ImportSpec,
    graph: GraphSpec,
) -> ModelProto:
    """Return the graph of a bundle: opset 20, cleaned like one that PyTorch's exporter wrote.

    Args:
        model: Looked through (`inspect_onnx.py`).
        inputs: Its inputs in the order of `graph`.
        outputs: Its outputs likewise.
        spec: What its tensors mean.
        graph: The tensors of the result.

    Raises:
        InputError: it cannot be brought to the opset.
    """
    inner = onnx.compose.add_prefix(_converted(model), INSIDE)
    data_in, data_out = f"{INSIDE}{inputs[0]}", f"{INSIDE}{outputs[0]}"
    chain = _Chain()
    mean, std = _per_channel(spec.vae.latent_mean), _per_channel(spec.vae.latent_std)
    if graph.role == "encoder":
        before = _to_pixels(chain, spec, data_in)
        after = _to_unit_scale(chain, spec, data_out, mean, std)
    else:
        before = chain.run("latents", data_in, ("Mul", std), ("Add", mean))
        after = _to_frames(chain, spec, data_out)
    states_in = [
        helper.make_node("Identity", [ours.name], [f"{INSIDE}{theirs}"], f"{BOUNDARY}{ours.name}")
        for theirs, ours in zip(inputs[1:], graph.state, strict=True)
    ]
    states_out = [
        helper.make_node("Identity", [f"{INSIDE}{theirs}"], [ours.name], f"{BOUNDARY}{ours.name}")
        for theirs, ours in zip(outputs[1:], graph.outputs[1:], strict=True)
    ]
    body = [*before, *states_in, *inner.graph.node, *after, *states_out]
    whole = helper.make_graph(
        body,
        "edgevae",
        [_value(t) for t in graph.inputs],
        [_value(t) for t in graph.outputs],
        [*inner.graph.initializer, *chain.constants],
    )
    opset = [helper.make_opsetid("", OPSET)]
    wrapped = helper.make_model(whole, opset_imports=opset, ir_version=10)
    return ir.to_proto(clean_up(ir.from_proto(wrapped), graph))


def _converted(model: ModelProto) -> ModelProto:
    """Return the model with ONNX's own operators of our opset."""
    if {entry.version for entry in model.opset_import} == {OPSET}:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises RuntimeError and classes of its own
        version = max(entry.version for entry in model.opset_import)
        raise InputError(
            f"cannot be brought from opset {version} to {OPSET}: {one_line(error)}; export it with opset {OPSET}"
        ) from error


class _Chain:
    """Nodes one behind the other, and the constants that they take."""

    def __init__(self) -> None:
        self.constants: list[TensorProto] = []

    def run(self, start: str, end: str, *steps: tuple[object, ...]) -> list[NodeProto]:
        """Return nodes from a name to another: `(operator, constant...)`, or `(operator, attributes)`."""
        nodes = []
        for index, (operator, *rest) in enumerate(steps):
            to = end if index == len(steps) - 1 else f"{BOUNDARY}{end}_{index}"
            attributes = rest[0] if rest and isinstance(rest[0], dict) else {}
            operands = [
                start,
                *(
                    self._constant(c, f"{to}_{n}")
                    for n, c in enumerate(rest)
                    if c is not attributes
                ),
            ]
            nodes.append(
                helper.make_node(str(operator), operands, [to], f"{BOUNDARY}{to}", **attributes)
            )
            start = to
        return nodes

    def _constant(self, value: object, name: str) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), f"{BOUNDARY}{name}_value"))
        return self.constants[-1].name


def _to_pixels(chain: _Chain, spec: ImportSpec, end: str) -> list[NodeProto]:
    signed = spec.pixel_range == "-1..1"
    scale = (
        (("Div", np.float32(127.5)), ("Sub", np.float32(1)))
        if signed
        else (("Div", np.float32(255)),)
    )
    cast, transpose = ("Cast", {"to": TensorProto.FLOAT}), ("Transpose", {"perm": [0, 3, 1, 2]})
    return chain.run("frames", end, cast, transpose, *scale)


def _to_frames(chain: _Chain, spec: ImportSpec, start: str) -> list[NodeProto]:
    signed = spec.pixel_range == "-1..1"
    half = np.float32(127.5)
    scale = (("Mul", half), ("Add", half)) if signed else (("Mul", np.float32(255)),)
    limits = ("Clip", np.float32(0), np.float32(255))
    back = (("Transpose", {"perm": [0, 2, 3, 1]}), ("Cast", {"to": TensorProto.UINT8}))
    return chain.run(start, "frames", *scale, limits, ("Round",), *back)


def _to_unit_scale(
    chain: _Chain, spec: ImportSpec, start: str, mean: np.ndarray, std: np.ndarray
) -> list[NodeProto]:
    channels = np.array([spec.vae.latent_channels])
    first = ("Slice", np.array([0]), channels, np.array([1]))
    cut = (first,) if spec.encoder_gives == "moments" else ()
    return chain.run(start, "latents", *cut, ("Sub", mean), ("Div", std))


def _per_channel(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def _value(tensor: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, TYPES[tensor.dtype], tensor.shape)
