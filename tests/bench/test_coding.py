"""Latents as 8-bit codes, and what they take."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae_bench.evaluation.coding import (
    coded_size,
    dequantise,
    keep_channels,
    measure_ranges,
    quantise,
)


@pytest.fixture
def latents(random) -> np.ndarray:
    """Latents `[3, 4, 5, 6]` whose channels have ranges of their own; the last one is constant."""
    values = random.normal(size=(3, 4, 5, 6)).astype(np.float32)
    values *= np.array([0.01, 1, 100, 0], np.float32)[:, None, None]
    return values + np.float32(3)


def test_every_value_comes_back_within_half_a_step_of_its_channel(latents):
    ranges = measure_ranges(latents)
    again = dequantise(quantise(latents, ranges), ranges)
    step = (ranges.high - ranges.low)[:, None, None] / 255
    assert again.dtype == np.float32
    assert (np.abs(again - latents) <= step / 2 + 1e-5).all()
    np.testing.assert_array_equal(again[:, 3], latents[:, 3])


def test_every_channel_uses_the_whole_range_of_codes(latents):
    codes = quantise(latents, measure_ranges(latents))
    assert codes.min(axis=(0, 2, 3))[:3].tolist() == [0, 0, 0]
    assert codes.max(axis=(0, 2, 3))[:3].tolist() == [255, 255, 255]


def test_a_chunk_is_coded_as_it_would_be_in_the_whole_clip(latents):
    ranges = measure_ranges(latents)
    parts = [quantise(latents[i : i + 1], ranges) for i in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), quantise(latents, ranges))


def test_the_entropy_coded_size_is_what_coding_value_by_value_comes_to(random):
    codes = random.choice([3, 3, 3, 200, 17], size=(2, 2, 4, 5)).astype(np.uint8)
    bits = 0.0
    for channel in range(2):
        counts = np.full(256, 0.5)
        for value in codes[:, channel].ravel():
            bits -= math.log2(counts[value] / counts.sum())
            counts[value] += 1
    assert coded_size(codes).entropy_bytes == math.ceil(bits / 8 - 1e-9) + 2 * 8


def test_constant_latents_cost_next_to_nothing_and_noise_costs_all_of_its_bytes(random):
    constant = coded_size(np.full((4, 2, 16, 16), 7, np.uint8))
    noise = coded_size(random.integers(0, 256, (4, 2, 16, 16), dtype=np.uint8))
    assert constant.raw_bytes == noise.raw_bytes == 4 * 2 * 16 * 16 + 2 * 8
    assert max(constant.entropy_bytes, constant.zlib_bytes) < 250
    assert min(noise.entropy_bytes, noise.zlib_bytes) >= noise.raw_bytes


def test_fewer_channels_leave_the_first_ones_as_they_are_and_the_others_zero(latents):
    kept = keep_channels(latents, 2)
    np.testing.assert_array_equal(kept[:, :2], latents[:, :2])
    assert not kept[:, 2:].any()
    np.testing.assert_array_equal(keep_channels(latents, 4), latents)


@pytest.mark.parametrize("channels", [0, 5])
def test_more_channels_than_there_are_or_none_are_refused(latents, channels):
    with pytest.raises(InputError, match=f"channels: got {channels}, expected 1 to 4"):
        keep_channels(latents, channels)
