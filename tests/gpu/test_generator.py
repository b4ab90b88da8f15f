"""A generator on a device: its memory stays there, its engines are built and checked like a VAE's."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError

pytestmark = pytest.mark.gpu


@pytest.fixture
def generator(backend, tiny_prior_bundle):
    with edgevae.load_generator(tiny_prior_bundle, backend=backend) as opened:
        yield opened


def test_it_generates_what_it_generates_on_the_cpu(generator, tiny_prior_bundle):
    clips = generator.generate(frames=6, count=2, seed=3)
    with edgevae.load_generator(tiny_prior_bundle, device="cpu", precision="fp32") as other:
        expected = other.generate(frames=6, count=2, seed=3)
    assert clips.shape == (2, 6, 16, 24, 3)
    assert np.abs(clips.astype(int) - expected).max() <= 8


def test_two_streams_at_once_keep_their_own_memories_and_a_state_is_good_for_one_call(generator):
    alone = [generator.generate(frames=6, seed=seed) for seed in (1, 2)]
    states, parts = [generator.stream(seed=seed) for seed in (1, 2)], ([], [])
    for _ in range(3):
        for i, made in enumerate(parts):
            used = states[i]
            frames, states[i] = generator.step(used)
            made.append(frames)
            with pytest.raises(InputError):
                generator.step(used)
    for made, expected in zip(parts, alone, strict=True):
        assert np.array_equal(np.concatenate(made, 1), expected)
