"""The kernels whose rate is called attainable do the work that they are counted for."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae_bench import ceilings
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


def test_a_machine_that_is_too_slow_for_the_kernels_does_without_and_says_so(monkeypatch):
    monkeypatch.setattr(ceilings, "LONGEST_S", 0.01)
    job = ceilings.CeilingJob(device="cpu", precision="fp32", threads=1)
    assert "of fp32 on cpu were not measured within" in str(ceilings.measure_ceiling(job))
