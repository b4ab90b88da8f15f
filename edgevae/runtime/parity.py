"""A new engine on this device against its references, before it is kept.

    golden vectors     PyTorch fp32 when the bundle was exported; 64x64, where the engine takes that size
    ONNX Runtime fp32  on this machine's CPU, at the size that the engine was built for

Two chunks, so that the state counts. An engine that is off is not cached.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgevae.bundle import Bundle
from edgevae.engine.profile import Size
from edgevae.errors import ParityError, UnavailableError
from edgevae.frames import psnr_dB
from edgevae.runtime import golden
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.onnxruntime import OnnxRuntimeSession
from edgevae.spec import GraphSpec

FRAMES_PSNR_dB = {"fp32": 0.0, "fp16": 55.0}
"""Least PSNR of an engine's frames against the reference's; in fp32 the largest difference says it already."""

Run = Callable[[np.ndarray], np.ndarray]


def check_engine(engine: LoadedEngine, bundle: Bundle) -> dict[str, float]:
    """Return how far an engine is from its references.

    Returns:
        `golden_max` and `onnxruntime_max`, the largest difference (latents: unit scale; frames: levels of 255), and for
        a decoder `golden_psnr_dB` and `onnxruntime_psnr_dB`.

    Raises:
        ParityError: it is off by more than the tolerance, or not finite.
        UnavailableError: onnxruntime is not installed and the engine does not take the golden vectors' size.
    """
    vectors = golden.read(bundle)
    graph = engine.graph
    encodes = graph.role == "encoder"
    data = vectors["frames" if encodes else "latents"]
    figures = dict[str, float]()
    height, width = vectors["frames"].shape[1:3]
    size = Size(height=height, width=width)
    if engine.covers(size):
        expected = vectors["latents" if encodes else "decoded"]
        figures |= _compare("golden", graph, _on_device(engine, data, size), expected)
    try:
        session = _reference(bundle, graph)
    except UnavailableError as error:
        if figures:
            return figures
        raise UnavailableError(
            f"{graph.file}: a new engine is checked against ONNX Runtime before it is kept: {error}"
        ) from error
    with session:
        for size in sorted({profile.opt for profile in engine.profiles}):
            filled = _fill(data, graph, size)
            expected = _on_cpu(session, filled, size)
            got = _on_device(engine, filled, size)
            for name, value in _compare("onnxruntime", graph, got, expected).items():
                worse = min if name.endswith("dB") else max
                figures[name] = worse(figures.get(name, value), value)
    return figures


def _reference(bundle: Bundle, graph: GraphSpec) -> OnnxRuntimeSession:
    """Return the same graph on the CPU, in fp32 where the bundle has it."""
    precise = "fp32" if "fp32" in bundle.precisions else graph.precision
    reference = bundle.graph(graph.role, precise)
    return OnnxRuntimeSession(bundle.read(reference.file), reference)


def _fill(data: np.ndarray, graph: GraphSpec, size: Size) -> np.ndarray:
    """Return golden data repeated over a larger frame and, shifted, over a batch: `[chunks, B*T, ...]`."""
    chunks = len(data) // graph.chunk_length
    shape = graph.data.resolve(size.sizes())
    axes = (1, 2) if graph.role == "encoder" else (2, 3)
    wide = [-(-shape[axis] // data.shape[axis]) if axis in axes else 1 for axis in range(data.ndim)]
    cut = tuple(slice(None) if axis == 0 else slice(n) for axis, n in enumerate(shape))
    clip = np.tile(data, wide)[cut]
    clips = [np.roll(clip, 3 * b, axis=axes[1]) for b in range(size.batch)]
    return np.stack(
        [np.concatenate(part) for part in zip(*(np.split(c, chunks) for c in clips), strict=True)]
    )


def _on_device(engine: LoadedEngine, data: np.ndarray, size: Size) -> np.ndarray:
    """Return what an engine makes of chunks `[chunks, B*T, ...]` or a single clip `[N, ...]`."""
    graph = engine.graph
    shape, output = graph.data.resolve(size.sizes()), graph.outputs[0]
    state = DeviceState(Caches(engine, size), turn=0)
    parts = []
    for chunk in data.reshape(-1, *shape):
        got = np.empty(output.resolve(size.sizes()), np.dtype(output.dtype))
        engine.run(np.ascontiguousarray(chunk), got, state, stream=None)
        state = state.following()
        parts.append(got)
    return np.concatenate(parts)


def _on_cpu(session: OnnxRuntimeSession, data: np.ndarray, size: Size) -> np.ndarray:
    state = session.initial_state(batch=size.batch, height_px=size.height, width_px=size.width)
    parts = []
    for chunk in data:
        got, state = session.run(np.ascontiguousarray(chunk), state)
        parts.append(got)
    return np.concatenate(parts)


def _compare(
    against: str, graph: GraphSpec, got: np.ndarray, expected: np.ndarray
) -> dict[str, float]:
    encodes = graph.role == "encoder"
    tolerance = (golden.LATENTS_TOLERANCE if encodes else golden.FRAMES_TOLERANCE)[graph.precision]
    difference = float(np.abs(got.astype(np.float32) - expected.astype(np.float32)).max())
    if not difference <= tolerance:  # so that NaN fails
        raise ParityError(
            f"{graph.file}: its engine differs from {against} by {difference:.4g}, expected at most {tolerance:g}; "
            "it was not kept: update TensorRT, or use --precision fp32"
        )
    figures = {f"{against}_max": difference}
    if not encodes:
        psnr = psnr_dB(got, expected)
        least = FRAMES_PSNR_dB[graph.precision]
        if psnr < least:
            raise ParityError(
                f"{graph.file}: frames of its engine are {psnr:.1f} dB from {against}, expected at least {least:g} dB; "
                "it was not kept: update TensorRT, or use --precision fp32"
            )
        if math.isfinite(psnr):
            figures[f"{against}_psnr_dB"] = psnr
    return figures
