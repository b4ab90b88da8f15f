"""How frames are cut: as the caller said, so that they fit into the memory that was allowed, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from edgevae.errors import InputError, OutOfMemoryError, UnavailableError
from edgevae.runtime.call_memory import CallMemory
from edgevae.runtime.host_memory import available_bytes, resident_bytes
from edgevae.runtime.tiling import FrameSize, Tiling, grid_of, in_words, stream_bytes
from edgevae.spec import Role, VaeSpec
from edgevae.tiles import in_cells, shortest_tile

STEP_PX = 64
"""Between the sides of tiles that are looked at."""

SMALLEST_PX = 128
"""Smallest tile that is chosen; by hand, smaller ones are taken."""

MOST_PER_PX = {True: 2048, False: 16384}
"""Bytes per pixel that no call is expected to exceed, with a finite halo or without: below, nothing is measured."""

_logger = logging.getLogger("edgevae")


class TilePlanner:
    """Chooses tiles for frames of any size, and says once for each size what it chose.

    Args:
        spec: Of the model.
        tiling: What the caller asked for.
        chunk_frames: Frames of a call.
        measure: Returns what a call of a graph takes; None where the graphs do not run in host memory.

    Raises:
        InputError: the tile is no multiple of a cell or too small for the model's halo, or a limit was given for
            graphs that do not run in host memory.
    """

    def __init__(
        self,
        spec: VaeSpec,
        tiling: Tiling,
        *,
        chunk_frames: int,
        measure: Callable[[Role], CallMemory] | None,
    ) -> None:
        self._spec, self._tiling, self._chunk_frames = spec, tiling, chunk_frames
        self._measure = measure
        self._chosen = dict[FrameSize, tuple[int, int] | None]()
        if tiling.tile_px is not None:
            side = in_cells(tiling.tile_px, cell_px=spec.spatial_factor)
            least = self._least_cells()
            if side < least:
                raise InputError(
                    f"tile: got {tiling.tile_px} px, expected at least {least * spec.spatial_factor}, so that more is "
                    "left of a tile than its margins; take larger tiles"
                )
        if tiling.max_memory_bytes is not None and measure is None:
            raise InputError(
                f"max memory: got {in_words(tiling.max_memory_bytes)} for graphs that do not run in host memory; "
                "give the side of a tile instead (--tile, or Tiling(tile_px=...))"
            )

    def tile_cells(self, *, batch: int, height_px: int, width_px: int) -> tuple[int, int] | None:
        """Return height and width of a tile in latent cells, or None where frames are not cut.

        Raises:
            InputError: no tile fits into the limit.
            OutOfMemoryError: there is neither a tile nor a limit, and the machine has not the memory for the frames.
            UnavailableError: there is a limit, and what a call takes cannot be measured here.
        """
        size = FrameSize(batch=batch, height_px=height_px, width_px=width_px)
        if size not in self._chosen:
            self._chosen[size] = self._choose(size)
        return self._chosen[size]

    def _choose(self, size: FrameSize) -> tuple[int, int] | None:
        if self._tiling.tile_px is not None:
            side = self._tiling.tile_px // self._spec.spatial_factor
            if not self._is_cut(size, (side, side)):
                return None
            self._say(size, (side, side), "as asked for")
            return side, side
        if self._tiling.max_memory_bytes is not None:
            return self._fitting(size, self._tiling.max_memory_bytes)
        if self._measure is not None:
            self._require_room(size)
        return None

    def _fitting(self, size: FrameSize, limit: int) -> tuple[int, int] | None:
        """Return the largest tile with which the estimate is within the limit."""
        base, calls = resident_bytes() or 0, self._calls()
        best: tuple[int, tuple[int, int] | None] | None = None
        for tile in self._candidates(size):
            need = base + self._need(calls, size, tile)
            if need <= limit:
                self._say(size, tile, f"estimate {in_words(need)} of {in_words(limit)}")
                return tile
            if best is None or need < best[0]:
                best = (need, tile)
        assert best is not None, "the whole frame is a candidate"
        need, tile = best
        raise InputError(
            f"max memory: got {in_words(limit)}, expected at least {in_words(need)} for frames of {size} "
            f"({self._describe(size, tile)}; {in_words(base)} are in use already); allow more, or take smaller frames"
        )

    def _require_room(self, size: FrameSize) -> None:
        """Refuse frames that the machine has no memory for, before the system kills the process."""
        room = available_bytes()
        if room is None or size.area_px * MOST_PER_PX[self._is_local()] <= room:
            return
        try:
            need = self._need(self._calls(), size, None)
        except UnavailableError as error:
            _logger.info("frames of %s: not known whether they fit: %s", size, error)
            return
        if need > room:
            raise OutOfMemoryError(
                f"frames of {size}: need about {in_words(need)}, {in_words(room)} are available; cut them into tiles "
                "(--max-memory or --tile, or edgevae.Tiling)"
            )

    def _candidates(self, size: FrameSize) -> Iterator[tuple[int, int] | None]:
        """Yield the whole frame, and then ever smaller tiles; with each number of rows and columns, the smallest."""
        yield None
        cell = self._spec.spatial_factor
        extent = (size.height_px // cell, size.width_px // cell)
        least = max(self._least_cells(), -(-SMALLEST_PX // cell))
        seen = set[tuple[int, int]]()
        # The smallest last, whatever the steps: a limit is refused only where not even that fits.
        for side in (*range(max(extent), least, -max(1, STEP_PX // cell)), least):
            cuts = [
                grid_of(self._spec, role, size, tile=(side, side))
                for role in ("encoder", "decoder")
            ]
            widest = max(cuts, key=lambda cut: cut.margin)
            counts = (len(widest.rows), len(widest.columns))
            if counts in seen or counts == (1, 1):
                continue
            seen.add(counts)
            height, width = (
                min(length, max(shortest_tile(length, count=n, margin=widest.margin), least))
                for length, n in zip(extent, counts, strict=True)
            )
            yield height, width

    def _need(
        self, calls: dict[Role, CallMemory], size: FrameSize, tile: tuple[int, int] | None
    ) -> int:
        return stream_bytes(
            self._spec,
            calls,
            size,
            tile=tile,
            chunk_frames=self._chunk_frames,
            tiling=self._tiling,
        )

    def _calls(self) -> dict[Role, CallMemory]:
        assert self._measure is not None, "checked where there is a limit"
        return {role: self._measure(role) for role in self._tiling.roles}

    def _is_local(self) -> bool:
        return all(self._spec.halo_cells(role) is not None for role in self._tiling.roles)

    def _least_cells(self) -> int:
        halos = [self._spec.halo_cells(role) for role in ("encoder", "decoder")]
        return max(4 if halo is None else 2 * halo + 1 for halo in halos)

    def _is_cut(self, size: FrameSize, tile: tuple[int, int]) -> bool:
        return grid_of(self._spec, self._tiling.roles[0], size, tile=tile).count > 1

    def _say(self, size: FrameSize, tile: tuple[int, int] | None, why: str) -> None:
        text = f"frames of {size}: {self._describe(size, tile)}; {why}"
        (self._tiling.report or _logger.info)(text)

    def _describe(self, size: FrameSize, tile: tuple[int, int] | None) -> str:
        if tile is None:
            return "not cut"
        cell = self._spec.spatial_factor
        parts = []
        for role in self._tiling.roles:
            cut = grid_of(self._spec, role, size, tile=tile)
            height, width = (side * cell for side in cut.tile)
            kind = "blended" if self._spec.halo_cells(role) is None else "exact"
            parts.append(
                f"{role} {len(cut.columns)}x{len(cut.rows)} tiles of {width}x{height} px, {kind}"
            )
        return ", ".join(parts)
