"""A new engine on this device against its references, before it is kept.

    golden vectors     PyTorch fp32 when the bundle was exported; 64x64, where the engine takes that size
    ONNX Runtime fp32  on this machine's CPU, at the sizes that the engine was built for: of a range min, opt and max

Two chunks, so that the state counts. An engine that is off is not cached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgevae.bundle import Bundle
from edgevae.engine.profile import Profile, Size
from edgevae.errors import ParityError, UnavailableError
from edgevae.frames import psnr_dB
from edgevae.runtime import golden
from edgevae.runtime.caches import Caches, DeviceState
from edgevae.runtime.loaded_engine import LoadedEngine
from edgevae.runtime.onnxruntime import OnnxRuntimeSession
from edgevae.spec import GraphSpec

FRAMES_PSNR_dB = {"fp32": 0.0, "fp16": 55.0}
"""Least PSNR of an engine's frames against the reference's; in fp32 the largest difference says it already."""


@dataclass(frozen=True)
class Reference:
    """What an engine must make of some data."""

    against: str
    """`golden` or `onnxruntime`."""
    size: Size
    """Of the frames."""
    data: np.ndarray
    """`[chunks, B*T, ...]`: what goes into the graph."""
    expected: np.ndarray
    """`[chunks*B*T, ...]`: what comes out, without the lead."""
    lead: int = 0
    """Frames at the start of what comes out that stand for nothing."""


def references(
    bundle: Bundle, graph: GraphSpec, profiles: tuple[Profile, ...]
) -> tuple[Reference, ...]:
    """Return what an engine of a graph has to reproduce: golden vectors, and each size that its profiles name.

    ONNX Runtime computes the latter here and is closed again, so that its memory and the engine's are not taken at
    once. It needs host memory for a chunk's activations in fp32 at the largest size: 1.1 GB for `edgevae-video-xs` at
    1080p, and as much again for each further clip of a batch. Kept are only data and results, two chunks a size.

    Args:
        bundle: The model.
        graph: One of its graphs.
        profiles: Those of the engine; of a range its min, opt and max are computed.

    Raises:
        UnavailableError: onnxruntime is not installed and no profile takes the golden vectors' size.
    """
    data, found = _golden(bundle, graph, profiles)
    try:
        session = _on_cpu(bundle, graph)
    except UnavailableError as error:
        if found:
            return found
        raise UnavailableError(
            f"{graph.file}: a new engine is checked against ONNX Runtime before it is kept: {error}"
        ) from error
    sizes = {size for profile in profiles for size in (profile.min, profile.opt, profile.max)}
    with session:
        for size in sorted(sizes):
            filled = _fill(data, graph, size)
            computed = Reference("onnxruntime", size, filled, _expected(session, filled, size))
            found = (*found, computed)
    return found


def check_engine(engine: LoadedEngine, references: tuple[Reference, ...]) -> dict[str, float]:
    """Return how far an engine is from its references, the worst of all sizes.

    Returns:
        `golden_max` and `onnxruntime_max`, the largest difference (latents: unit scale; frames: levels of 255), and for
        a graph that gives frames `golden_psnr_dB` and `onnxruntime_psnr_dB`.

    Raises:
        ParityError: it is off by more than the tolerance, or not finite.
    """
    figures = dict[str, float]()
    for reference in references:
        got = _on_device(engine, reference.data, reference.size)
        for name, value in _compare(reference, engine.graph, got).items():
            worse = min if name.endswith("dB") else max
            figures[name] = worse(figures.get(name, value), value)
    return figures


def _golden(
    bundle: Bundle, graph: GraphSpec, profiles: tuple[Profile, ...]
) -> tuple[np.ndarray, tuple[Reference, ...]]:
    """Return the golden data of a graph, and what it must become where a profile takes its size."""
    vectors = golden.read(bundle)
    height, width = golden.frame_size(bundle, vectors)
    size = Size(height=height, width=width)
    data, expected, lead = golden.pair(bundle, graph, vectors)
    if not any(profile.covers(size) for profile in profiles):
        return data, ()
    chunks = data.reshape(-1, *graph.data.resolve(size.sizes()))
    return data, (Reference("golden", size, chunks, expected, lead),)


def _on_cpu(bundle: Bundle, graph: GraphSpec) -> OnnxRuntimeSession:
    """Return the same graph on the CPU, in fp32 where the bundle has it."""
    precise = "fp32" if "fp32" in bundle.precisions else graph.precision
    reference = bundle.graph(graph.role, precise)
    return OnnxRuntimeSession(bundle.read(reference.file), reference)


def _fill(data: np.ndarray, graph: GraphSpec, size: Size) -> np.ndarray:
    """Return golden data repeated over a larger frame and, shifted, over a batch: `[chunks, B*T, ...]`."""
    chunks = len(data) // graph.chunk_length
    shape = graph.data.resolve(size.sizes())
    axes = (1, 2) if graph.flow.takes == "frames" else (2, 3)
    wide = [-(-shape[axis] // data.shape[axis]) if axis in axes else 1 for axis in range(data.ndim)]
    cut = tuple(slice(None) if axis == 0 else slice(n) for axis, n in enumerate(shape))
    clip = np.tile(data, wide)[cut]
    clips = [np.roll(clip, 3 * b, axis=axes[1]) for b in range(size.batch)]
    return np.stack(
        [np.concatenate(part) for part in zip(*(np.split(c, chunks) for c in clips), strict=True)]
    )


def _on_device(engine: LoadedEngine, data: np.ndarray, size: Size) -> np.ndarray:
    """Return what an engine makes of chunks `[chunks, B*T, ...]`."""
    output = engine.graph.outputs[0]
    state = DeviceState(Caches(engine, size), turn=0)
    parts = []
    for chunk in data:
        got = np.empty(output.resolve(size.sizes()), np.dtype(output.dtype))
        engine.run(np.ascontiguousarray(chunk), got, state, stream=None)
        state = state.following()
        parts.append(got)
    return np.concatenate(parts)


def _expected(session: OnnxRuntimeSession, data: np.ndarray, size: Size) -> np.ndarray:
    """Return what the reference makes of the same chunks."""
    state = session.initial_state(batch=size.batch, height_px=size.height, width_px=size.width)
    parts = []
    for chunk in data:
        got, state = session.run(np.ascontiguousarray(chunk), state)
        parts.append(got)
    return np.concatenate(parts)


def _compare(reference: Reference, graph: GraphSpec, got: np.ndarray) -> dict[str, float]:
    against, expected = reference.against, reference.expected
    gives = graph.flow.gives
    tolerance = golden.TOLERANCE[gives][graph.precision]
    # Frame by frame, here and below: in floating point a large clip takes many times its memory.
    pairs = list(zip(got[reference.lead :], expected, strict=True))
    difference = float(np.max([np.abs(a.astype(np.float32) - b).max() for a, b in pairs]))
    where, what_to_do = f"{against} at {reference.size}", "it was not kept: update TensorRT"
    if not difference <= tolerance:  # so that NaN fails
        raise ParityError(
            f"{graph.file}: its engine differs from {where} by {difference:.4g}, expected at most {tolerance:g}; "
            f"{what_to_do}, or use --precision fp32"
        )
    figures = {f"{against}_max": difference}
    if gives == "frames":
        noise = float(np.mean([10 ** (-psnr_dB(a, b) / 10) for a, b in pairs]))
        psnr = -10 * math.log10(noise) if noise else math.inf
        least = FRAMES_PSNR_dB[graph.precision]
        if psnr < least:
            raise ParityError(
                f"{graph.file}: frames of its engine are {psnr:.1f} dB from {where}, expected at least {least:g} dB; "
                f"{what_to_do}, or use --precision fp32"
            )
        if math.isfinite(psnr):
            figures[f"{against}_psnr_dB"] = psnr
    return figures
