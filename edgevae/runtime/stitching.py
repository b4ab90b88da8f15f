"""Tiles cut out of arrays as the graphs take them, and put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.roles import FLOWS
from edgevae.spec import Role
from edgevae.tiles import Grid, Span, blend_weights


@dataclass(frozen=True)
class Layout:
    """Where height and width are in an array, and how many of its values stand for one latent cell along each."""

    height_axis: int
    """1 for frames `[N, H, W, 3]`, 2 for latents `[N, C, h, w]`; the width is the next one."""
    scale: int
    """Pixels a cell for frames, 1 for latents."""

    def at(self, row: tuple[int, int], column: tuple[int, int]) -> tuple[slice, ...]:
        """Return the index of a rectangle, from first to past in cells along height and width."""
        sides = (slice(first * self.scale, past * self.scale) for first, past in (row, column))
        return (slice(None),) * self.height_axis + tuple(sides)

    def cut(self, array: npt.NDArray[Any], row: Span, column: Span) -> npt.NDArray[Any]:
        """Return what a tile reads, C-contiguous."""
        part = array[self.at((row.first, row.past), (column.first, column.past))]
        return np.ascontiguousarray(part)

    def keep(
        self, result: npt.NDArray[Any], row: Span, column: Span, *, out: npt.NDArray[Any]
    ) -> None:
        """Copy the part of a tile's result that is kept to its place."""
        inner = ((s.keep_first - s.first, s.keep_past - s.first) for s in (row, column))
        place = ((s.keep_first, s.keep_past) for s in (row, column))
        out[self.at(*place)] = result[self.at(*inner)]

    def weigh(
        self, result: npt.NDArray[Any], row: Span, column: Span, *, cut: Grid
    ) -> npt.NDArray[np.float32]:
        """Return a tile's result, float32, times its weights."""
        y, x = (
            blend_weights(span, length=length, margin=cut.margin, scale=self.scale)
            for span, length in zip((row, column), cut.extent, strict=True)
        )
        plane = y[:, None] * x[None, :]
        behind = result.ndim - self.height_axis - 2
        weighted: npt.NDArray[np.float32] = result * plane.reshape(*plane.shape, *(1,) * behind)
        return weighted

    def add(
        self, weighted: npt.NDArray[np.float32], row: Span, column: Span, *, out: npt.NDArray[Any]
    ) -> None:
        """Add a tile's weighted result at its place."""
        out[self.at((row.first, row.past), (column.first, column.past))] += weighted


def layouts(role: Role, *, cell_px: int) -> tuple[Layout, Layout]:
    """Return the layouts of what a graph takes and of what it gives."""
    flow = FLOWS[role]
    takes, gives = (
        Layout(1, cell_px) if kind == "frames" else Layout(2, 1)
        for kind in (flow.takes, flow.gives)
    )
    return takes, gives


def to_dtype(values: npt.NDArray[np.float32], *, out: npt.NDArray[Any]) -> None:
    """Write blended values, to the nearest level where the target is uint8."""
    if out.dtype == np.uint8:
        np.rint(values, out=values)
    np.copyto(out, values, casting="unsafe")
