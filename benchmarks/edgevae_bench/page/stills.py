"""Frames as WebP in the page: source, reconstruction and difference, without loss as long as that is small."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgevae.frames import Frames
from edgevae_bench.page.view import Pictures, Shown
from edgevae_bench.picture import AMPLIFY, amplified_difference
from edgevae_bench.quality import psnr_db

MAX_SIDE_PX = 1280
"""Of larger frames the middle is shown, pixel for pixel."""

LOSSLESS_BYTES = 2 * 2**20
"""All pictures of a page together are at most so large, or are stored with loss."""

QUALITY = 90
"""WebP's setting where pictures are stored with loss."""

EFFORT = 40
"""WebP's setting without loss: how hard it tries, 0..100. More costs seconds and saves a few percent."""


@dataclass(frozen=True, kw_only=True)
class Still:
    """One frame, three ways, as data URIs."""

    title: str
    """Which, why it is shown, and its PSNR."""
    source: str
    """What went in."""
    made: str
    """What came out."""
    difference: str
    """|source - reconstruction| x `AMPLIFY`, of the frames as they were, not of the pictures as they are stored."""


@dataclass(frozen=True, kw_only=True)
class Stills:
    """The pictures of a page."""

    subject: str
    """Who reconstructed them."""
    stills: tuple[Still, ...]
    """In the order of the clip."""
    width_px: int
    """Of each picture."""
    height_px: int
    """Of each picture."""
    remark: str
    """How they are stored, and what part of the frames they are."""
    amplify: int = AMPLIFY
    """How many times as large the difference is."""


def embed(pictures: Pictures) -> Stills:
    """Return the pictures as data URIs; a frame that comes twice is there once, with all its titles."""
    titles: dict[int, list[str]] = {}
    for one in pictures.shown:
        titles.setdefault(one.index, []).append(one.title)
    rows = [row for _, row in sorted({one.index: one for one in pictures.shown}.items())]
    if not rows:
        return Stills(subject=pictures.subject, stills=(), width_px=0, height_px=0, remark="")
    panels = [_panels(row) for row in rows]
    files = [[webp(panel, lossless=True) for panel in three] for three in panels]
    lossless = sum(len(file) for three in files for file in three) <= LOSSLESS_BYTES
    stored = "Stored as WebP without loss."
    if not lossless:
        files = [[webp(panel, lossless=False) for panel in three] for three in panels]
        stored = (
            f"Stored as WebP at quality {QUALITY}, {_loss_db(panels, files):.1f} dB or better from "
            "the frames that were measured."
        )
    h, w, _ = panels[0][0].shape
    return Stills(
        subject=pictures.subject,
        stills=tuple(
            _still(row, titles[row.index], three) for row, three in zip(rows, files, strict=True)
        ),
        width_px=w,
        height_px=h,
        remark=f"{stored} {_extent(rows[0].source, h, w)}Reconstruction by {pictures.subject}.",
    )


def _panels(row: Shown) -> list[Frames]:
    difference = amplified_difference(row.source, row.reconstruction)
    return [_middle(frame) for frame in (row.source, row.reconstruction, difference)]


def _middle(frame: Frames) -> Frames:
    h, w, _ = frame.shape
    top, left = max(h - MAX_SIDE_PX, 0) // 2, max(w - MAX_SIDE_PX, 0) // 2
    return frame[top : top + MAX_SIDE_PX, left : left + MAX_SIDE_PX]


def webp(frame: Frames, *, lossless: bool) -> bytes:
    """Return a frame `[H, W, 3]` as the bytes of a WebP file."""
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(frame))
    image.save(
        file,
        format="WEBP",
        lossless=lossless,
        quality=EFFORT if lossless else QUALITY,
        method=2,
        exact=True,
    )
    return file.getvalue()


def _loss_db(panels: Sequence[Sequence[Frames]], files: Sequence[Sequence[bytes]]) -> float:
    """Return the smallest PSNR of a stored source or reconstruction against the frame itself."""
    pairs = [
        (panel, file)
        for panel_row, file_row in zip(panels, files, strict=True)
        for panel, file in list(zip(panel_row, file_row, strict=True))[:2]
    ]
    return min(psnr_db(_mse(panel, file)) for panel, file in pairs)


def _mse(panel: Frames, file: bytes) -> float:
    with Image.open(io.BytesIO(file)) as image:
        stored = np.asarray(image.convert("RGB"), np.float32)
    return float(np.square(stored - panel).mean())


def _extent(frame: Frames, height_px: int, width_px: int) -> str:
    if frame.shape[:2] == (height_px, width_px):
        return ""
    return f"The middle {width_px}x{height_px} of {frame.shape[1]}x{frame.shape[0]} pixels. "


def _still(row: Shown, titles: Sequence[str], files: Sequence[bytes]) -> Still:
    source, made, difference = (
        "data:image/webp;base64," + base64.b64encode(file).decode() for file in files
    )
    title = f"{row.index} ({', '.join(titles)}), {row.psnr_db:.2f} dB"
    return Still(title=title, source=source, made=made, difference=difference)
