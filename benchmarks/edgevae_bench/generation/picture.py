"""A picture of clips: for each subject its name and some clips, frame beside frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae_bench.generation.figures import Grey

SHOWN_FRAMES = 10
"""Of a clip: every second one where it has twenty."""
GAP_PX, LABEL_PX = 2, 16
"""Around frames, and above each subject."""
_GROUND, _INK = 90, 235


def write_picture(shown: Mapping[str, Grey], path: Path) -> None:
    """Write a PNG of clips `[n, T, H, W]` by subject; the file is whole or absent.

    Raises:
        InputError: the path does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: got {path.suffix or 'no extension'}, expected .png")
    image = compose(shown)
    with atomic_file(path) as partial:
        image.save(partial, format="PNG", optimize=True)


def compose(shown: Mapping[str, Grey]) -> Image.Image:
    """Return the picture, grey."""
    blocks = {name: np.concatenate([_row(clip) for clip in clips]) for name, clips in shown.items()}
    width = max(block.shape[1] for block in blocks.values())
    height = sum(LABEL_PX + block.shape[0] for block in blocks.values())
    image = Image.new("L", (width, height), _GROUND)
    draw, top = ImageDraw.Draw(image), 0
    for name, block in blocks.items():
        draw.text((GAP_PX, top + 2), name, fill=_INK)
        image.paste(Image.fromarray(block), (0, top + LABEL_PX))
        top += LABEL_PX + block.shape[0]
    return image


def _row(clip: Grey) -> Grey:
    """Return frames of a clip `[T, H, W]` side by side, spread over it, with a gap after each and below."""
    chosen = clip[:: max(1, len(clip) // SHOWN_FRAMES)][:SHOWN_FRAMES]
    framed = np.pad(chosen, ((0, 0), (0, GAP_PX), (0, GAP_PX)), constant_values=_GROUND)
    return np.concatenate(list(framed), axis=1)
