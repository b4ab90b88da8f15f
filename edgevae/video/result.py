"""What a run of the pipeline did, in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevae.frames import Frames
from edgevae.video.clip import ClipFormat


@dataclass(frozen=True, kw_only=True)
class ClipResult:
    """The outcome of one file."""

    output: str
    """The file that was written."""
    frames: int
    """How many frames went through."""
    width_px: int
    """Width of the picture."""
    height_px: int
    """Height of the picture."""
    seconds: float
    """Wall time of the whole run, without loading the model."""
    output_bytes: int
    """Size of the file that was written."""
    latent_channels: int
    """How many channels of the latents were kept; the decoder took the others as 0."""
    latents_bytes: int | None = None
    """Bytes of the latents as stored, without header, timestamps and sound."""
    psnr_db: float | None = None
    """PSNR over all frames, from their mean squared error; None where not measured, or where nothing differs."""
    notes: tuple[str, ...] = ()
    """What was assumed or lost, one line each."""

    @classmethod
    def of(
        cls,
        clip: ClipFormat,
        *,
        frames: int,
        seconds: float,
        output: Path,
        latent_channels: int,
        latents_bytes: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> ClipResult:
        """Return the result for a clip, with the size of the written file looked up."""
        return cls(
            output=str(output),
            frames=frames,
            width_px=clip.width_px,
            height_px=clip.height_px,
            seconds=seconds,
            output_bytes=output.stat().st_size,
            latent_channels=latent_channels,
            latents_bytes=latents_bytes,
            notes=notes,
        )

    @property
    def pixels(self) -> int:
        """Pixels of all frames."""
        return self.frames * self.width_px * self.height_px

    @property
    def fps(self) -> float:
        """Frames per second of the run."""
        return self.frames / self.seconds

    @property
    def bits_per_pixel(self) -> float | None:
        """Bits of the raw latents for a pixel of the clip; 24 before."""
        return None if self.latents_bytes is None else 8 * self.latents_bytes / self.pixels


def squared_error(a: Frames, b: Frames) -> int:
    """Return the sum of the squared differences of two arrays of equal shape, exactly."""
    difference = a.astype(np.int16) - b
    return int(np.square(difference, dtype=np.int32).sum(dtype=np.int64))


def peak_signal_to_noise_db(error: int, *, values: int) -> float | None:
    """Return 10 log10(255^2 / mean squared error) in dB, or None where the error is 0.

    Args:
        error: Sum of squared differences.
        values: How many values it sums over.
    """
    return None if error == 0 else 10 * math.log10(255**2 * values / error)
