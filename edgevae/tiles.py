"""Tiles of a frame: what each reads, what of its result is kept, and how results are blended; pure functions.

A frame is cut along each side by itself, in latent cells. Every tile has the same length; neighbours overlap, and the
last one is shifted inward instead of being smaller:

    frame   |0 . . . . . . . . . . . . . . . . . . .|        length 20, tile 10, margin 2
    tile 0  |k k k k k k k k m m|                            k: kept of its result
    tile 1               |m m k k k k k k m m|               m: margin, computed and thrown away, or blended
    tile 2                   |. . . . m m k k k k k k|       .: what the shift repeats

A side of a tile that is a side of the frame has no margin: there the network pads as it does for the whole frame. Where
the margin is the network's halo, what is kept is what the whole frame gives. Where no halo is finite, the margin is
where two neighbours are blended: from the cut, their weights go linearly over one margin to either side.

    weight  1 -----.                .----- 1
    tile 0          `-.          .-'            tile 1
                       `-. . .-'
            0 ____________`.'_____________ 0
                   |---m---cut---m---|
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError
from edgevae.frames import round_up


@dataclass(frozen=True)
class Span:
    """A tile along one side of a frame, in latent cells of the frame."""

    first: int
    """Where it begins to read."""
    past: int
    """Where it ends to read."""
    keep_first: int
    """Where what is kept of its result begins."""
    keep_past: int
    """Where what is kept of its result ends; the next span keeps from here on."""


@dataclass(frozen=True)
class Grid:
    """The tiles of a frame."""

    rows: tuple[Span, ...]
    """Along the height."""
    columns: tuple[Span, ...]
    """Along the width."""
    margin: int
    """In cells: the halo, or how far from a cut results are blended."""

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows) * len(self.columns)

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of every tile, in cells."""
        return self.rows[0].past, self.columns[0].past

    @property
    def extent(self) -> tuple[int, int]:
        """Height and width of the frame, in cells."""
        return self.rows[-1].past, self.columns[-1].past

    @property
    def tiles(self) -> tuple[tuple[Span, Span], ...]:
        """Row and column of each tile, from the top left."""
        return tuple((row, column) for row in self.rows for column in self.columns)


def grid(extent: tuple[int, int], *, tile: tuple[int, int], margin: int) -> Grid:
    """Return the tiles of a frame.

    Args:
        extent: Height and width of the frame, in cells.
        tile: Height and width of a tile, in cells; a side of the frame that is not longer is not cut.
        margin: In cells.

    Raises:
        InputError: a tile that cuts a side is no longer than its two margins.
    """
    rows, columns = (
        spans(length, tile=side, margin=margin) for length, side in zip(extent, tile, strict=True)
    )
    return Grid(rows, columns, margin)


def spans(length: int, *, tile: int, margin: int) -> tuple[Span, ...]:
    """Return the tiles along one side; all in cells.

    Args:
        length: Of the side of the frame.
        tile: Length of a tile.
        margin: Of a tile, on either side.

    Raises:
        InputError: tiles are needed and one is no longer than its two margins.
    """
    if length <= tile:
        return (Span(0, length, 0, length),)
    if tile <= 2 * margin:
        raise InputError(
            f"tile: got {tile} latent cells, expected more than {2 * margin}, twice its margin; take larger tiles"
        )
    found, kept = list[Span](), 0
    while kept < length:
        first = min(max(kept - margin, 0), length - tile)
        past = first + tile
        keep_past = past if past == length else past - margin
        found.append(Span(first, past, kept, keep_past))
        kept = keep_past
    return tuple(found)


def shortest_tile(length: int, *, count: int, margin: int) -> int:
    """Return the length of a tile, in cells, such that not more than `count` of them cover a side."""
    if count == 1:
        return length
    return min(length, -(-(length - 2 * margin) // count) + 2 * margin)


def blend_weights(span: Span, *, length: int, margin: int, scale: int) -> npt.NDArray[np.float32]:
    """Return the weight of each pixel of a tile along one side, float32 `[scale * cells]` in 0..1.

    The weights of all tiles at one pixel sum to 1, because the ramps of two cuts do not meet (`blend_margin`).

    Args:
        span: The tile.
        length: Of the side of the frame, in cells.
        margin: In cells, at least 1.
        scale: Pixels a cell; 1 on the latent grid.
    """
    at = (np.arange(span.first * scale, span.past * scale) + 0.5) / scale

    def ramp(cut: int) -> npt.NDArray[np.float64]:
        """From 0 one margin before a cut to 1 one margin behind it."""
        ramped: npt.NDArray[np.float64] = np.clip((at - (cut - margin)) / (2 * margin), 0.0, 1.0)
        return ramped

    weights = ramp(span.keep_first) if span.keep_first > 0 else np.ones_like(at)
    if span.keep_past < length:
        weights = weights * (1 - ramp(span.keep_past))
    return weights.astype(np.float32)


def blend_margin(tile: tuple[int, int]) -> int:
    """Return the margin, in cells, over which tiles without a finite halo are blended: an eighth of the shorter side.

    So neighbours overlap by a quarter, and the ramps of two cuts do not meet: they would with margins above a quarter.

    Raises:
        InputError: a side has fewer than 4 cells.
    """
    if min(tile) < 4:
        raise InputError(
            f"tile: got {min(tile)} latent cells, expected at least 4, so that tiles can be blended; take larger tiles"
        )
    return max(1, min(tile) // 8)


def in_cells(tile_px: int, *, cell_px: int) -> int:
    """Return the side of a tile in cells.

    Raises:
        InputError: it is no positive multiple of a cell.
    """
    if tile_px < 1 or tile_px % cell_px:
        nearest = round_up(max(tile_px, 1), cell_px)
        raise InputError(
            f"tile: got {tile_px} px, expected a multiple of the model's {cell_px} px a latent cell, such as {nearest}"
        )
    return tile_px // cell_px
