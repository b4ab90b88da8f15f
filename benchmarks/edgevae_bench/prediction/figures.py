"""The figures of Moving MNIST's tables: squared error summed over a frame, and SSIM with a flat window.

    MSE     sum over the pixels of (a - b)^2, grey in 0..1; mean over frames and clips
    SSIM    Wang et al. 2004 with 7x7 equal weights and sample covariances, as scikit-image has it by default; mean

Both are those of PredRNN's evaluation (https://github.com/thuml/predrnn-pytorch, core/trainer.py). This SSIM is not
that of `similarity`, whose window is a Gaussian.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

Grey = npt.NDArray[np.uint8]
Figures = npt.NDArray[np.float64]

WINDOW_PX = 7
_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


def frame_squared_errors(said: Grey, true: Grey) -> Figures:
    """Return the squared error of each frame, summed over its pixels, of grey frames `[..., H, W]`."""
    difference = (said.astype(np.float64) - true.astype(np.float64)) / 255.0
    errors: Figures = np.square(difference).sum((-2, -1))
    return errors


def frame_similarities(said: Grey, true: Grey) -> Figures:
    """Return the SSIM of each frame of grey frames `[N, H, W]`; 1.0 for equal ones."""
    a, b = said.astype(np.float64), true.astype(np.float64)
    mean_a, mean_b = _mean(a), _mean(b)
    sample = WINDOW_PX**2 / (WINDOW_PX**2 - 1)
    variance_a = sample * (_mean(a * a) - mean_a**2)
    variance_b = sample * (_mean(b * b) - mean_b**2)
    covariance = sample * (_mean(a * b) - mean_a * mean_b)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    edge = WINDOW_PX // 2  # where the window lies inside the frame
    similarities: Figures = (luminance * structure)[:, edge:-edge, edge:-edge].mean((-2, -1))
    return similarities


def _mean(frames: Figures) -> Figures:
    means: Figures = uniform_filter(frames, size=(1, WINDOW_PX, WINDOW_PX))
    return means
