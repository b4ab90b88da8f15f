"""A VAE of several senses on a device: its engines are built and checked like a VAE's, a window a call."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae

pytestmark = pytest.mark.gpu


@pytest.fixture
def clip(random):
    return {
        "video": random.integers(0, 256, (6, 16, 16, 3), dtype=np.uint8),
        "sound": random.uniform(-80, 0, (1, 24, 8)).astype(np.float32),
        "tracks": random.uniform(-1, 1, (6, 2, 2)).astype(np.float32),
    }


def test_it_says_what_it_says_on_the_cpu_whatever_is_missing(backend, tiny_senses_bundle, clip):
    with (
        edgevae.load_multimodal(tiny_senses_bundle, backend=backend) as vae,
        edgevae.load_multimodal(tiny_senses_bundle, device="cpu", precision="fp32") as other,
    ):
        for names in (("video", "sound", "tracks"), ("sound",), ("video", "tracks")):
            given = {n: clip[n] for n in names}
            found, expected = vae.posterior(given), other.posterior(given)
            assert np.abs(found.mean - expected.mean).max() < 0.06
            assert np.abs(found.log_variance - expected.log_variance).max() < 0.06
            for name, most in (("video", 8), ("sound", 0.5), ("tracks", 0.03)):
                said = vae.decode(expected.mean, name).astype(np.float64)
                assert np.abs(said - other.decode(expected.mean, name)).max() <= most
