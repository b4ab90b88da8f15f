"""How far blended tiles are from what lies across their seam: measured where nobody can run the whole frame.

    tile i        |-----------------|                 the blend of both, in the zone b,
    tile i+1                  |-----------------|
    across               |-----------------|          against a tile that has the seam in its middle
                              |--b--|

All three are calls of the same shape, so that the check fits where a tile fits. The tile across the seam is no truth: a
model that sees the whole frame makes of a part of it something else than of the frame. It says how much of that
difference changes from one tile to the next, which is what would be seen as a seam; not how far both are from the
untiled result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.runtime.session import Session
from edgevae.runtime.stitching import layouts
from edgevae.spec import Role, VaeSpec
from edgevae.tiles import Grid, Span


@dataclass(frozen=True)
class Seam:
    """The difference in the blended zone of the cut nearest to the middle of the frame, first clip, first chunk."""

    role: Role
    """Of which graph."""
    cut: Grid
    """How the frame is cut."""
    cell_px: int
    """Pixels per latent cell."""
    largest: float
    """Largest difference: levels of 255 for a decoder, unit scale for an encoder."""
    rms: float
    """Root of the mean squared difference, likewise."""

    @property
    def psnr_dB(self) -> float:
        """For a decoder: the blended frames' PSNR against those of the tile across the seam."""
        return math.inf if self.rms == 0 else 20 * math.log10(255.0 / self.rms)

    def said(self) -> str:
        """Return it as one line."""
        (height, width), (tall, wide) = (
            tuple(side * self.cell_px for side in size) for size in (self.cut.extent, self.cut.tile)
        )
        blended_px = 2 * self.cut.margin * self.cell_px
        error = (
            f"{self.largest:.0f} levels at most, PSNR {self.psnr_dB:.1f} dB"
            if self.role == "decoder"
            else f"{self.largest:.3g} at most, {self.rms:.3g} rms, of latents of unit scale"
        )
        return (
            f"{self.role}: {width}x{height} in {self.cut.count} tiles of {wide}x{tall} px, blended over {blended_px} "
            "px: the model sees the whole frame, so this is not what the frame at once would give; at a seam the "
            f"blend and a tile across it differ by {error}"
        )


def measure_seam(
    session: Session, spec: VaeSpec, data: npt.NDArray[np.generic], *, cut: Grid, batch: int
) -> Seam:
    """Return the error at one seam; three calls of the graph on the first chunk's data, with fresh states.

    Args:
        session: Runs the graph on tiles.
        spec: Of the model.
        data: What the graph takes for the whole frame.
        cut: How the frame is cut; at least one side is.
        batch: Clips side by side.
    """
    role, cell = session.graph.role, spec.spatial_factor
    source, target = layouts(role, cell_px=cell)
    height, width = (side * cell for side in cut.tile)
    pair, still, across, is_wide = _around(cut)
    alone = Grid((still,), pair, cut.margin) if is_wide else Grid(pair, (still,), cut.margin)

    def zone(span: Span, *, weighed: bool) -> npt.NDArray[np.float32]:
        """Run a tile and return its result in the blended zone, first clip, without the lead."""
        row, column = (still, span) if is_wide else (span, still)
        state = session.initial_state(batch=batch, height_px=height, width_px=width)
        result, _ = session.run(source.cut(data, row, column), state)
        if weighed:
            result = target.weigh(result, row, column, cut=alone)
        cells = tuple(pair[0].keep_past + n - span.first for n in (-cut.margin, cut.margin))
        whole = (0, still.past - still.first)
        inside = target.at(*((whole, cells) if is_wide else (cells, whole)))
        lead = spec.lead_frames if role == "decoder" else 0
        part: npt.NDArray[np.float32] = result[inside][lead : len(result) // batch]
        return part.astype(np.float32)

    blended = zone(pair[0], weighed=True) + zone(pair[1], weighed=True)
    difference = blended - zone(across, weighed=False)
    return Seam(
        role,
        cut,
        cell,
        largest=float(np.abs(difference).max()),
        rms=float(np.sqrt(np.square(difference, dtype=np.float64).mean())),
    )


def _around(cut: Grid) -> tuple[tuple[Span, Span], Span, Span, bool]:
    """Return the tiles on both sides of the middle cut, where they are along it, and the tile across it.

    Each is told that nothing but that cut is there, so that it has no other ramp. The last is whether the cut is
    between columns.
    """
    is_wide = len(cut.columns) > 1
    along, other = (cut.columns, cut.rows) if is_wide else (cut.rows, cut.columns)
    i = (len(along) - 2) // 2
    one, two = along[i : i + 2]
    seam, length, tile = one.keep_past, along[-1].past, one.past - one.first
    pair = (Span(one.first, one.past, 0, seam), Span(two.first, two.past, seam, two.past))
    middle = other[(len(other) - 1) // 2]
    still = Span(middle.first, middle.past, 0, middle.past)
    first = min(max(seam - tile // 2, 0), length - tile)
    return pair, still, Span(first, first + tile, 0, first + tile), is_wide
