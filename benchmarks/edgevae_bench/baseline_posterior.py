"""The posterior of a checkpoint on clips, in PyTorch: bundles give its mean alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgevae.frames import Frames, round_up
from edgevae.nn import load_checkpoint
from edgevae.nn.config import SPATIAL_FACTOR


@torch.inference_mode()
def kl_by_channel(checkpoint: Path, clips: list[Frames]) -> tuple[float, ...]:
    """Return KL(q, N(0, 1)) of each latent channel in nats, mean over the cells of all clips.

    0 says nothing; a channel of 1 nat a cell tells about 3 values apart there.

    Args:
        checkpoint: One of ours.
        clips: uint8 `[T, H, W, 3]`.

    Raises:
        EdgeVaeError: as `edgevae.nn.load_checkpoint`.
    """
    vae = load_checkpoint(checkpoint)
    found = []
    for clip in clips:
        posterior, _ = vae.encode(_whole(clip, frames=vae.config.temporal_factor)[None])
        found.append(posterior.kl().flatten(0, 1).transpose(0, 1).flatten(1))
    return tuple(torch.cat(found, 1).mean(1).tolist())


def _whole(clip: Frames, *, frames: int) -> torch.Tensor:
    """Return a clip `[T, 3, H, W]` in -1..1, continued at its edges to whole chunks and cells."""
    t, h, w, _ = clip.shape
    extent = (round_up(t, frames), round_up(h, SPATIAL_FACTOR), round_up(w, SPATIAL_FACTOR))
    missing = [(0, whole - n) for whole, n in zip(extent, (t, h, w), strict=True)]
    padded = np.pad(clip, [*missing, (0, 0)], mode="edge")
    return torch.from_numpy(padded).permute(0, 3, 1, 2).float() / 127.5 - 1.0
