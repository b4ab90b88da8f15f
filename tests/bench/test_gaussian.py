"""The normal with the data's covariance: a baseline for priors."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.moving_mnist import MovingMnist
from edgevae_bench.generation.gaussian import fit
from edgevae_bench.generation.models import subjects_of


def chain(random, clips):
    """Return clips `[N, 6, 2, 1, 1]` in which each step is 0.8 of the last plus something new, about (3, -1)."""
    steps, state = [], random.standard_normal((clips, 2))
    mix = np.array([[1.0, 0.5], [0.0, 0.6]])
    for _ in range(6):
        steps.append(state @ mix.T + [3.0, -1.0])
        state = 0.8 * state + 0.6 * random.standard_normal((clips, 2))
    return np.stack(steps, 1)[..., None, None].astype(np.float32)


def test_its_samples_have_the_means_and_covariances_of_the_data_within_and_across_chunks(random):
    data = chain(random, 4000)
    normal = fit(data, chunk=2)
    made = np.stack([normal.sample(3, seed=1, clip=i) for i in range(4000)])
    assert made.shape == data.shape
    real, drawn = (x.reshape(len(x), -1).astype(np.float64) for x in (data, made))
    assert np.allclose(drawn.mean(0), real.mean(0), atol=0.08)
    # Of neighbouring chunks; farther ones follow from these only where the data is such a chain.
    near = np.kron(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]]), np.ones((4, 4))).astype(bool)
    difference = np.abs(np.cov(drawn.T) - np.cov(real.T))
    assert difference[near].max() < 0.12


def test_a_clip_is_a_function_of_seed_and_number(random):
    normal = fit(chain(random, 50), chunk=2)
    assert np.array_equal(normal.sample(2, seed=3, clip=4), normal.sample(2, seed=3, clip=4))
    assert not np.array_equal(normal.sample(2, seed=3, clip=4), normal.sample(2, seed=3, clip=5))
    with pytest.raises(InputError, match="got clips of 3 steps, expected at least 4"):
        fit(np.zeros((2, 3, 1, 1, 1), np.float32), chunk=2)


def test_a_vae_is_judged_beside_what_normals_make_of_its_latents(tiny_prior_bundle):
    digits = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)
    real = MovingMnist(digits, seed=1)
    subjects = subjects_of(
        str(tiny_prior_bundle),
        seed=3,
        real=lambda count, frames: real.batch(0, min(count, 6), frames=frames),
        backend="auto",
        device="cpu",
        precision="fp32",
        threads=1,
    )
    name = Bundle.open(tiny_prior_bundle).manifest.name
    assert [s.name for s in subjects] == [
        name,
        f"{name}, plain normal",
        f"{name}, normal with covariances",
        f"{name}, reconstructed",
    ]
    made, _, normal, again = (s.make(2, 5) for s in subjects)
    assert made.shape == (2, 5, 16, 24)
    assert normal.shape == (2, 5, 64, 64)
    assert np.array_equal(normal, subjects[2].make(2, 5))
    assert again.shape[1:] == normal.shape[1:]
