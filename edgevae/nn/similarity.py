"""SSIM and MS-SSIM as losses: differentiable, and cheap on a CPU, where they are products of small matrices.

Defined as in `edgevae_bench.similarity`, which cites the papers: an 11x11 Gaussian of deviation 1.5, only where it lies
wholly inside the frame, R, G and B three images of the same weight. A Gaussian that is separable is two products,

    blur(x) = G_h x G_w^T        G [side - 10, side], each row the window one pixel further on

which take a sixth of the time of torchmetrics' convolutions here. With s = a + b and d = a - b, four blurs do:

    contrast * structure = (v_s - v_d + 2 C2) / (v_s + v_d + 2 C2)      luminance the same of squared means, with C1
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of MS-SSIM, fine to coarse (Wang, Simoncelli and Bovik 2003)."""
WINDOW_PX = 11
"""Frames with a shorter side have no SSIM."""
_C1, _C2 = 0.01**2, 0.03**2


def ssim(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the mean SSIM of the frames of clips `[B, T, 3, H, W]` in -1..1; H and W are at least `WINDOW_PX`."""
    made, source = _frames(reconstruction), _frames(clips)
    with torch.autocast(made.device.type, enabled=False):
        luminance, contrast = _terms(made, source)
        return (luminance * contrast).mean()


def ms_ssim(reconstruction: Tensor, clips: Tensor) -> Tensor:
    """Return the mean MS-SSIM of the frames, with as many of the five scales as their size allows.

    A term below zero counts as zero; at most 1, which is for equal frames.
    """
    made, source = _frames(reconstruction), _frames(clips)
    side = min(made.shape[-2:])
    weights = [w for scale, w in enumerate(_SCALE_WEIGHTS) if side // 2**scale >= WINDOW_PX]
    product = torch.ones((), device=made.device)
    with torch.autocast(made.device.type, enabled=False):
        for scale, weight in enumerate(weights):
            luminance, contrast = _terms(made, source)
            last = scale == len(weights) - 1
            term = (luminance * contrast if last else contrast).mean((1, 2, 3))
            # Not exactly 0, where a power below 1 has no gradient.
            product = product * term.clamp_min(1e-6) ** (weight / sum(weights))
            made, source = avg_pool2d(made, 2), avg_pool2d(source, 2)
    return product.mean()


def _frames(clips: Tensor) -> Tensor:
    """Return the frames `[B*T, 3, H, W]` of clips in -1..1, float32 in 0..1."""
    return (clips.flatten(0, 1).float() + 1.0) * 0.5


def _terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maps of luminance and of contrast times structure, `[N, 3, H - 10, W - 10]`."""
    total, difference = a + b, a - b
    mean_s, mean_d = _blur(total).square(), _blur(difference).square()
    var_s, var_d = _blur(total.square()) - mean_s, _blur(difference.square()) - mean_d
    contrast = (var_s - var_d + 2 * _C2) / (var_s + var_d + 2 * _C2)
    luminance = (mean_s - mean_d + 2 * _C1) / (mean_s + mean_d + 2 * _C1)
    return luminance, contrast


def _blur(images: Tensor) -> Tensor:
    rows, columns = (_window_matrix(side, images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _window_matrix(side: int, like: Tensor) -> Tensor:
    """Return G, `[side - 10, side]`; in few operations: a loop over its rows would be most of a step on a GPU."""
    x = torch.arange(WINDOW_PX, device=like.device) - WINDOW_PX // 2
    window = torch.exp(-0.5 * (x / 1.5) ** 2)
    pixel = torch.arange(side, device=like.device)
    place = pixel - pixel[: side - WINDOW_PX + 1, None]  # of each pixel in the window of each row
    inside = (place >= 0) & (place < WINDOW_PX)
    return (window / window.sum())[place.clamp(0, WINDOW_PX - 1)] * inside
