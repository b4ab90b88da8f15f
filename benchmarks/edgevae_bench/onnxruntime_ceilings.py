"""A kernel in ONNX Runtime whose rate is a ceiling of the CPU: the 3x3 convolution that these networks are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CHANNELS, HEIGHT, WIDTH = 64, 180, 320
"""What a network has in the middle of a 720p frame."""

DEPTH = 4
"""Convolutions one behind the other, so that bringing the blocks of pixels into order at both ends counts little."""


def convolutions(*, threads: int) -> tuple[str, float, Callable[[], object]]:
    """Return name, floating-point operations of one run, and the run, in float32.

    Raises:
        ImportError: onnxruntime or onnx is not installed.
    """
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weight = np.full((CHANNELS, CHANNELS, 3, 3), 1e-3, np.float32)
    shape = [1, CHANNELS, HEIGHT, WIDTH]
    names = [f"x{i}" for i in range(DEPTH + 1)]
    nodes = [
        helper.make_node("Conv", [names[i], "weight"], [names[i + 1]], pads=[1] * 4)
        for i in range(DEPTH)
    ]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (names[0], names[-1])
    ]
    graph = helper.make_graph(
        nodes, "convolutions", ends[:1], ends[1:], [numpy_helper.from_array(weight, "weight")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feeds = {names[0]: np.ones(shape, np.float32)}
    flop = 2.0 * DEPTH * CHANNELS * CHANNELS * 9 * HEIGHT * WIDTH
    name = f"ONNX Runtime, {DEPTH} 3x3 convolutions {CHANNELS}x{HEIGHT}x{WIDTH}"
    return name, flop, lambda: session.run(None, feeds)
