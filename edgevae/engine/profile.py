"""Optimization profiles: the frame sizes that an engine is built for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgevae.errors import InputError
from edgevae.frames import round_up

PRESETS = {"360p": (360, 640), "480p": (480, 832), "720p": (720, 1280), "1080p": (1080, 1920)}
"""Height and width of the named sizes, in pixels; 480p is the 480x832 of video models."""

_SIZE = re.compile(r"(?:(?P<batch>[1-9]\d*)x)?(?P<height>[1-9]\d*)x(?P<width>[1-9]\d*)")


@dataclass(frozen=True, order=True, kw_only=True)
class Size:
    """One size of a call."""

    batch: int = 1
    """Clips that run side by side."""
    height: int
    """Of the frames, in pixels; a multiple of the spatial factor where it meets a graph."""
    width: int
    """Of the frames, in pixels; likewise."""

    def __str__(self) -> str:
        return f"{self.batch}x{self.height}x{self.width}"

    def sizes(self) -> dict[str, int]:
        """Return what `TensorSpec.resolve` takes."""
        return {"batch": self.batch, "height": self.height, "width": self.width}

    def in_cells(self, cell_px: int) -> Size:
        """Return the size with height and width rounded up to whole latent cells, as frames are padded."""
        return Size(
            batch=self.batch,
            height=round_up(self.height, cell_px),
            width=round_up(self.width, cell_px),
        )


@dataclass(frozen=True, order=True, kw_only=True)
class Profile:
    """The sizes that an engine takes, and the one that it is fastest at."""

    min: Size
    """The smallest, on every axis."""
    opt: Size
    """The one that the kernels are chosen for."""
    max: Size
    """The largest, on every axis; activation memory is sized for it."""

    def __post_init__(self) -> None:
        for axis in ("batch", "height", "width"):
            least, best, most = (getattr(s, axis) for s in (self.min, self.opt, self.max))
            if not 1 <= least <= best <= most:
                raise InputError(
                    f"profile: {axis} is min {least}, opt {best}, max {most}, expected 1 <= min <= opt <= max"
                )

    def __str__(self) -> str:
        return str(self.opt) if self.is_static else f"{self.min}..{self.opt}..{self.max}"

    @classmethod
    def static(cls, size: Size) -> Profile:
        """Return the profile of one size, whose engine is the fastest."""
        return cls(min=size, opt=size, max=size)

    @property
    def is_static(self) -> bool:
        """Whether it is one size only."""
        return self.min == self.max

    @property
    def pixels(self) -> int:
        """Of a call of the largest size: batch x height x width, which its memory grows with."""
        return self.max.batch * self.max.height * self.max.width

    def covers(self, size: Size) -> bool:
        """Return whether an engine of this profile takes a size."""
        return all(
            getattr(self.min, axis) <= getattr(size, axis) <= getattr(self.max, axis)
            for axis in ("batch", "height", "width")
        )


def parse_size(text: str) -> Size:
    """Return the size that `HxW`, `BxHxW` or the name of a preset stands for.

    Raises:
        InputError: it is none of these.
    """
    if text in PRESETS:
        height, width = PRESETS[text]
        return Size(height=height, width=width)
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(
            f"size: got {text!r}, expected HEIGHTxWIDTH, BATCHxHEIGHTxWIDTH or one of {', '.join(PRESETS)}"
        )
    return Size(
        batch=int(match["batch"] or 1), height=int(match["height"]), width=int(match["width"])
    )


def smallest(profiles: Sequence[Profile], size: Size) -> int | None:
    """Return which profile suits a size best: that of exactly this size, else the smallest that covers it.

    Returns:
        Its index, or None where none covers the size.
    """
    covering = [i for i, profile in enumerate(profiles) if profile.covers(size)]
    return min(covering, key=lambda i: profiles[i].pixels, default=None)
