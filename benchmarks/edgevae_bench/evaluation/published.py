"""What others publish of their video VAEs at the same compression. Their data are not ours: an order of magnitude."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A figure as its authors give it."""

    model: str
    """Its name there."""
    psnr_db: float
    """Mean reconstruction PSNR."""
    data: str
    """On what."""
    where: str
    """Who says so."""


COMPRESSION_RATIO = 48.0
"""Of all of `PUBLISHED`: 4 frames x 8 x 8 pixels to 16 channels."""

PUBLISHED = (
    Published("VidTok (KL, causal, 16 channels)", 35.04, "MCL-JCV, 256x256", "its README"),
    Published("WF-VAE-L (16 channels)", 35.8, "other clips", "as published"),
    Published("CogVideoX VAE", 35.7, "other clips", "as published"),
    Published("LeanVAE (16 channels, 40 M parameters)", 30.15, "other clips", "its README"),
)
"""Reconstruction at 4x8x8 and 16 channels."""
