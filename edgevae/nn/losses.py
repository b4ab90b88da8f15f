"""Reconstruction losses and measures on clips `[B, T, 3, H, W]` in -1..1."""

from __future__ import annotations

import torch
from torch import Tensor


def charbonnier(difference: Tensor, *, epsilon: float) -> Tensor:
    """Return the mean of sqrt(d^2 + epsilon^2): squared below epsilon, absolute above."""
    return torch.sqrt(difference.square() + epsilon * epsilon).mean()


def frame_difference(difference: Tensor, *, epsilon: float) -> Tensor:
    """Return the Charbonnier loss of how the error changes from frame to frame; 0 for a single frame.

    Args:
        difference: Reconstruction minus clip, `[B, T, 3, H, W]`.
        epsilon: As in `charbonnier`.
    """
    if difference.shape[1] < 2:
        return difference.new_zeros(())
    return charbonnier(difference[:, 1:] - difference[:, :-1], epsilon=epsilon)


def log_error(difference: Tensor) -> Tensor:
    """Return the mean over clips of the logarithm of their mean squared error: PSNR as a loss, 1 is 4.3 dB.

    Every clip then counts the same, however hard it is; below 46 dB only, where there is nothing left to see.

    Args:
        difference: Reconstruction minus clip, `[B, T, 3, H, W]`.
    """
    return torch.log(difference.square().flatten(1).mean(1) + 1e-4).mean()


def boundary_flicker(difference: Tensor, *, factor: int) -> Tensor:
    """Return how far chunk boundaries stand out, mean over clips: (log of |D| at them over |D| inside chunks) squared.

    D is how the error changes from frame to frame; 0 is a clip whose boundaries cannot be told apart, 0.01 is 10 %.
    Far below one level of 255 nothing is seen and nothing counts.

    Args:
        difference: Reconstruction minus clip, `[B, T, 3, H, W]`, of at least two chunks.
        factor: Frames of a chunk, at least 2.
    """
    motion = (difference[:, 1:] - difference[:, :-1]).abs().mean((2, 3, 4))  # [B, T - 1]
    boundary = torch.arange(1, difference.shape[1], device=motion.device) % factor == 0
    # Weights and not a selection, whose size the host would have to wait for.
    at, inside = ((motion * where).sum(1) / where.sum() for where in (boundary, ~boundary))
    return torch.log((at + 1e-3) / (inside + 1e-3)).square().mean()


def psnr_db(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the PSNR of each clip `[B]` in dB over all its frames; the reconstruction is clamped, but not rounded."""
    error = (reconstruction.float().clamp(-1.0, 1.0) - clips.float()).square().flatten(1).mean(1)
    return 10.0 * torch.log10(4.0 / error.clamp_min(1e-10))
