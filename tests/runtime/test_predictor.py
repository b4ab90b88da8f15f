"""A predictor at run time, without PyTorch: on the bundle of a tiny one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError, ParityError
from edgevae.runtime import golden


@pytest.fixture
def predictor(tiny_predictor_bundle):
    with edgevae.load_predictor(tiny_predictor_bundle) as opened:
        yield opened


def test_as_many_frames_come_as_are_wanted_whatever_the_size(predictor, noise):
    clip = noise(5, 20, 27, 3)
    for count in (1, 2, 5):
        assert predictor.predict(clip, count).shape == (count, 20, 27, 3)
    assert predictor.predict(noise(2, 4, 16, 16, 3), 3).shape == (2, 3, 16, 16, 3)


def test_more_frames_begin_with_the_fewer_and_those_depend_on_all_that_was_seen(predictor, noise):
    clip = noise(6, 16, 24, 3)
    few, many = predictor.predict(clip, 3), predictor.predict(clip, 7)
    assert np.array_equal(many[:3], few)
    clip[0] = 255 - clip[0]
    assert not np.array_equal(predictor.predict(clip, 3), few), "the first chunk is remembered"


def test_of_an_uneven_clip_the_first_frames_are_left_out(predictor, noise):
    clip = noise(5, 16, 16, 3)
    assert np.array_equal(predictor.predict(clip, 4), predictor.predict(clip[1:], 4))


def test_a_stream_gives_what_the_whole_clip_gives_and_a_state_on_the_cpu_can_be_forked(
    predictor, noise
):
    clip, chunk = noise(8, 16, 24, 3), predictor.chunk_frames
    state = predictor.stream(height=16, width=24)
    for first in range(0, 8, chunk):
        ahead, state = predictor.observe(clip[first : first + chunk], state)
        shown, _ = predictor.decode(ahead, state)
        seen = clip[: first + chunk]
        assert np.array_equal(shown, predictor.predict(seen, chunk))
    on, _ = predictor.step(ahead, state)
    assert np.array_equal(
        predictor.decode(on, state)[0], predictor.predict(clip, 2 * chunk)[chunk:]
    )


def test_clips_of_a_batch_are_predicted_as_if_alone(predictor, noise):
    clips = noise(3, 4, 16, 16, 3)
    together = predictor.predict(clips, 4)
    for clip, own in zip(clips, together, strict=True):
        # Sums in another order may round to the neighbouring level.
        assert np.abs(predictor.predict(clip, 4).astype(int) - own).max() <= 1


def test_its_bundle_is_also_that_of_a_vae(tiny_predictor_bundle, noise):
    with edgevae.load(tiny_predictor_bundle) as vae:
        assert vae.reconstruct(noise(3, 16, 16, 3)).shape == (3, 16, 16, 3)


def test_what_is_no_chunk_of_the_stream_is_refused(predictor, noise, tiny_bundle):
    with pytest.raises(InputError, match="frames: got 1, expected at least the 2 of one chunk"):
        predictor.predict(noise(1, 16, 16, 3), 4)
    with pytest.raises(InputError, match="count: got 0, expected at least 1"):
        predictor.predict(noise(4, 16, 16, 3), 0)
    state = predictor.stream(height=16, width=16)
    with pytest.raises(InputError, match="frames: got 3, expected the 2 of one chunk"):
        predictor.observe(noise(3, 16, 16, 3), state)
    with pytest.raises(InputError, match=r"expected batch, t, h and w \[1, 2, 2, 2\]"):
        predictor.step(np.zeros((2, 4, 2, 3), np.float32), state)
    with pytest.raises(InputError, match="has no predictor, which a predictor needs; it has encod"):
        edgevae.load_predictor(tiny_bundle)


def test_a_predictor_that_does_not_reproduce_its_golden_vectors_is_refused(
    tiny_predictor_bundle, monkeypatch
):
    read = golden.read

    def off(bundle):
        vectors = read(bundle)
        return vectors | {"predictor": vectors["predictor"] + 0.01}

    monkeypatch.setattr(golden, "read", off)
    with pytest.raises(ParityError, match=r"golden latents of the predictor differ by 0.01 on"):
        edgevae.load_predictor(tiny_predictor_bundle)


def test_it_runs_without_torch(tiny_predictor_bundle):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import edgevae, numpy\n"
        f"with edgevae.load_predictor({str(tiny_predictor_bundle)!r}) as p:\n"
        "    print(p.predict(numpy.zeros((4, 16, 16, 3), numpy.uint8), 3).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(3, 16, 16, 3)"
