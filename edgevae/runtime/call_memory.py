"""What one call of a graph takes from memory, measured: in a child process, on frames small enough for any machine.

ONNX Runtime plans its memory by itself, so a sum over tensors would be a guess. A child loads the graph, calls it a few
times at one size and says how much its peak grew. What grows with the picture's area is one number; attention over all
cells grows with its square, and two sizes tell both apart:

    bytes = linear * area + square * area^2

A graph's numbers are kept in the cache under its digest and the version of ONNX Runtime, so that it is measured once.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevae.bundle import Bundle
from edgevae.errors import ConfigError, UnavailableError
from edgevae.files import cache_folder, write_atomically
from edgevae.runtime.host_memory import peak_bytes, resident_bytes
from edgevae.runtime.onnxruntime import OnnxRuntimeSession, import_onnxruntime
from edgevae.runtime.trial import is_possible, try_in_child
from edgevae.spec import Precision, Role
from edgevae.strict import from_dict, to_dict

SIDES_PX = (256, 512)
"""Sides of the square frames that are measured: the second alone where a halo is finite, so that nothing is squared."""

CALLS = 3
"""Of the child: ONNX Runtime plans at the first, and takes memory for its plan at the second."""

TIMEOUT_S = 600.0
"""Large foreign models take a minute on a slow machine."""

_logger = logging.getLogger("edgevae")


@dataclass(frozen=True, kw_only=True)
class CallMemory:
    """What a call takes beside the loaded graph: data, state before and after, activations, and the result."""

    linear: float
    """Bytes per pixel of a frame's area; all frames of a chunk are in it."""
    square: float
    """Bytes per pixel squared; 0 where nothing sees the whole frame."""

    def of(self, *, batch: int, height_px: int, width_px: int) -> int:
        """Return the bytes of a call."""
        area = height_px * width_px
        return int(batch * (self.linear * area + self.square * area**2))


def call_memory(
    bundle: Bundle, role: Role, precision: Precision, *, is_local: bool, threads: int | None
) -> CallMemory:
    """Return what a call of a graph takes on ONNX Runtime's CPU provider, from the cache or measured now.

    Args:
        bundle: The model.
        role: Which of its graphs.
        precision: Likewise.
        is_local: Whether its halo is finite.
        threads: Of one call.

    Raises:
        UnavailableError: it cannot be measured here: no /proc, no Python to start, or the child failed.
    """
    graph = bundle.graph(role, precision)
    version = import_onnxruntime().__version__
    digest = bundle.manifest.files[graph.file].sha256[:32]
    kept = cache_folder() / "memory" / f"{digest}-onnxruntime-{version}.json"
    with contextlib.suppress(OSError, ValueError, ConfigError):  # not there, or of no use: measure
        return from_dict(CallMemory, json.loads(kept.read_text()), where=str(kept))
    sides = SIDES_PX[1:] if is_local else SIDES_PX
    _logger.info("%s: measuring what a call takes from memory, once", graph.file)
    found = fit(
        {
            side**2: _measured(bundle.path, role, precision, side_px=side, threads=threads)
            for side in sides
        }
    )
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time and nothing else
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, json.dumps(to_dict(found)).encode())
    return found


def fit(bytes_of: dict[int, int]) -> CallMemory:
    """Return the numbers that explain one or two measurements; no part is negative.

    Args:
        bytes_of: What was measured, by area in pixels.
    """
    (small, one), *rest = sorted(bytes_of.items())
    if not rest:
        return CallMemory(linear=one / small, square=0.0)
    ((large, other),) = rest
    square = max((other / large - one / small) / (large - small), 0.0)
    return CallMemory(linear=max(other / large - square * large, 0.0), square=square)


def grow(
    path: str, role: Role, precision: Precision, *, side_px: int, threads: int | None
) -> int | None:
    """Return by how many bytes this process' peak grows for a few calls of a graph; None without /proc.

    For a process of its own: what it did before is in its peak.
    """
    bundle = Bundle.open(path)
    graph = bundle.graph(role, precision)
    with OnnxRuntimeSession(bundle.read(graph.file), graph, threads=threads) as session:
        before = resident_bytes()
        shape = graph.data.resolve({"batch": 1, "height": side_px, "width": side_px})
        data = np.ones(shape, np.dtype(graph.data.dtype))
        state = session.initial_state(batch=1, height_px=side_px, width_px=side_px)
        for _ in range(CALLS):
            _, state = session.run(data, state)
        peak = peak_bytes()
    return None if before is None or peak is None else peak - before


def _measured(
    path: Path, role: Role, precision: Precision, *, side_px: int, threads: int | None
) -> int:
    what = f"{role}: the memory of a call cannot be measured here"
    instead = "give the side of a tile instead (--tile, or Tiling(tile_px=...))"
    if not is_possible():
        raise UnavailableError(f"{what}: there is no Python to start; {instead}")
    arguments = f"{str(path)!r}, {role!r}, {precision!r}, side_px={side_px}, threads={threads}"
    trial = try_in_child(
        f"from edgevae.runtime.call_memory import grow\nprint(grow({arguments}))",
        timeout_s=TIMEOUT_S,
    )
    last = trial.lines[-1] if trial.lines else "nothing"
    if trial.failure or not last.isdigit():
        reason = trial.failure or (
            "no /proc on this system" if last == "None" else f"it says {last}"
        )
        detail = f" ({trial.errors[-1]})" if trial.errors else ""
        raise UnavailableError(f"{what}: {reason}{detail}; {instead}")
    return int(last)
