"""Give every Reshape a constant target, so that no shape is computed while the graph runs.

PyTorch's exporter computes the target of a reshape with dynamic axes from the input's shape (Shape, Slice, Mul,
Concat). Where each axis of the output is a number, or the same size as the input's axis of the same index, or the only
one left, the target is a constant:

    [4*batch, 64, 2*h, 2*w] -> [batch, 256, 2*h, 2*w]          becomes          [-1, 256, 0, 0]

In ONNX 0 copies the input's axis (with allowzero=0) and -1 is what remains. A reshape that does not fit is left alone.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


class ConstantReshape(ir.passes.InPlacePass):
    """The pass; needs the shapes that the exporter has put on the values."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place; `modified` says whether a Reshape changed."""
        modified = False
        for node in model.graph:
            if (
                node.op_type != "Reshape"
                or node.inputs[1] is None
                or node.inputs[1].const_value is not None
            ):
                continue
            target = _target(node)
            if target is None:
                continue
            name = f"{node.outputs[0].name}_target"
            constant = ir.Value(
                name=name, const_value=ir.tensor(np.array(target, np.int64), name=name)
            )
            constant.type, constant.shape = (
                ir.TensorType(ir.DataType.INT64),
                ir.Shape([len(target)]),
            )
            model.graph.register_initializer(constant)
            node.replace_input_with(1, constant)
            node.attributes["allowzero"] = ir.AttrInt64("allowzero", 0)
            modified = True
        return ir.passes.PassResult(model, modified)


def _target(node: ir.Node) -> list[int] | None:
    """Return the constant target of a Reshape, or None where there is none."""
    source, result = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None or result.shape is None:
        return None
    target: list[int] = []
    for axis, size in enumerate(result.shape):
        if isinstance(size, int):
            target.append(size)
        elif axis < len(source.shape) and _same(size, source.shape[axis]):
            target.append(0)
        else:
            target.append(-1)
    return target if target.count(-1) <= 1 else None


def _same(one: int | ir.SymbolicDim, other: int | ir.SymbolicDim) -> bool:
    """Return whether two sizes are certainly equal: the same expression; an unknown size equals nothing."""
    if isinstance(one, ir.SymbolicDim) and isinstance(other, ir.SymbolicDim):
        return one.value is not None and one.value == other.value
    return False
