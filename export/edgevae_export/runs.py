"""A whole clip through one half of a VAE, in PyTorch, in ONNX Runtime or in the network's own library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import torch

from edgevae.frames import lead_in
from edgevae.roles import VAE
from edgevae.runtime.onnxruntime import HostState, OnnxRuntimeSession
from edgevae.spec import GraphSpec, Precision, Role, VaeSpec
from edgevae_export.exportable import Exportable, graph_spec
from edgevae_export.precision import Peaks, Pins, halved, watch_peaks

ROLES = VAE

Run = Callable[[np.ndarray], np.ndarray]
"""A clip uint8 `[T, H, W, 3]` to its latents float32 `[t, C, h, w]`, or latents to frames; state carried in between."""


def torch_runs(
    exportable: Exportable,
    *,
    precision: Precision,
    chunk_frames: int,
    pins: Mapping[Role, Pins] | None = None,
    peaks: Mapping[Role, Peaks] | None = None,
    roles: Sequence[Role] = ROLES,
) -> dict[Role, Run]:
    """Return PyTorch's encoder and decoder in a precision.

    Args:
        exportable: The VAE.
        precision: fp16 is true half arithmetic.
        chunk_frames: Frames of one call.
        pins: Layers that are not half where the precision is.
        peaks: Told of the layers' peaks while they run.
        roles: Which; by default both.
    """
    runs: dict[Role, Run] = {}
    for role in roles:
        module = exportable.graph_module(role, chunk_frames=chunk_frames)
        if precision == "fp16":
            module = halved(module, pins[role] if pins else None)
        if peaks is not None:
            watch_peaks(module, peaks[role])
        graph = graph_spec(exportable.spec, role, precision=precision, chunk_frames=chunk_frames)
        runs[role] = partial(run_module, module, graph, exportable.spec)
    return runs


def onnx_runs(models: Sequence[tuple[bytes, GraphSpec]], spec: VaeSpec) -> dict[Role, Run]:
    """Return exported graphs in ONNX Runtime, by role."""
    return {
        graph.role: partial(onnx_run, OnnxRuntimeSession(model, graph), spec)
        for model, graph in models
    }


def remembered(run: Run) -> Run:
    """Return a run that computes each array once."""
    results = dict[int, tuple[np.ndarray, np.ndarray]]()

    def once(data: np.ndarray) -> np.ndarray:
        if id(data) not in results:
            # Held with its result, so that no other array gets its id.
            results[id(data)] = (data, run(data))
        return results[id(data)][1]

    return once


def whole_runs(exportable: Exportable) -> dict[Role, Run]:
    """Return the network's own library on whole clips."""
    return {role: partial(exportable.whole_clip, role) for role in ROLES}


@torch.inference_mode()
def run_module(
    module: torch.nn.Module, graph: GraphSpec, spec: VaeSpec, data: np.ndarray
) -> np.ndarray:
    """Return what a graph module gives for a whole clip, chunk by chunk with state.

    Args:
        module: In the precision of the graph.
        graph: Its tensors.
        spec: Of the VAE.
        data: uint8 `[T, H, W, 3]`, or latents float32 `[t, C, h, w]`.
    """
    sizes = _sizes(graph, spec, data)
    state = [torch.zeros(s.resolve(sizes), dtype=getattr(torch, s.dtype)) for s in graph.state]
    parts = []
    for chunk in _chunks(graph, spec, data):
        output, *state = module(torch.from_numpy(chunk), *state)
        parts.append(output.numpy())
    return _whole(graph, spec, parts)


class GraphSession(Protocol):
    """What a run needs of a session."""

    graph: GraphSpec

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> HostState:
        """Return the state at the beginning of a clip."""

    def run(self, data: np.ndarray, state: HostState) -> tuple[np.ndarray, HostState]:
        """Return the data output and the next state."""


def onnx_run(session: GraphSession, spec: VaeSpec, data: np.ndarray) -> np.ndarray:
    """Return what a graph gives for a whole clip, chunk by chunk with state."""
    sizes = _sizes(session.graph, spec, data)
    state = session.initial_state(batch=1, height_px=sizes["height"], width_px=sizes["width"])
    parts = []
    for chunk in _chunks(session.graph, spec, data):
        output, state = session.run(chunk, state)
        parts.append(output)
    return _whole(session.graph, spec, parts)


def _sizes(graph: GraphSpec, spec: VaeSpec, data: np.ndarray) -> dict[str, int]:
    """Return batch, height and width in pixels of a clip or its latents."""
    cell, axis = (1, 1) if graph.flow.takes == "frames" else (spec.spatial_factor, 2)
    height, width = (side * cell for side in data.shape[axis : axis + 2])
    return {"batch": 1, "height": height, "width": width}


def _chunks(graph: GraphSpec, spec: VaeSpec, data: np.ndarray) -> list[np.ndarray]:
    """Return what goes into the calls of a graph, one after the other."""
    data = lead_in(data, spec.lead_frames) if graph.flow.takes == "frames" else data
    step = graph.chunk_length
    return [np.ascontiguousarray(data[n : n + step]) for n in range(0, len(data), step)]


def _whole(graph: GraphSpec, spec: VaeSpec, parts: list[np.ndarray]) -> np.ndarray:
    """Return the results of all calls, without the filler before a clip."""
    whole = np.concatenate(parts)
    # PyTorch may give channels-last memory, which safetensors 0.8 writes as if it were not.
    return np.ascontiguousarray(
        whole[spec.lead_frames :] if graph.flow.gives == "frames" else whole
    )
