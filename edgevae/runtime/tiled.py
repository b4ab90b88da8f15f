"""A session that runs another one tile by tile: frames of any size through a graph that sees one size.

    Vae -> TiledSession.run(frame, states) -> for each tile: Session.run(tile, its state) -> frame, states
                                                     any backend

Where the model's halo is finite, the result is the untiled one: a tile computes its margin and throws it away, and its
state is as good as what it keeps, because a cache is an activation of a layer. At the step before, it was right
wherever this layer is right now, so the margin does not grow with time. Where a model sees the whole frame, tiles are
blended, and what that does at their seams is measured and said (`seams.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.runtime.backends import Choice
from edgevae.runtime.call_memory import CallMemory, call_memory
from edgevae.runtime.seams import measure_seam
from edgevae.runtime.session import Array, Session, SessionState
from edgevae.runtime.stitching import layouts, to_dtype
from edgevae.runtime.tile_planner import TilePlanner
from edgevae.runtime.tiling import FrameSize, Tiling, grid_of
from edgevae.spec import GraphSpec, Role, VaeSpec
from edgevae.tiles import Grid

_logger = logging.getLogger("edgevae")


@dataclass(frozen=True, eq=False)
class TiledState:
    """The state of a frame: that of each of its tiles. Good for as many calls as those are.

    On a GPU that is one, and a call that fails half-way has used up the states of the tiles before.
    """

    owner: object
    """The session that made it."""
    grid: Grid
    """How frames are cut."""
    batch: int
    """Clips side by side."""
    tiles: tuple[SessionState, ...]
    """One a tile, in the order of `grid.tiles`."""


class TiledSession:
    """A session whose frames are cut into tiles where a planner says so; other calls go through as they are.

    Args:
        inner: Runs the graph; this session's to close.
        spec: Of the model.
        planner: Says how frames of a size are cut.
        report: Told the error at the seams of a model without a finite halo, once for a size of frames.
    """

    def __init__(
        self, inner: Session, spec: VaeSpec, *, planner: TilePlanner, report: Callable[[str], None]
    ) -> None:
        self._inner, self._spec, self._planner, self._report = inner, spec, planner, report
        self._halo = spec.halo_cells(inner.graph.role)
        self._source, self._target = layouts(inner.graph.role, cell_px=spec.spatial_factor)
        self._reported = set[tuple[int, Grid]]()

    @property
    def graph(self) -> GraphSpec:
        """The graph that is loaded."""
        return self._inner.graph

    @property
    def backend(self) -> str:
        """What runs it."""
        return self._inner.backend

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._inner.device

    def initial_state(self, *, batch: int, height_px: int, width_px: int) -> SessionState:
        """Return the state at the first chunk: the states of all tiles, or of the frame where it is not cut.

        Raises:
            InputError: the tiles are too small for the model, or do not fit into the memory that was allowed.
            OutOfMemoryError: the frame does not fit into the memory of the machine, and nothing was said of tiles.
        """
        cut = self._grid(batch=batch, height_px=height_px, width_px=width_px)
        if cut is None:
            return self._inner.initial_state(batch=batch, height_px=height_px, width_px=width_px)
        height, width = self._pixels(cut.tile)
        fresh = (
            self._inner.initial_state(batch=batch, height_px=height, width_px=width)
            for _ in cut.tiles
        )
        return TiledState(self, cut, batch, tuple(fresh))

    def is_ready(self, *, batch: int, height_px: int, width_px: int) -> bool:
        """Return whether a call of this size runs at once."""
        cut = self._grid(batch=batch, height_px=height_px, width_px=width_px)
        height, width = (height_px, width_px) if cut is None else self._pixels(cut.tile)
        return self._inner.is_ready(batch=batch, height_px=height, width_px=width)

    def run(
        self,
        data: Array,
        state: SessionState,
        *,
        out: Array | None = None,
        stream: object = None,
    ) -> tuple[Array, SessionState]:
        """Return the graph's data output and the next state; see `Session.run`.

        Raises:
            InputError: the data or the state is not of this session and size, or frames that are cut are on the GPU.
        """
        if not isinstance(state, TiledState):
            return self._inner.run(data, state, out=out, stream=stream)
        self._check(data, state, out=out, stream=stream)
        spec = self.graph.outputs[0]
        if out is None:
            out = np.empty(spec.resolve(self._sizes(state)), np.dtype(spec.dtype))
        self._say_seam(data, state)
        cut, following, total = state.grid, list[SessionState](), None
        if self._halo is None:
            total = np.zeros(out.shape, np.float32)
        for (row, column), before in zip(cut.tiles, state.tiles, strict=True):
            result, after = self._inner.run(self._source.cut(data, row, column), before)
            following.append(after)
            if total is None:
                self._target.keep(result, row, column, out=out)
            else:
                weighted = self._target.weigh(result, row, column, cut=cut)
                self._target.add(weighted, row, column, out=total)
        if total is not None:
            to_dtype(total, out=out)
        return out, TiledState(self, cut, state.batch, tuple(following))

    def close(self) -> None:
        """Free what the session holds."""
        self._inner.close()

    def __enter__(self) -> TiledSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)

    def _grid(self, *, batch: int, height_px: int, width_px: int) -> Grid | None:
        """Return how frames are cut, or None where they are not."""
        size = FrameSize(batch=batch, height_px=height_px, width_px=width_px)
        tile = self._planner.tile_cells(batch=batch, height_px=height_px, width_px=width_px)
        cut = None if tile is None else grid_of(self._spec, self.graph.role, size, tile=tile)
        return cut if cut is not None and cut.count > 1 else None

    def _pixels(self, cells: tuple[int, int]) -> tuple[int, int]:
        height, width = cells
        return height * self._spec.spatial_factor, width * self._spec.spatial_factor

    def _sizes(self, state: TiledState) -> dict[str, int]:
        height, width = self._pixels(state.grid.extent)
        return {"batch": state.batch, "height": height, "width": width}

    def _check(self, data: Array, state: TiledState, *, out: Array | None, stream: object) -> None:
        if state.owner is not self:
            raise InputError(
                f"{self.graph.file}: got the state of another model, precision or backend; start with `Vae.stream`"
            )
        if stream is not None or not all(
            isinstance(array, np.ndarray) for array in (data, data if out is None else out)
        ):
            raise InputError(
                f"{self.graph.file}: tiles are cut in host memory: got an array or a stream of the GPU, expected numpy "
                "arrays; or load the model without tiles"
            )
        spec = self.graph.data
        shape = spec.resolve(self._sizes(state))
        if (data.shape, data.dtype) != (shape, np.dtype(spec.dtype)):
            raise InputError(
                f"{spec.name}: got {data.dtype} {list(data.shape)}, expected {spec.dtype} {list(shape)}, as the stream "
                "began"
            )

    def _say_seam(self, data: np.ndarray, state: TiledState) -> None:
        """Measure a seam and say what was found, at the first call for frames of a size."""
        key = (state.batch, state.grid)
        if self._halo is not None or key in self._reported:
            return
        self._reported.add(key)
        seam = measure_seam(self._inner, self._spec, data, cut=state.grid, batch=state.batch)
        self._report(seam.said())


def tiled(
    bundle: Bundle,
    sessions: tuple[Session, Session],
    *,
    choice: Choice,
    threads: int | None,
    tiling: Tiling,
) -> tuple[Session, Session]:
    """Return encoder and decoder as sessions that cut frames into tiles, where that may become necessary.

    Raises:
        InputError: the tiles do not suit the model, or there is a limit of memory for a GPU.
    """
    on_host = choice.device == "cpu"
    if tiling.tile_px is None and tiling.max_memory_bytes is None and not on_host:
        return sessions
    spec, precision = bundle.manifest.spec, choice.precision

    def measure(role: Role) -> CallMemory:
        is_local = spec.halo_cells(role) is not None
        return call_memory(bundle, role, precision, is_local=is_local, threads=threads)

    planner = TilePlanner(
        spec,
        tiling,
        chunk_frames=sessions[0].graph.chunk_frames,
        measure=measure if on_host else None,
    )
    encoder, decoder = (
        TiledSession(session, spec, planner=planner, report=tiling.report or _logger.warning)
        for session in sessions
    )
    return encoder, decoder
