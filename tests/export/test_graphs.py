"""The exported graphs: clean, portable, equal to PyTorch, and accepted by NVIDIA's builder."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgevae.bundle import Bundle
from edgevae.errors import ParityError
from edgevae.nn import load_checkpoint
from edgevae_export import to_tensorrt, verify
from edgevae_export.exportable import OPSET
from edgevae_export.own import OwnVae
from edgevae_export.runs import onnx_runs

GRAPHS = [
    (kind, role, p)
    for kind in ("video", "image")
    for role in ("encoder", "decoder")
    for p in ("fp32", "fp16")
]


@pytest.fixture(params=GRAPHS, ids=lambda g: "-".join(g))
def graph(request, tiny_bundle, tiny_image_bundle):
    kind, role, precision = request.param
    bundle = Bundle.open({"video": tiny_bundle, "image": tiny_image_bundle}[kind])
    spec = bundle.graph(role, precision)
    return bundle.read(spec.file), spec


def test_a_graph_is_valid_and_computes_no_shapes(graph):
    model = onnx.load_from_string(graph[0])
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    operators = {node.op_type for node in model.graph.node}
    assert operators.isdisjoint({"Shape", "Gather", "Identity", "Loop", "If", "GroupNormalization"})


def test_a_graph_has_the_tensors_of_its_description(graph):
    model, spec = onnx.load_from_string(graph[0]), graph[1]
    for values, tensors in ((model.graph.input, spec.inputs), (model.graph.output, spec.outputs)):
        for value, tensor in zip(values, tensors, strict=True):
            dims = tuple(d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim)
            dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            assert (value.name, dims, dtype) == (tensor.name, tensor.shape, np.dtype(tensor.dtype))


def test_a_graph_has_no_external_data_and_nothing_of_the_machine_that_wrote_it(graph):
    model = onnx.load_from_string(graph[0])
    assert all(t.data_location == TensorProto.DEFAULT for t in model.graph.initializer)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    for trace in (b"site-packages", b"/home", b".py", b"File "):
        assert trace not in graph[0]


@pytest.mark.skipif(
    not to_tensorrt.is_installed(), reason="tensorrt-rtx is not installed (edgevae[tensorrt-rtx])"
)
def test_tensorrts_builder_makes_an_engine_of_a_graph(graph):
    result = to_tensorrt.check_build(*graph)
    assert result.built
    assert result.engine_bytes > 10_000


@pytest.mark.skipif(
    not to_tensorrt.is_installed(), reason="tensorrt-rtx is not installed (edgevae[tensorrt-rtx])"
)
def test_tensorrts_builder_can_refuse(tiny_bundle):
    """A UINT8 tensor may meet nothing but a Cast."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, [1, 8, 8, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 3, 8, 8])
    nodes = [
        helper.make_node("Transpose", ["frames"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["t"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["c", "w"], ["out"], pads=[1, 1, 1, 1]),
    ]
    weight = onnx.numpy_helper.from_array(np.ones((3, 3, 3, 3), np.float32), "w")
    model = helper.make_model(
        helper.make_graph(nodes, "g", [frames], [out], [weight]),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    spec = Bundle.open(tiny_bundle).graph("encoder", "fp32")
    with pytest.raises(
        ParityError, match=r"encoder.fp32.onnx: tensorrt_rtx .* cannot .*; report this graph"
    ):
        to_tensorrt.check_build(model.SerializeToString(), spec)


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("size", [(8, 8), (40, 24), (72, 96)])
def test_exported_graphs_equal_pytorch_over_three_chunks_of_any_size(
    kind, size, tiny_bundle, noise
):
    bundle = Bundle.open(tiny_bundle.with_name(f"tiny-{kind}.bundle"))
    vae = load_checkpoint(tiny_bundle.with_name(f"tiny-{kind}.checkpoint"))
    chunk = bundle.graph("encoder", "fp32").chunk_frames
    clips = {"noise": noise(3 * chunk, *size, 3)}
    reference = verify.references(OwnVae(vae), clips, chunk_frames=chunk)["noise"]
    runs = onnx_runs(
        [(bundle.read(g.file), g) for g in bundle.manifest.graphs if g.precision == "fp32"],
        vae.spec,
    )
    found = verify.compare(reference, runs, runner="onnxruntime", precision="fp32", sample="noise")
    assert found.latents_max_difference <= 1e-5
    assert found.frames_max_levels <= 1
