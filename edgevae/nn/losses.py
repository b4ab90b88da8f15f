"""Reconstruction losses and measures on clips `[B, T, 3, H, W]` in -1..1."""

from __future__ import annotations

import torch
from torch import Tensor

_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales of MS-SSIM, fine to coarse (Wang, Simoncelli and Bovik 2003)."""
_KERNEL_PX = 11


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


def ms_ssim(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the mean MS-SSIM of the frames, with as many of the five scales as their size allows."""
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as measure,
    )

    side = min(clips.shape[-2:])
    scales = 1
    while scales < len(_BETAS) and side // 2**scales >= _KERNEL_PX:
        scales += 1
    betas = tuple(b / sum(_BETAS[:scales]) for b in _BETAS[:scales])
    made, source = ((x.flatten(0, 1).float() + 1.0) * 0.5 for x in (reconstruction, clips))
    value = measure(
        made, source, data_range=1.0, betas=betas, kernel_size=_KERNEL_PX, normalize="relu"
    )
    assert isinstance(value, Tensor)
    return value


def psnr_db(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the PSNR of each clip `[B]` in dB over all its frames; the reconstruction is clamped, but not rounded."""
    error = (reconstruction.float().clamp(-1.0, 1.0) - clips.float()).square().flatten(1).mean(1)
    return 10.0 * torch.log10(4.0 / error.clamp_min(1e-10))
