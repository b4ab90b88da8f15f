"""A model that codes the first frame alone, at run time, on a tiny bundle, without PyTorch or a network of others."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError
from edgevae.frames import lead_in


@pytest.fixture
def vae(lead_bundle):
    with edgevae.load(lead_bundle, threads=1, precision="fp32") as vae:
        yield vae


@pytest.fixture
def plain(nested_bundle):
    """The same model without the claim."""
    with edgevae.load(nested_bundle, threads=1, precision="fp32") as vae:
        yield vae


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize(("count", "steps"), [(1, 1), (2, 2), (5, 2), (11, 4)])
def test_a_clip_is_coded_behind_its_filler(vae, plain, noise, channels, count, steps):
    frames = noise(count, 20, 28, 3)
    latents = vae.encode(frames, channels=channels)
    assert len(latents) == steps
    assert np.array_equal(latents, plain.encode(lead_in(frames, 3), channels=channels))
    decoded = vae.decode(latents, size=(20, 28))
    assert len(decoded) == vae.spec.frames_of(steps) >= count
    assert np.array_equal(decoded, plain.decode(latents, size=(20, 28))[3:])
    assert np.array_equal(vae.reconstruct(frames, channels=channels), decoded[:count])


@pytest.mark.parametrize("shape", [(11, 16, 24, 3), (11, 20, 28, 3), (2, 11, 16, 24, 3)])
@pytest.mark.parametrize("channels", [2, 4])
def test_streaming_chunk_by_chunk_equals_the_whole_clip(vae, noise, shape, channels):
    frames = noise(*shape)
    *batch, count, height, width, _ = shape
    state = vae.stream(height=height, width=width, batch=batch[0] if batch else 1)
    latents, decoded = [], []
    for first, past in ((0, 1), (1, 5), (5, 9), (9, 11)):
        z, state = vae.encode_chunk(frames[..., first:past, :, :, :], state, channels=channels)
        y, state = vae.decode_chunk(z, state)
        assert y.shape[-4] == (4 if first else 1)
        latents.append(z)
        decoded.append(y)
    coded = np.concatenate(latents, axis=-4)
    assert np.array_equal(coded, vae.encode(frames, channels=channels))
    whole = vae.reconstruct(frames, channels=channels)
    assert np.array_equal(np.concatenate(decoded, axis=-4)[..., :count, :, :, :], whole)


@pytest.mark.parametrize("size", [(16, 24), (20, 28)])
@pytest.mark.parametrize("channels", [2, 4])
def test_given_arrays_are_filled_in_the_first_chunk_and_the_next(vae, noise, size, channels):
    frames, (height, width) = noise(5, *size, 3), size
    state = vae.stream(height=height, width=width)
    whole, h, w = vae.reconstruct(frames, channels=channels), -(-height // 8), -(-width // 8)
    for first, past in ((0, 1), (1, 5)):
        z, y = (
            np.empty((1, channels, h, w), np.float32),
            np.empty((past - first, *size, 3), np.uint8),
        )
        got, state = vae.encode_chunk(frames[first:past], state, channels=channels, out=z)
        shown, state = vae.decode_chunk(z, state, out=y)
        assert got is z
        assert shown is y
        assert np.array_equal(y, whole[first:past])


def test_a_first_chunk_takes_the_first_frame_alone(vae, noise):
    with pytest.raises(InputError, match="got 2 frames, expected at most the 1 of one first chunk"):
        vae.encode_chunk(noise(2, 16, 16, 3), vae.stream(height=16, width=16))


def test_frames_that_the_latents_do_not_stand_for_are_refused(vae, noise):
    latents = vae.encode(noise(5, 16, 16, 3))
    assert len(vae.decode(latents)) == 5
    with pytest.raises(InputError, match="frames: got 6, expected 1 to 5"):
        vae.decode(latents, frames=6)
