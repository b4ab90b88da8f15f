"""A picture of what the model does: source, reconstruction and their difference, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.frames import Frames
from edgevae_bench.scoring import Shown

AMPLIFY = 4
"""Differences are shown this many times as large, so that an eye finds them."""

MARGIN_PX, LABEL_PX = 8, 20
"""Around the panels, and above each."""

_BACKGROUND, _INK = (24, 24, 24), (235, 235, 235)


def write_picture(shown: Sequence[Shown], path: Path, *, subject: str) -> None:
    """Write a PNG with one row per frame, at full size; the file is whole or absent.

        source | reconstruction by `subject` | |difference| x 4

    Args:
        shown: Frames of one size; one that comes twice is shown once, with all its titles.
        path: Where to; must end in .png.
        subject: Who reconstructed them.

    Raises:
        InputError: the path does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(
            f"{path}: got {path.suffix or 'no extension'}, expected a picture that ends in .png"
        )
    rows = _merge(shown)
    image = compose(rows, subject=subject)
    with atomic_file(path) as partial:
        image.save(partial, format="PNG")


def compose(rows: Sequence[Shown], *, subject: str) -> Image.Image:
    """Return the picture: three panels a row, each under its label."""
    h, w, _ = rows[0].source.shape
    step_x, step_y = w + MARGIN_PX, h + LABEL_PX + MARGIN_PX
    canvas = Image.new("RGB", (3 * step_x + MARGIN_PX, len(rows) * step_y + MARGIN_PX), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for row, one in enumerate(rows):
        top = MARGIN_PX + row * step_y
        panels = (
            (f"frame {one.index} ({one.title}): source", one.source),
            (f"{subject}, {one.psnr_db:.2f} dB", one.reconstruction),
            (f"|difference| x {AMPLIFY}", amplified_difference(one.source, one.reconstruction)),
        )
        for column, (label, panel) in enumerate(panels):
            left = MARGIN_PX + column * step_x
            draw.text((left, top + 3), _fit(draw, label, w), fill=_INK)
            canvas.paste(Image.fromarray(panel), (left, top + LABEL_PX))
    return canvas


def amplified_difference(source: Frames, reconstruction: Frames) -> Frames:
    """Return |source - reconstruction| times `AMPLIFY`, uint8, at most 255, of the same shape."""
    difference = np.abs(source.astype(np.int16) - reconstruction)
    amplified: Frames = np.minimum(difference * AMPLIFY, 255).astype(np.uint8)
    return amplified


def _merge(shown: Sequence[Shown]) -> list[Shown]:
    """Return one row per frame, in the order of the clip."""
    titles: dict[int, list[str]] = {}
    for one in shown:
        titles.setdefault(one.index, []).append(one.title)
    by_index = {one.index: one for one in shown}
    return [
        Shown(", ".join(titles[index]), index, one.psnr_db, one.source, one.reconstruction)
        for index, one in sorted(by_index.items())
    ]


def _fit(draw: ImageDraw.ImageDraw, label: str, width_px: int) -> str:
    """Return the label, cut off where it would run into the next panel."""
    while label and draw.textlength(label) > width_px:
        label = label[:-1]
    return label
