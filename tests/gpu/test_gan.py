"""A generator without a prior on a device: what decides a clip is all in the caches."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae

pytestmark = pytest.mark.gpu

MODEL = "edgevae-gan-digits"


def test_a_device_makes_the_clips_of_the_cpu(backend):
    with edgevae.load_generator(MODEL, backend=backend) as generator:
        clips = generator.generate(frames=10, count=2, seed=3)
    with edgevae.load_generator(MODEL, device="cpu", precision="fp32") as other:
        expected = other.generate(frames=10, count=2, seed=3)
    assert clips.shape == (2, 10, 64, 64, 3)
    assert np.abs(clips.astype(int) - expected).max() <= 8
