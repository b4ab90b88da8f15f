"""Golden vectors: what PyTorch gave when the graphs were exported, which every backend must reproduce on loading.

frames   two chunks of a real clip         latents   of these            decoded   the frames of these latents
and for each other role of the model, under its name, what its graph gives for the latents or for `noise`

A model of several senses has for each SENSE what its encoder takes, and `posteriors` for the fusion.
"""

from __future__ import annotations

import numpy as np

from edgevae.bundle import GOLDEN, Bundle
from edgevae.errors import IntegrityError, ParityError
from edgevae.frames import lead_in
from edgevae.roles import Kind, Role, sense_of
from edgevae.runtime.session import Session
from edgevae.spec import GraphSpec

TOLERANCE: dict[Kind, dict[str, float]] = {
    "latents": {"fp32": 1e-3, "fp16": 3e-2},
    "frames": {"fp32": 1.0, "fp16": 8.0},
    "posterior": {"fp32": 1e-3, "fp16": 6e-2},
    "sound": {"fp32": 2e-2, "fp16": 0.5},
    "tracks": {"fp32": 1e-3, "fp16": 3e-2},
}
"""Largest difference, by what a graph gives: of latents of unit scale, of frames in levels of 255, of means and
log-variances, of sound in dB, of tracks in halves of the frame.

Wider than the export's gate: other machines sum in another order.
"""

_EXPECTED: dict[Role, str] = {"encoder": "latents", "decoder": "decoded"}
"""The tensor that a graph must give; for other roles it has the role's name."""


def check(session: Session, bundle: Bundle) -> None:
    """Run the golden data through a session and compare with what PyTorch gave in fp32.

    There are two chunks of it, so that state counts.

    Engines that do not take the clip's size are not run: they were checked when they were built, on this device with
    this TensorRT, and their bytes are the same (`parity.py`).

    Raises:
        IntegrityError: the golden vectors are not those that were written.
        ParityError: what comes out is off by more than the tolerance, or not finite.
    """
    graph, vectors = session.graph, read(bundle)
    height, width = frame_size(bundle, vectors)
    size = {"batch": 1, "height_px": height, "width_px": width}
    if not session.is_ready(**size):
        return
    data, expected, lead = pair(bundle, graph, vectors)
    state, parts = session.initial_state(**size), []
    for first in range(0, len(data), graph.chunk_length):
        chunk = np.ascontiguousarray(data[first : first + graph.chunk_length])
        part, state = session.run(chunk, state)
        parts.append(part)
    got = np.concatenate(parts)[lead:]
    difference = float(np.abs(got.astype(np.float32) - expected.astype(np.float32)).max())
    tolerance = TOLERANCE[graph.flow.gives][graph.precision]
    if not difference <= tolerance:  # so that NaN fails
        what = (
            graph.flow.gives
            if graph.role in _EXPECTED
            else f"{graph.flow.gives} of the {graph.role}"
        )
        raise ParityError(
            f"{bundle.manifest.name}: golden {what} differ by {difference:.4g} on {session.backend} "
            f"{session.device} {graph.precision}, expected at most {tolerance:g}; "
            "update the backend or export the bundle again"
        )


def frame_size(bundle: Bundle, vectors: dict[str, np.ndarray]) -> tuple[int, int]:
    """Return height and width in pixels of the golden clip; of a model that takes no frames those of its latents."""
    if "frames" in vectors:
        height, width = vectors["frames"].shape[1:3]
        return height, width
    cell = bundle.manifest.spec.spatial_factor
    height, width = (cell * side for side in vectors["latents"].shape[-2:])
    return height, width


def pair(
    bundle: Bundle, graph: GraphSpec, vectors: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return what goes into a graph's calls, what must come out, and how many frames come before that as filler.

    Raises:
        IntegrityError: the golden vectors have nothing for the graph.
    """
    name, given = _EXPECTED.get(graph.role, graph.role), given_name(graph)
    for tensor in (given, name):
        if tensor not in vectors:
            raise IntegrityError(
                f"{bundle.path / GOLDEN}: tensor {tensor!r} is missing; export again"
            )
    lead, data = bundle.manifest.spec.lead_frames, vectors[given]
    if graph.flow.takes == "frames":
        data = lead_in(data, lead)
    return data, vectors[name], lead if graph.flow.gives == "frames" else 0


def given_name(graph: GraphSpec) -> str:
    """Return the name of the vector that goes into a graph: that of its kind, or of the sense that it encodes."""
    sense, takes = sense_of(graph.role), graph.flow.takes
    return takes if sense is None or takes == "latents" else sense


def read(bundle: Bundle) -> dict[str, np.ndarray]:
    """Return golden vectors by name, `frames` uint8 `[T, H, W, 3]` or `latents` among them.

    Raises:
        IntegrityError: they are not what was written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        vectors = load(bundle.read(GOLDEN))
    except SafetensorError as error:
        raise IntegrityError(
            f"{bundle.path / GOLDEN}: not a safetensors file ({error}); export again"
        ) from error
    if not {"frames", "latents"} & vectors.keys():
        raise IntegrityError(f"{bundle.path / GOLDEN}: tensor 'frames' is missing; export again")
    return vectors
