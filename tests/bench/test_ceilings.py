"""The kernels whose rate is called attainable do the work that they are counted for."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae_bench.onnxruntime_ceilings import CHANNELS, DEPTH, HEIGHT, WIDTH, convolutions


def test_the_convolutions_of_onnx_runtime_are_all_done():
    name, flop, run = convolutions(threads=1)
    (found,) = run()
    assert found.shape == (1, CHANNELS, HEIGHT, WIDTH)
    # Far from the borders each convolution of constant pixels multiplies them by 64 * 9 * 0.001.
    assert found[0, 0, HEIGHT // 2, WIDTH // 2] == pytest.approx(0.576**DEPTH, rel=1e-5)
    assert np.ptp(found[0, :, HEIGHT // 2, WIDTH // 2]) < 1e-6
    assert flop == DEPTH * 2 * CHANNELS**2 * 9 * HEIGHT * WIDTH
    assert name.startswith("ONNX Runtime, 4 3x3 convolutions")
