"""Types of layers, in the words that TensorRT has used for them."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest

from edgevae.engine.inspection import (
    LayerTypes,
    inspect_network,
    parse_inspection,
    require_half,
)
from edgevae.errors import ParityError


def tensor(name: str, words: str) -> dict[str, object]:
    return {
        "Name": name,
        "Location": "Device",
        "Dimensions": [1, 64, 45, 80],
        "Format/Datatype": words,
    }


# Shaped after inspector output of TensorRT 8.4 to 10.13 in public issues and repositories.
CONVOLUTION_10 = {
    "Name": "node_conv2d_1 + node_relu_1",
    "LayerType": "CaskConvolution",
    "Inputs": [tensor("cat_1", "Half(64,1:8,...)")],
    "Outputs": [tensor("relu_1", "Half(64,1:8,...)")],
    "Weights": {"Type": "Half", "Count": 9408},
    "TacticName": "sm80_xmma_fprop_implicit_gemm_indexed_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize64x64x64",
}
MYELIN = {
    "Name": "__myl_CastCastAddMaxCast_myl0_3",
    "LayerType": "kgen",
    "Inputs": [tensor("left", "Half"), tensor("right", "Half")],
    "Outputs": [tensor("sum", "Float"), tensor("relu", "Half"), tensor("where", "Int64")],
    "TacticName": "__myl_CastCastAddMaxCast_0x1a2b3c",
}
MATRIX_PRODUCT = {
    "Name": "/MatMul_3_myl0_10",
    "LayerType": "gemm",
    "Inputs": [tensor("q", "Float"), tensor("k", "Float")],
    "Outputs": [tensor("qk", "Float")],
    "TacticName": "sm80_xmma_gemm_f32f32_f32f32_f32_nn_n_tilesize32x32x8_stage3",
}
WORDS_OF_8 = {
    "Name": "conv1",
    "LayerType": "CaskConvolution",
    "Outputs": [tensor("y", "Channel major FP16 format where channel % 8 == 0")],
}
DYNAMIC = {
    "Name": "conv2",
    "LayerType": "CaskConvolution",
    "Outputs": [tensor("y", "N/A due to dynamic shapes")],
    "Weights": {"Type": "Half", "Count": 9408},
}
DYNAMIC_KERNEL = {
    "Name": "deconv",
    "LayerType": "CaskDeconvolutionV2",
    "Outputs": [tensor("y", "N/A due to dynamic shapes")],
    "TacticName": "sm80_xmma_dgrad_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc",
}
DYNAMIC_POINTWISE = {
    "Name": "add",
    "LayerType": "PointWiseV2",
    "Outputs": [tensor("y", "N/A due to dynamic shapes")],
}
REFORMAT = {
    "Name": "Reformatting CopyNode for Input Tensor 0 to conv1",
    "LayerType": "Reformat",
    "Outputs": [tensor("y", "Row major linear FP32 format")],
}
BFLOAT16 = {"Name": "b", "LayerType": "kgen", "Outputs": [tensor("y", "BFloat16")]}
SHAPES = {"Name": "s", "LayerType": "kgen", "Outputs": [tensor("y", "Int64")]}


@pytest.mark.parametrize(
    ("layer", "types"),
    [
        (CONVOLUTION_10, LayerTypes(fp16=1)),
        (MYELIN, LayerTypes(fp16=1)),
        (MATRIX_PRODUCT, LayerTypes(fp32=1)),
        (WORDS_OF_8, LayerTypes(fp16=1)),
        (DYNAMIC, LayerTypes(fp16=1)),
        (DYNAMIC_KERNEL, LayerTypes(fp16=1)),
        (DYNAMIC_POINTWISE, LayerTypes(untold=1)),
        (REFORMAT, LayerTypes()),
        (BFLOAT16, LayerTypes(other=1)),
        (SHAPES, LayerTypes()),
        ("conv1 + relu1", LayerTypes(untold=1)),
    ],
)
def test_a_layer_is_counted_by_the_arithmetic_it_runs_in(layer, types):
    assert parse_inspection(json.dumps({"Layers": [layer], "Bindings": ["frames"]})) == types


def test_the_layers_of_an_engine_are_added_up():
    layers = [CONVOLUTION_10, MYELIN, MATRIX_PRODUCT, REFORMAT, DYNAMIC_POINTWISE]
    found = parse_inspection(json.dumps({"Layers": layers}))
    assert found == LayerTypes(fp16=2, fp32=1, untold=1)
    assert str(found) == "2 of 3 layers in half, 1 untold"
    assert found.half_share == pytest.approx(2 / 3)


@pytest.mark.parametrize("text", ["", "conv1\nconv2", "[]", '{"Layers": 3}', '{"Layers": [null]}'])
def test_an_inspection_that_is_none_tells_nothing(text):
    assert parse_inspection(text).told == 0


def test_an_fp16_engine_with_too_few_layers_in_half_is_an_error_that_counts_them():
    with pytest.raises(
        ParityError,
        match=r"decoder.fp16.onnx: fp16 was asked for and 4 of 44 layers in half, .*50%",
    ):
        require_half(LayerTypes(fp16=4, fp32=40), what="decoder.fp16.onnx")
    with pytest.raises(ParityError, match="0 of 0 layers in half, 9 in other types"):
        require_half(LayerTypes(other=9), what="decoder.fp16.onnx")
    with pytest.raises(ParityError, match="0 of 0 layers in half"):
        require_half(LayerTypes(), what="decoder.fp16.onnx")


def test_an_engine_is_asked_for_the_half_that_its_network_has():
    mixed = LayerTypes(fp16=30, fp32=178)
    require_half(mixed, what="decoder.fp16.onnx", is_built=True, least=0.5 * 0.2)
    with pytest.raises(ParityError, match=r"30 of 208 layers in half, expected at least 45%"):
        require_half(mixed, what="decoder.fp16.onnx", is_built=True, least=0.5 * 0.9)


def test_an_fp16_engine_in_half_passes():
    require_half(LayerTypes(fp16=40, fp32=10), what="decoder.fp16.onnx")


@pytest.mark.parametrize(
    ("types", "words"),
    [
        (LayerTypes(untold=30), "of 0 layers and of 30 not"),
        (LayerTypes(untold=30, fp32=29), "of 29 layers and of 30 not"),
        # A network in one fused region, with the cast of its output beside it.
        (LayerTypes(fp32=1), "of 1 layers and of 0 not"),
        (LayerTypes(fp32=3), "of 3 layers and of 0 not"),
    ],
)
def test_an_engine_that_tells_next_to_nothing_is_said_to_be_unchecked(caplog, types, words):
    with caplog.at_level(logging.WARNING, "edgevae"):
        require_half(types, what="decoder.fp16.onnx", is_built=True)
    assert f"decoder.fp16.onnx: TensorRT tells the type {words}; not checked" in caplog.text


def test_an_engine_that_tells_enough_is_refused_and_so_is_a_network_that_tells_little(caplog):
    for types in (LayerTypes(fp32=4), LayerTypes(fp32=30, untold=30)):
        with pytest.raises(ParityError, match="fp16 was asked for"):
            require_half(types, what="decoder.fp16.onnx", is_built=True)
    for types in (LayerTypes(fp32=3), LayerTypes(fp32=3, untold=30)):
        with pytest.raises(ParityError, match="fp16 was asked for"):
            require_half(types, what="decoder.fp16.onnx")
    assert not caplog.records


def network(*layers: tuple[str, str]) -> SimpleNamespace:
    """Return a parsed network as the bindings show it, of kinds of layers and the types of their outputs."""
    found = [
        SimpleNamespace(
            type=SimpleNamespace(name=kind),
            num_outputs=1,
            get_output=lambda _, t=dtype: SimpleNamespace(dtype=SimpleNamespace(name=t)),
        )
        for kind, dtype in layers
    ]
    return SimpleNamespace(num_layers=len(found), get_layer=lambda i: found[i])


def test_of_a_network_only_the_layers_that_work_count_where_it_has_any():
    norm = [("REDUCE", "FLOAT"), ("ELEMENTWISE", "FLOAT"), ("UNARY", "FLOAT")]
    mixed = inspect_network(network(("CONVOLUTION", "HALF"), *norm, ("MATRIX_MULTIPLY", "HALF")))
    assert mixed == LayerTypes(fp16=2)
    require_half(mixed, what="mixed")
    single = inspect_network(network(("CONVOLUTION", "FLOAT"), ("ELEMENTWISE", "HALF")))
    with pytest.raises(ParityError, match="0 of 1 layers in half"):
        require_half(single, what="single")
    assert inspect_network(network(*norm)) == LayerTypes(fp32=3)
