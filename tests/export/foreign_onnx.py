"""ONNX files as somebody else may write them: small, of an older opset, with names that are ours inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

SPEC: dict[str, Any] = {
    "pixel_range": "-1..1",
    "vae": {
        "temporal_factor": 1,
        "spatial_factor": 4,
        "latent_channels": 5,
        "encoder_halo_px": 0,
        "decoder_halo_cells": 1,
        "encoder_state": [],
        "decoder_state": [],
        "latent_mean": [0.1, 0.0, -0.1, 0.2, 0.0],
        "latent_std": [0.5, 1.0, 2.0, 0.25, 1.0],
    },
}
STATE = {"name": "past", "dtype": "float32", "shape": ["batch", 5, "height/4", "width/4"]}


def streaming_spec() -> dict[str, Any]:
    """Return the spec of the files with memory."""
    return {**SPEC, "vae": {**SPEC["vae"], "encoder_state": [STATE]}}


def encoder(
    *, memory: bool = False, opset: int = 13, channels: int = 5, reach: int = 0, **changed: Any
) -> ModelProto:
    """Return pixels to latents, which see `reach` pixels beside their cell; with memory half of the last is added."""
    result = "fresh" if memory else "moments"
    nodes = [
        helper.make_node(
            "Conv", ["pixels", "w"], ["latents"], "frames", strides=[4, 4], pads=[reach] * 4
        ),
        helper.make_node("Tanh", ["latents"], [result]),
    ]
    inputs, outputs = [value("pixels", 3)], [value("moments", channels)]
    if memory:
        nodes += [
            helper.make_node("Mul", ["past", "half"], ["faded"]),
            helper.make_node("Add", ["fresh", "faded"], ["moments"]),
            helper.make_node("Identity", ["fresh"], ["next_past"]),
        ]
        inputs.append(value("past", 5))
        outputs.insert(0, value("next_past", 5))
    weights = {
        "w": weight(channels, 3, 4 + 2 * reach, 4 + 2 * reach),
        "half": np.array(0.5, np.float32),
    }
    return model(nodes, inputs, outputs, weights, opset=opset, **changed)


def decoder(*, opset: int = 13, **changed: Any) -> ModelProto:
    """Return latents to pixels: nearest up-sampling by a constant scale, and a convolution."""
    nodes = [
        helper.make_node(
            "Resize",
            ["z", "", "scales"],
            ["up"],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        helper.make_node("Conv", ["up", "w"], ["frames"], pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["frames"], ["y"]),
    ]
    weights = {"w": weight(3, 5, 3, 3), "scales": np.array([1, 1, 4, 4], np.float32)}
    return model(nodes, [value("z", 5)], [value("y", 3)], weights, opset=opset, **changed)


def value(name: str, channels: int, *, dims: tuple[Any, Any, Any] = ("n", "h", "w")) -> Any:
    """Return float `[n, channels, h, w]`, each tensor with sizes of its own."""
    n, h, w = (f"{name}_{d}" if isinstance(d, str) else d for d in dims)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, channels, h, w])


def weight(*shape: int) -> np.ndarray:
    """Return the same random weights every time, for values of a useful size."""
    drawn = np.random.default_rng(sum(shape)).standard_normal(shape)
    return (drawn / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def model(
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: dict[str, np.ndarray],
    *,
    opset: int = 13,
    domain: str = "",
) -> ModelProto:
    """Return a model of the nodes; initializers that no node takes are left out."""
    used = {name for node in nodes for name in node.input}
    constants = [numpy_helper.from_array(w, n) for n, w in weights.items() if n in used]
    graph = helper.make_graph(nodes, "somebody's", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def write(folder: Any, *, spec: dict[str, Any] | None = None, memory: bool = False) -> list[str]:
    """Write encoder.onnx, decoder.onnx and spec.json; return the arguments of `edgevae import`."""
    import json

    onnx.save(encoder(memory=memory), folder / "encoder.onnx")
    onnx.save(decoder(), folder / "decoder.onnx")
    chosen = spec or (streaming_spec() if memory else SPEC)
    (folder / "spec.json").write_text(json.dumps(chosen))
    names = [str(folder / f"{role}.onnx") for role in ("encoder", "decoder")]
    return [*names, "--spec", str(folder / "spec.json")]
