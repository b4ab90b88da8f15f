"""Frames in tiles on a device: one engine for all of them, a state each, numpy arrays in and out."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError

pytestmark = pytest.mark.gpu


@pytest.fixture
def tiled(backend, tiny_bundle):
    tiling = edgevae.Tiling(tile_px=128)
    with edgevae.load(tiny_bundle, backend=backend, precision="fp16", tiling=tiling) as vae:
        yield vae


def test_tiles_give_what_the_whole_frame_gives(load, tiled, noise):
    frames = noise(12, 136, 144, 3)
    with load() as whole:
        latents = whole.encode(frames)
        expected = whole.decode(latents)
    np.testing.assert_allclose(tiled.encode(frames), latents, atol=3e-2)
    assert np.abs(tiled.decode(latents).astype(int) - expected).max() <= 8


def test_an_engine_of_the_tiles_is_all_that_is_needed(tiled, noise):
    size = {"height": 136, "width": 144}
    assert not tiled.is_ready(**size)
    tiled.reconstruct(noise(4, 128, 128, 3))
    assert tiled.is_ready(**size)
    assert tiled.is_ready(height=300, width=4000)


def test_arrays_on_the_device_are_refused_where_frames_are_cut_and_taken_where_not(
    tiled, on_device, noise
):
    frames = noise(4, 136, 144, 3)
    state = tiled.stream(height=136, width=144)
    with pytest.raises(InputError, match="tiles are cut in host memory"):
        tiled.encode_chunk(on_device.put(frames), state)
    tiled.encode_chunk(frames, state)
    small = np.ascontiguousarray(frames[:, :128, :128])
    latents, _ = tiled.encode_chunk(on_device.put(small), tiled.stream(height=128, width=128))
    np.testing.assert_allclose(on_device.get(latents), tiled.encode(small), atol=1e-5)


def test_a_tiled_state_is_good_for_one_call(tiled, noise):
    frames, state = noise(4, 136, 144, 3), tiled.stream(height=136, width=144)
    _, following = tiled.encode_chunk(frames, state)
    with pytest.raises(InputError, match="state: got that of call 0"):
        tiled.encode_chunk(frames, state)
    tiled.encode_chunk(frames, following)


def test_a_limit_of_memory_is_refused_on_a_device(backend, tiny_bundle):
    tiling = edgevae.Tiling(max_memory_bytes=10**9)
    with pytest.raises(InputError, match="graphs that do not run in host memory"):
        edgevae.load(tiny_bundle, backend=backend, tiling=tiling)
