from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from edgevae_export.passes.constant_reshape import ConstantReshape
from edgevae_export.passes.portable_metadata import PortableMetadata


def reshape_model(source: str, result: str) -> ir.Model:
    """Return a model that reshapes x to a computed shape; the dimensions are as the exporter would note them."""
    text = f"""
    <ir_version: 10, opset_import: ["" : 20]>
    g (float[{source}] x, int64[k] given) => (float[{result}] y) <float[{result}] r> {{
        shape = Identity(given)
        r = Reshape<allowzero = 1>(x, shape)
        y = Relu(r)
    }}"""
    return ir.from_proto(onnx.parser.parse_model(text))


@pytest.mark.parametrize(
    ("source", "result", "target"),
    [
        ("b,64,h,w", "c,256,h,w", [-1, 256, 0, 0]),
        ("b,8,h,w", "b,8,h,v", [0, 8, 0, -1]),
        ("b,6,w,h", "b,n,w,3", [0, -1, 0, 3]),
        ("4,8,h,w", "2,16,h,w", [2, 16, 0, 0]),
    ],
)
def test_a_target_that_can_be_constant_becomes_constant(source, result, target):
    model = reshape_model(source, result)
    assert ConstantReshape()(model).modified
    node = next(n for n in model.graph if n.op_type == "Reshape")
    assert node.inputs[1].const_value.numpy().tolist() == target
    assert node.attributes["allowzero"].value == 0


@pytest.mark.parametrize(("source", "result"), [("b,64,h,w", "c,64,v,w"), ("b,8,h,w", "b,8,w,h")])
def test_a_target_with_two_unknown_axes_is_left_alone(source, result):
    model = reshape_model(source, result)
    assert not ConstantReshape()(model).modified
    assert next(n for n in model.graph if n.op_type == "Reshape").inputs[1].const_value is None


def test_metadata_of_the_exporter_is_removed():
    model = reshape_model("b,64,h,w", "c,256,h,w")
    node = next(iter(model.graph))
    node.metadata_props["pkg.torch.onnx.stack_trace"] = "File /home/somebody/model.py"
    node.doc_string = "line 3"
    PortableMetadata()(model)
    assert not node.metadata_props
    assert not node.doc_string
    assert model.producer_name == "edgevae"
