"""A predictor on a device: its memory stays there, its engine is built and checked like a VAE's."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError

pytestmark = pytest.mark.gpu


@pytest.fixture
def predictor(backend, tiny_predictor_bundle):
    with edgevae.load_predictor(tiny_predictor_bundle, backend=backend) as opened:
        yield opened


def test_it_predicts_what_it_predicts_on_the_cpu(predictor, tiny_predictor_bundle, noise):
    clip = noise(2, 6, 40, 48, 3)
    said = predictor.predict(clip, 6)
    with edgevae.load_predictor(tiny_predictor_bundle, device="cpu", precision="fp32") as other:
        expected = other.predict(clip, 6)
    assert said.shape == (2, 6, 40, 48, 3)
    assert np.abs(said.astype(int) - expected).max() <= 8


def test_two_streams_at_once_keep_their_own_memories_and_a_state_is_good_for_one_call(
    predictor, noise
):
    clips = [noise(6, 40, 48, 3), noise(6, 40, 48, 3)]
    alone = [predictor.predict(clip, 2) for clip in clips]
    states = [predictor.stream(height=40, width=48) for _ in clips]
    ahead = [None, None]
    for first in (0, 2, 4):
        for i, clip in enumerate(clips):
            used = states[i]
            ahead[i], states[i] = predictor.observe(clip[first : first + 2], used)
            with pytest.raises(InputError):
                predictor.step(ahead[i], used)
    for i, expected in enumerate(alone):
        shown, _ = predictor.decode(ahead[i], states[i])
        assert np.array_equal(shown, expected)
