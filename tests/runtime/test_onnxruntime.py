from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgevae.bundle import Bundle
from edgevae.errors import IncompatibleError, InputError
from edgevae.runtime.onnxruntime import OnnxRuntimeSession


@pytest.fixture
def encoder(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    graph = bundle.graph("encoder", "fp32")
    return bundle.read(graph.file), graph


def test_the_output_goes_where_the_caller_wants_it(encoder, noise):
    with OnnxRuntimeSession(*encoder) as session:
        frames, out = noise(4, 16, 24, 3), np.empty((1, 4, 2, 3), np.float32)
        state = session.initial_state(batch=1, height_px=16, width_px=24)
        got, _ = session.run(frames, state, out=out)
        assert got is out
        assert np.array_equal(out, session.run(frames, state)[0])


def test_the_initial_state_is_zero_and_of_the_graphs_shape(encoder):
    with OnnxRuntimeSession(*encoder) as session:
        state = session.initial_state(batch=2, height_px=16, width_px=24)
        assert {n: t.shape for n, t in state.tensors.items()} == {
            "encoder_past_0": (2, 6, 4, 6),
            "encoder_past_1": (2, 8, 2, 3),
        }
        assert not any(t.any() for t in state.tensors.values())


@pytest.mark.parametrize(
    "data", [np.zeros((4, 8, 8, 3), np.float32), np.zeros((1, 4, 8, 8, 3), np.uint8), [1]]
)
def test_data_of_another_type_is_refused_before_the_backend_sees_it(encoder, data):
    with OnnxRuntimeSession(*encoder) as session:
        state = session.initial_state(batch=1, height_px=8, width_px=8)
        with pytest.raises(
            InputError, match=r"frames: got .*, expected a numpy array uint8 of 4 axes"
        ):
            session.run(data, state)


def test_a_file_that_is_no_graph_is_incompatible(encoder):
    with pytest.raises(
        IncompatibleError, match=r"encoder.fp32.onnx: onnxruntime .* cannot load it"
    ):
        OnnxRuntimeSession(b"not a graph", encoder[1])


def test_a_graph_with_other_tensors_than_described_is_incompatible(encoder):
    model, graph = encoder
    with pytest.raises(IncompatibleError, match="which are not those in the manifest"):
        OnnxRuntimeSession(model, replace(graph, inputs=graph.inputs[:-1]))
