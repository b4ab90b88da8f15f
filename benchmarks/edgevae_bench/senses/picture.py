"""A picture of senses filled in: for each clip what is true, and what is said from all senses and from each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgevae.errors import InputError
from edgevae.files import atomic_file
from edgevae.frames import Frames
from edgevae.mel import FLOOR_DB
from edgevae.runtime.multimodal import MultimodalVae
from edgevae.senses import Array, Sense
from edgevae_bench.senses.data import Clips
from edgevae_bench.senses.run import decoded, latents_of

FRAMES_SHOWN = 4
LABEL_PX, GAP_PX, BETWEEN_PX, ROW_PX = 120, 4, 14, 64
_GROUND = 24


def write_picture(vae: MultimodalVae, clips: Clips, path: Path) -> None:
    """Write a PNG: for each window a block with a row for the truth and for each choice of senses; whole or absent.

    Args:
        vae: Open.
        clips: The windows, a few.
        path: The file.

    Raises:
        InputError: the path does not end in .png.
    """
    check_picture(path)
    image = Image.fromarray(compose(vae, clips))
    with atomic_file(path) as partial:
        image.save(partial, format="PNG", optimize=True)


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be written, before what it is to show is worked out.

    Raises:
        InputError: the path does not end in .png.
    """
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: got {path.suffix or 'no extension'}, expected .png")


def compose(vae: MultimodalVae, clips: Clips) -> Frames:
    """Return the picture, uint8 RGB."""
    names = vae.senses.names
    shown = [s for s in vae.senses.senses if s.kind != "tracks"]
    choices: list[tuple[str, ...]] = [names, *((n,) for n in names)]
    rows = {"true": {s.name: clips[s.name] for s in shown}}
    for given in choices:
        latents = latents_of(vae, clips, given)
        label = "all" if given == names else f"{given[0]} alone"
        rows[label] = {s.name: decoded(vae, latents, s.name) for s in shown}
    blocks = []
    for index in range(len(clips[names[0]])):
        block = [_row(label, shown, row, index) for label, row in rows.items()]
        blocks += [np.concatenate(block), _empty(BETWEEN_PX, block[0].shape[1])]
    return np.concatenate(blocks[:-1])


def _row(label: str, senses: Sequence[Sense], row: dict[str, Array], index: int) -> Frames:
    parts = [_label(label)]
    for sense in senses:
        window = row[sense.name][index]
        parts += _frames(window) if sense.kind == "frames" else _spectrograms(window)
    between = _empty(ROW_PX, GAP_PX)
    line = np.concatenate([p for part in parts for p in (part, between)], axis=1)
    return np.concatenate([line, _empty(GAP_PX, line.shape[1])])


def _frames(window: Array) -> list[Frames]:
    at = np.linspace(0, len(window) - 1, min(FRAMES_SHOWN, len(window))).round().astype(int)
    return [_scaled(Image.fromarray(window[i].astype(np.uint8)), ROW_PX) for i in at]


def _spectrograms(window: Array) -> list[Frames]:
    """Return a spectrogram a channel, low pitches below."""
    level = window.astype(np.float32) - FLOOR_DB
    grey = np.clip(level * (255.0 / -FLOOR_DB), 0, 255).astype(np.uint8)
    return [_scaled(Image.fromarray(one.T[::-1]).convert("RGB"), ROW_PX) for one in grey]


def _scaled(picture: Image.Image, height: int) -> Frames:
    width = max(1, round(picture.width * height / picture.height))
    return np.asarray(picture.resize((width, height), Image.Resampling.NEAREST))


def _label(text: str) -> Frames:
    picture = Image.new("RGB", (LABEL_PX, ROW_PX), (_GROUND,) * 3)
    ImageDraw.Draw(picture).text((6, ROW_PX // 2 - 6), text, fill=(230, 230, 230))
    return np.asarray(picture)


def _empty(height: int, width: int) -> Frames:
    return np.full((height, width, 3), _GROUND, np.uint8)
