"""What a caller may ask of tiles, and what a frame of some size takes from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgevae.errors import InputError
from edgevae.runtime.call_memory import CallMemory
from edgevae.spec import Role, VaeSpec
from edgevae.tiles import Grid, blend_margin, grid

SLACK = 1.1
"""Calls were seen to take up to 6 % more per pixel at other sizes than at the one that is measured."""

OWN_CHUNKS = 2
"""Chunks of frames that the runtime holds in a call: padded, and as a result."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Whether and how frames are cut into tiles; see docs/tiling.md. Without a tile or a limit, they are not."""

    tile_px: int | None = None
    """Side of a tile in pixels, its margins included: what a call of the graph sees, on any backend."""
    max_memory_bytes: int | None = None
    """Most that this process may have in memory, as estimated; tiles are as large as fit. On the CPU only."""
    roles: tuple[Role, ...] = ("encoder", "decoder")
    """Which graphs will run, for the estimate."""
    held_chunks: int = 1
    """Chunks of frames that the caller holds at once, beside those of the runtime, for the estimate."""
    held_frames: int = 0
    """Single frames beside these, as a codec holds them, for the estimate."""
    report: Callable[[str], None] | None = None
    """Told in one line how frames of a size are cut, and what a seam costs; by default both go to the log `edgevae`."""

    def __post_init__(self) -> None:
        if self.tile_px is not None and self.max_memory_bytes is not None:
            raise InputError(
                f"tiling: got a tile of {self.tile_px} px and a limit of {in_words(self.max_memory_bytes)}, expected "
                "one of them; the limit chooses the tile"
            )
        for name in ("tile_px", "max_memory_bytes", "held_chunks", "held_frames"):
            value, least = getattr(self, name), 0 if name.startswith("held") else 1
            if value is not None and (type(value) is not int or value < least):
                raise InputError(
                    f"tiling: {name} is {value}, expected a whole number of at least {least}"
                )
        if not self.roles or set(self.roles) - {"encoder", "decoder"}:
            raise InputError(f"tiling: roles is {self.roles!r}, expected encoder, decoder or both")


@dataclass(frozen=True, kw_only=True)
class FrameSize:
    """The frames of a stream, padded to whole cells."""

    batch: int
    """Clips side by side."""
    height_px: int
    """Of the padded frames."""
    width_px: int
    """Likewise."""

    def __str__(self) -> str:
        clips = f"{self.batch} clips of " if self.batch > 1 else ""
        return f"{clips}{self.width_px}x{self.height_px}"

    @property
    def area_px(self) -> int:
        """Pixels of one frame of every clip."""
        return self.batch * self.height_px * self.width_px


def grid_of(spec: VaeSpec, role: Role, size: FrameSize, *, tile: tuple[int, int] | None) -> Grid:
    """Return how frames are cut; a grid of one tile where they are not.

    Args:
        spec: Of the model.
        role: Of the graph.
        size: Of the frames.
        tile: Height and width of a tile in cells.

    Raises:
        InputError: the tile is too small for the model.
    """
    cell = spec.spatial_factor
    extent = (size.height_px // cell, size.width_px // cell)
    halo = spec.halo_cells(role)
    tile = tile or extent
    is_cut = any(length > side for length, side in zip(extent, tile, strict=True))
    margin = 0 if not is_cut else blend_margin(tile) if halo is None else halo
    return grid(extent, tile=tile, margin=margin)


def stream_bytes(
    spec: VaeSpec,
    calls: Mapping[Role, CallMemory],
    size: FrameSize,
    *,
    tile: tuple[int, int] | None,
    chunk_frames: int,
    tiling: Tiling,
) -> int:
    """Return about how much a stream takes from memory, beside the loaded model.

    A call on a tile for each graph, since ONNX Runtime keeps what it once took; the states of all tiles, before and
    after; and frames: of the runtime, of the caller, and as float32 where tiles are blended.

    Args:
        spec: Of the model.
        calls: What a call takes, for each graph that will run.
        size: Of the frames.
        tile: Height and width of a tile in cells; None where frames are not cut.
        chunk_frames: Frames of a call.
        tiling: What the caller holds.
    """
    cell, total = spec.spatial_factor, 0.0
    for role, memory in calls.items():
        cut = grid_of(spec, role, size, tile=tile)
        height, width = (side * cell for side in cut.tile)
        total += SLACK * memory.of(batch=size.batch, height_px=height, width_px=width)
        if cut.count > 1:
            sizes = {"batch": size.batch, "height": height, "width": width}
            cells = sum(int(np.prod(s.resolve(sizes))) for s in spec.state(role))
            total += 2 * cut.count * cells * np.dtype(np.float32).itemsize
            if spec.halo_cells(role) is None and role == "decoder":
                total += size.area_px * chunk_frames * 3 * np.dtype(np.float32).itemsize
    frames = chunk_frames * (tiling.held_chunks + OWN_CHUNKS) + tiling.held_frames
    return int(total) + 3 * size.area_px * frames


def in_words(count: int) -> str:
    """Return bytes as people read them: `1.9 GB`."""
    for unit, one in (("GB", 10**9), ("MB", 10**6)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count} bytes"
