"""The same frames through x264: within the budget, in order, nearly the same every time."""

from __future__ import annotations

import make_clip as maker  # found by conftest.py
import numpy as np
import pytest

from edgevae.frames import psnr_dB
from edgevae_bench.evaluation import h264


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """11 frames of moving texture."""
    return maker.make_frames(11, 144, 176)


@pytest.fixture
def source(clip):
    """The clip, as a function that gives it in chunks."""
    return lambda: iter([clip[:4], clip[4:8], clip[8:]])


def decoded(encoded: h264.Encoded) -> np.ndarray:
    return np.concatenate(list(h264.decode(encoded)))


def test_the_stream_fits_and_a_better_quality_would_not(source):
    budget = 20_000
    encoded = h264.encode_within(source, budget)
    assert encoded is not None
    assert encoded.size_bytes <= budget
    better = h264.encode(source, encoded.crf - 0.5)
    assert better.size_bytes > budget


def test_a_budget_that_nothing_meets_gives_nothing(source):
    assert h264.encode_within(source, 10) is None


def test_a_budget_that_everything_meets_gives_the_best_quality(source):
    encoded = h264.encode_within(source, 1 << 30)
    assert encoded is not None
    assert encoded.crf == 0


def test_the_frames_come_back_in_the_order_in_which_they_went_in(source, clip):
    again = decoded(h264.encode(source, 10))
    assert again.shape == clip.shape
    for index, frame in enumerate(again):
        nearest = max(range(len(clip)), key=lambda i: psnr_dB(clip[i], frame))
        assert nearest == index


def test_the_stream_is_nearly_the_same_every_time_and_says_which_x264_made_it(source):
    one, other = h264.encode(source, 20), h264.encode(source, 20)
    assert one.size_bytes == pytest.approx(other.size_bytes, rel=0.02)
    assert one.x264 is not None
    assert one.x264.startswith("core ")


def test_odd_sizes_keep_every_row_and_column(noise):
    odd = noise(3, 33, 47, 3)
    assert decoded(h264.encode(lambda: [odd], 18)).shape == odd.shape


def test_half_the_colour_resolution_is_a_loss_of_its_own(noise):
    colours = noise(2, 128, 128, 3)
    grey = np.repeat(colours[..., :1], 3, axis=-1)
    assert h264.colour_mse(lambda: [colours]) > 100 * h264.colour_mse(lambda: [grey])
    lossless = h264.encode(lambda: [colours], 0)
    error = np.square(decoded(lossless).astype(float) - colours).mean()
    assert error == pytest.approx(h264.colour_mse(lambda: [colours]))
