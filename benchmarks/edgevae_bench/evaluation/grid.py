"""A picture for a front page: one row a clip, source | reconstruction | difference, cut out at full size.

+-----------+-----------+-----------+
|  source   |   model   | difference|     a frame of every clip, or the clips, frames and places that are asked for
+-----------+-----------+-----------+     896 pixels wide: what a page shows without making it smaller
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.frames import Frames, psnr_dB
from edgevae_bench.picture import AMPLIFY, amplified_difference

PANEL_PX = (216, 288)
"""(H, W) of a panel."""

DEFAULT_FRAME = 8
"""The frame that is shown where none is asked for."""

MARGIN_PX, LABEL_PX = 8, 20
"""Around the panels, and above each."""

_BACKGROUND, _INK = (24, 24, 24), (235, 235, 235)
_CELL = re.compile(r"(?P<clip>[^:]+)(:(?P<frame>\d+)(:(?P<left>\d+),(?P<top>\d+))?)?")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A row of the grid: which frame of which clip, and what of it."""

    clip: str
    """Name of the file, with or without its suffix."""
    frame: int = DEFAULT_FRAME
    """Its index; a shorter clip shows its last one."""
    corner_px: tuple[int, int] | None = None
    """(left, top) of what is cut out; None for where the source has most detail."""


@dataclass(frozen=True)
class Shown:
    """A row with its pictures."""

    label: str
    """Which clip and frame."""
    psnr_db: float
    """Of the whole frame; infinite where it is equal."""
    source: Frames
    """Panel `[H, W, 3]`."""
    reconstruction: Frames
    """Panel of the same size."""


class Grid:
    """Collects the frames of a grid while the clips stream by.

    Args:
        cells: The rows, in order.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = tuple(cells)
        self._shown: dict[int, Shown] = {}

    def see(self, path: str, first: int, source: Frames, made: Frames) -> None:
        """Take what is wanted of a chunk; an `OnChunk` of `evaluate`."""
        for row, cell in enumerate(self._cells):
            index = min(cell.frame - first, len(source) - 1)
            if Path(path).stem == Path(cell.clip).stem and index >= 0:
                self._shown[row] = _cut(cell, first + index, source[index], made[index])

    @property
    def shown(self) -> tuple[Shown, ...]:
        """The rows so far, in the order in which they were asked for."""
        return tuple(self._shown[row] for row in sorted(self._shown))

    def write(self, path: Path, *, model: str) -> None:
        """Write the grid as PNG; the file is whole or absent."""
        image = _compose(self.shown, model)
        with atomic_file(path) as partial:
            image.save(partial, format="PNG", optimize=True)


def parse_cell(text: str) -> Cell:
    """Return the cell that `CLIP`, `CLIP:FRAME` or `CLIP:FRAME:LEFT,TOP` stands for.

    Raises:
        InputError: it is none of these.
    """
    match = _CELL.fullmatch(text)
    if match is None:
        raise InputError(f"--show: got {text!r}, expected CLIP, CLIP:FRAME or CLIP:FRAME:LEFT,TOP")
    corner = (int(match["left"]), int(match["top"])) if match["left"] else None
    frame = DEFAULT_FRAME if match["frame"] is None else int(match["frame"])
    return Cell(clip=match["clip"], frame=frame, corner_px=corner)


def cells_for(clips: Sequence[str], wanted: Sequence[str]) -> tuple[Cell, ...]:
    """Return the rows that were asked for, or one a clip.

    Args:
        clips: Paths of the clips.
        wanted: What `parse_cell` takes; empty for one a clip.

    Raises:
        InputError: a row names no clip.
    """
    stems = [Path(clip).stem for clip in clips]
    cells = tuple(map(parse_cell, wanted)) or tuple(Cell(clip=stem) for stem in stems)
    for cell in cells:
        if Path(cell.clip).stem not in stems:
            raise InputError(
                f"--show: got {cell.clip!r}, expected one of the clips: {', '.join(stems)}"
            )
    return cells


def densest_corner(frame: Frames) -> tuple[int, int]:
    """Return (left, top) of the panel-sized part of a frame `[H, W, 3]` with the largest sum of brightness steps."""
    light = frame.astype(np.float32).mean(axis=2)
    steps = np.zeros_like(light)
    steps[:, 1:] += np.abs(np.diff(light, axis=1))
    steps[1:] += np.abs(np.diff(light, axis=0))
    sums = np.pad(steps.cumsum(axis=0, dtype=np.float64).cumsum(axis=1), ((1, 0), (1, 0)))
    h, w = min(PANEL_PX[0], light.shape[0]), min(PANEL_PX[1], light.shape[1])
    windows = sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(left), int(top)


def _cut(cell: Cell, index: int, source: Frames, made: Frames) -> Shown:
    """Return the panels of a row; a frame smaller than a panel is framed in black."""
    left, top = densest_corner(source) if cell.corner_px is None else cell.corner_px
    left = min(left, max(0, source.shape[1] - PANEL_PX[1]))
    top = min(top, max(0, source.shape[0] - PANEL_PX[0]))
    psnr_db = psnr_dB(source, made)
    panels = [_panel(frame, left, top) for frame in (source, made)]
    return Shown(f"{Path(cell.clip).stem}, frame {index}", psnr_db, panels[0], panels[1])


def _compose(rows: Sequence[Shown], model: str) -> Image.Image:
    step_y, step_x = PANEL_PX[0] + LABEL_PX + MARGIN_PX, PANEL_PX[1] + MARGIN_PX
    canvas = Image.new("RGB", (3 * step_x + MARGIN_PX, len(rows) * step_y + MARGIN_PX), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for row, one in enumerate(rows):
        top = MARGIN_PX + row * step_y
        panels = (
            (one.label, one.source),
            (f"{model}, {one.psnr_db:.2f} dB", one.reconstruction),
            (f"difference x {AMPLIFY}", amplified_difference(one.source, one.reconstruction)),
        )
        for column, (label, panel) in enumerate(panels):
            left = MARGIN_PX + column * step_x
            draw.text((left, top + 3), label, fill=_INK)
            canvas.paste(Image.fromarray(panel), (left, top + LABEL_PX))
    return canvas


def _panel(frame: Frames, left: int, top: int) -> Frames:
    part = frame[top : top + PANEL_PX[0], left : left + PANEL_PX[1]]
    panel: Frames = np.zeros((*PANEL_PX, 3), np.uint8)
    y, x = (PANEL_PX[0] - part.shape[0]) // 2, (PANEL_PX[1] - part.shape[1]) // 2
    panel[y : y + part.shape[0], x : x + part.shape[1]] = part
    return panel
