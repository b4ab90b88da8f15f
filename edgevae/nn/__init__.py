"""The networks, in PyTorch: image and video VAEs of 2-D convolutions with explicit causal state."""

from __future__ import annotations

from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.nn.config import PRESETS, VaeConfig, preset
from edgevae.nn.image import ImageVae
from edgevae.nn.vae import Vae
from edgevae.nn.video import VideoVae

__all__ = [
    "PRESETS",
    "ImageVae",
    "Vae",
    "VaeConfig",
    "VideoVae",
    "load_checkpoint",
    "preset",
    "save_checkpoint",
]
