"""What an evaluation is to measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edgevae.errors import InputError
from edgevae.spec import Precision
from edgevae_bench.evaluation.protocol import Protocol

Progress: TypeAlias = Callable[[str, int, int], object]
"""Told what is being done, how many clips are done, and of how many."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure."""

    bundle: Path
    """The folder of the model."""
    checkpoint: Path | None
    """The folder of its weights, for PyTorch in half precision; None where there is none."""
    clips: tuple[str, ...]
    """Video files or still images."""
    max_frames: int | None
    """Frames from the start of each; None for all."""
    sides_px: tuple[int, ...]
    """Also as squares of these sizes."""
    latents_8bit: bool
    """Also with 8-bit latents."""
    half: bool
    """Also in half precision."""
    x264: bool
    """Also x264 at the bytes of the 8-bit latents, which this includes."""
    channels: tuple[int, ...]
    """Also with so many latent channels."""
    threads: int
    """CPU threads."""
    backend: str = "onnxruntime"
    """As `edgevae.load` takes it."""
    device: str = "cpu"
    """As `edgevae.load` takes it."""
    precision: Precision | None = "fp32"
    """As `edgevae.load` takes it."""

    def __post_init__(self) -> None:
        names = [Path(clip).stem for clip in self.clips]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"clips: got {twice[0]!r} twice, expected different names; rename one of them"
            )

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """Return native size first, then the squares."""
        sides = (None, *dict.fromkeys(self.sides_px))
        return tuple(Protocol(max_frames=self.max_frames, side_px=side) for side in sides)
