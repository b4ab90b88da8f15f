"""A nested model: fewer latent channels at run time, on a tiny bundle, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError
from edgevae.frames import fill_channels

LEVELS = (1, 2, 4)


@pytest.fixture(params=["fp32", "fp16"])
def vae(request, nested_bundle):
    with edgevae.load(nested_bundle, threads=1, precision=request.param) as vae:
        yield vae


def with_zeros(latents: np.ndarray) -> np.ndarray:
    """Latents `[..., n, h, w]` as `[..., 4, h, w]`, written out the long way."""
    missing = np.zeros((*latents.shape[:-3], 4 - latents.shape[-3], *latents.shape[-2:]))
    return np.concatenate([latents, missing], axis=-3).astype(np.float32)


def test_a_vae_says_with_how_many_channels_it_works(vae, tiny_bundle):
    assert vae.channels == LEVELS
    with edgevae.load(tiny_bundle) as plain:
        assert plain.channels == (4,)


@pytest.mark.parametrize("channels", LEVELS)
@pytest.mark.parametrize("shape", [(9, 33, 47, 3), (2, 5, 16, 24, 3)])
def test_fewer_channels_are_the_first_ones(vae, noise, channels, shape):
    frames = noise(*shape)
    latents = vae.encode(frames, channels=channels)
    assert latents.dtype == np.float32
    assert latents.flags.c_contiguous
    assert np.array_equal(latents, vae.encode(frames)[..., :channels, :, :])


@pytest.mark.parametrize("channels", LEVELS)
@pytest.mark.parametrize("shape", [(9, 33, 47, 3), (2, 5, 16, 24, 3)])
def test_missing_channels_decode_as_zeros(vae, noise, channels, shape):
    frames = noise(*shape)
    extent = {"frames": shape[-4], "size": shape[-3:-1]}
    latents = vae.encode(frames, channels=channels)
    decoded = vae.decode(latents, **extent)
    assert np.array_equal(decoded, vae.decode(with_zeros(latents), **extent))
    assert np.array_equal(decoded, vae.reconstruct(frames, channels=channels))
    whole = vae.reconstruct(frames)
    assert np.array_equal(decoded, whole) == (channels == 4), "the other channels count"


@pytest.mark.parametrize("channels", LEVELS)
def test_streaming_chunk_by_chunk_equals_the_whole_clip(vae, noise, channels):
    frames = noise(11, 20, 28, 3)
    state = vae.stream(height=20, width=28)
    latents, decoded = [], []
    for chunk in edgevae.chunks([frames], chunk_frames=vae.chunk_frames):
        z, state = vae.encode_chunk(chunk, state, channels=channels)
        y, state = vae.decode_chunk(z, state)
        latents.append(z)
        decoded.append(y)
    assert np.array_equal(np.concatenate(latents), vae.encode(frames, channels=channels))
    whole = vae.reconstruct(frames, channels=channels)
    assert np.array_equal(np.concatenate(decoded)[:11], whole)


def test_the_number_of_channels_may_change_from_chunk_to_chunk(vae, noise):
    frames = noise(12, 16, 16, 3)
    state, reference = (vae.stream(height=16, width=16) for _ in range(2))
    for i, channels in enumerate((4, 1, 2)):
        chunk = frames[4 * i : 4 * i + 4]
        z, state = vae.encode_chunk(chunk, state, channels=channels)
        whole, reference = vae.encode_chunk(chunk, reference)
        assert np.array_equal(z, whole[:, :channels]), "the encoder's state knows of no channels"
        y, state = vae.decode_chunk(z, state)
        expected, reference = vae.decode_chunk(with_zeros(z), reference)
        assert np.array_equal(y, expected)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_latents_go_where_they_are_wanted(vae, noise, batch):
    frames = noise(*batch, 4, 16, 24, 3)
    start = {"height": 16, "width": 24, "batch": batch[0] if batch else 1}
    out = np.full((*batch, 1, 2, 2, 3), np.nan, np.float32)
    got, _ = vae.encode_chunk(frames, vae.stream(**start), channels=2, out=out)
    assert got is out
    assert np.array_equal(out, vae.encode(frames, channels=2))
    pictures = np.empty((*batch, 4, 16, 24, 3), np.uint8)
    shown, _ = vae.decode_chunk(out, vae.stream(**start), out=pictures)
    assert shown is pictures
    assert np.array_equal(pictures, vae.decode(out))


def test_float16_latents_of_fewer_channels_are_taken(vae, noise):
    latents = vae.encode(noise(4, 16, 16, 3), channels=2).astype(np.float16)
    assert np.array_equal(vae.decode(latents), vae.decode(with_zeros(latents)))


class OnDevice:
    """What claims to be an array on a GPU; it is refused before anybody looks at its memory."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.__cuda_array_interface__ = {"shape": shape}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda v, f, s: v.encode(f, channels=3),
            "channels: got 3, expected 1, 2 or 4, with which this model was trained; leave it out for all 4",
        ),
        (lambda v, f, s: v.reconstruct(f, channels=0), "channels: got 0, expected 1, 2 or 4"),
        (lambda v, f, s: v.encode_chunk(f, s, channels=5), "channels: got 5, expected 1, 2 or 4"),
        (
            lambda v, f, s: v.encode_chunk(f, s, channels=2, out=np.empty((1, 4, 1, 1))),
            r"out: got shape \[1, 4, 1, 1\], expected \[1, 2, 1, 1\]",
        ),
        (
            lambda v, f, s: v.encode_chunk(f, s, channels=2, out=np.empty((1, 2, 1, 1))),
            "out: got float64, expected a writable C-contiguous array of float32",
        ),
        (
            lambda v, f, s: v.decode(np.zeros((1, 3, 1, 1))),
            r"latents: got shape \[1, 3, 1, 1\], expected \[t, C, h, w\] .* with C one of 1, 2, 4$",
        ),
        (
            lambda v, f, s: v.decode_chunk(np.full((1, 1, 1, 1), np.inf), s),
            "latents: 1 of 1 values are NaN or infinite",
        ),
        (lambda v, f, s: v.decode_chunk(np.zeros((1, 5, 1, 1)), s), "with C one of 1, 2, 4$"),
        (
            lambda v, f, s: v.encode_chunk(OnDevice(4, 8, 8, 3), s, channels=2),
            "channels: got 2 for latents on the GPU, which have all 4 there: leave channels out and use the first 2",
        ),
        (
            lambda v, f, s: v.encode_chunk(f, s, channels=1, out=OnDevice(1, 1, 1, 1)),
            "channels: got 1 for latents on the GPU",
        ),
        (
            lambda v, f, s: v.decode_chunk(OnDevice(1, 2, 1, 1), s),
            "latents: got 2 channels on the GPU, expected all 4: put them into an array of zeros there",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_the_stream_goes_on(vae, noise, call, message):
    frames, state = noise(4, 8, 8, 3), vae.stream(height=8, width=8)
    with pytest.raises(InputError, match=message) as caught:
        call(vae, frames, state)
    assert "\n" not in str(caught.value)
    vae.encode_chunk(frames, state, channels=2)


def test_a_model_that_is_not_nested_takes_all_its_channels_only(tiny_bundle, noise):
    frames = noise(4, 8, 8, 3)
    with edgevae.load(tiny_bundle) as vae:
        with pytest.raises(InputError, match="channels: got 2, expected 4, with which this model"):
            vae.encode(frames, channels=2)
        with pytest.raises(InputError, match=r"expected \[t, 4, h, w\]"):
            vae.decode(np.zeros((1, 2, 1, 1), np.float32))
        assert np.array_equal(vae.encode(frames, channels=4), vae.encode(frames))


def test_nothing_is_copied_where_no_channel_is_missing():
    latents = np.ones((2, 4, 3, 3), np.float32)
    assert fill_channels(latents, channels=4) is latents
    assert fill_channels(latents[:, :1], channels=4).sum(axis=(0, 2, 3)).tolist() == [18, 0, 0, 0]
