"""SSIM and MS-SSIM of a frame, in numpy and scipy.

SSIM: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity", 2004.
MS-SSIM: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", 2003.

    luminance   l = (2 ma mb + C1) / (ma^2 + mb^2 + C1)         C1 = (0.01 * 255)^2
    contrast    c = (2 vab + C2) / (va + vb + C2)               C2 = (0.03 * 255)^2

Means m and (co)variances v are under an 11x11 Gaussian of deviation 1.5, only where it lies wholly inside the frame.
R, G and B are three images of the same weight: their maps are averaged together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

Image = npt.NDArray[np.float64]

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales of MS-SSIM, from the full size down (Wang 2003, section 3.2)."""

RADIUS_PX = 5
"""The window reaches this far on each side of its centre."""

MIN_SSIM_PX = 2 * RADIUS_PX + 1
"""Frames with a shorter side have no SSIM."""

MIN_MS_SSIM_PX = MIN_SSIM_PX * 2 ** (len(SCALE_WEIGHTS) - 1)
"""Frames with a shorter side have no MS-SSIM: fewer scales would give another number under the same name."""

_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_GAUSSIAN = np.exp(-0.5 * (np.arange(-RADIUS_PX, RADIUS_PX + 1) / 1.5) ** 2)
_GAUSSIAN /= _GAUSSIAN.sum()


def similarity(
    a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]
) -> tuple[float | None, float | None]:
    """Return SSIM and MS-SSIM of two frames `[H, W, 3]`, 1.0 for equal ones.

    SSIM is None where H or W is below `MIN_SSIM_PX`, MS-SSIM where one is below `MIN_MS_SSIM_PX`. Both cost about 0.1 s
    for a frame of 640x360 on one core; the first scale is shared.
    """
    side = min(a.shape[:2])
    if side < MIN_SSIM_PX:
        return None, None
    x, y = a.astype(np.float64), b.astype(np.float64)
    ssim, contrast = _means(x, y)
    if side < MIN_MS_SSIM_PX:
        return ssim, None
    product = max(contrast, 0.0) ** SCALE_WEIGHTS[0]
    for weight in SCALE_WEIGHTS[1:-1]:
        x, y = _halve(x), _halve(y)
        product *= max(_means(x, y)[1], 0.0) ** weight
    coarsest, _ = _means(_halve(x), _halve(y))
    return ssim, product * max(coarsest, 0.0) ** SCALE_WEIGHTS[-1]


def _means(x: Image, y: Image) -> tuple[float, float]:
    """Return the means of luminance * contrast (SSIM) and of contrast alone.

    Filtering the sum s and the difference d of the frames takes four filters where a, b, a^2, b^2 and ab take five:
    4ab = s^2 - d^2 and 2(a^2 + b^2) = s^2 + d^2.
    """
    total, difference = x + y, x - y
    mean_s2, mean_d2 = _blur(total) ** 2, _blur(difference) ** 2
    var_s, var_d = _blur(total**2) - mean_s2, _blur(difference**2) - mean_d2
    contrast = ((var_s - var_d) / 2 + _C2) / ((var_s + var_d) / 2 + _C2)
    luminance = ((mean_s2 - mean_d2) / 2 + _C1) / ((mean_s2 + mean_d2) / 2 + _C1)
    return float((luminance * contrast).mean()), float(contrast.mean())


def _blur(image: Image) -> Image:
    """Return the Gaussian-weighted means of `[H, W, 3]`, only where the window fits: `[H - 10, W - 10, 3]`."""
    rows = correlate1d(image, _GAUSSIAN, axis=0)[RADIUS_PX:-RADIUS_PX]
    blurred: Image = correlate1d(rows, _GAUSSIAN, axis=1)[:, RADIUS_PX:-RADIUS_PX]
    return blurred


def _halve(image: Image) -> Image:
    """Return the means of 2x2 pixels; an odd last row or column is dropped."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1)
    halved: Image = blocks.mean(axis=(1, 3))
    return halved
