"""A nested model on a device: numpy latents of any number of channels, arrays on the device with all of them."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.errors import InputError

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("channels", [1, 2])
def test_numpy_latents_of_fewer_channels_go_through_an_engine(load, nested_bundle, noise, channels):
    frames = noise(9, 40, 48, 3)
    with load(nested_bundle) as vae:
        latents = vae.encode(frames, channels=channels)
        whole = vae.encode(frames)
        assert np.array_equal(latents, whole[:, :channels])
        whole[:, channels:] = 0
        assert np.array_equal(vae.decode(latents), vae.decode(whole))


def test_host_and_device_memory_may_be_mixed_where_the_few_channels_are_on_the_host(
    load, nested_bundle, on_device, noise
):
    frames = noise(2, 8, 40, 48, 3)
    with load(nested_bundle) as vae:
        expected = vae.encode(frames, channels=2)
        pictures = vae.decode(expected)
        state = vae.stream(height=40, width=48, batch=2)
        decoded = on_device.put(np.zeros((2, 4, 40, 48, 3), np.uint8))
        for i in range(2):
            source = on_device.put(frames[:, 4 * i : 4 * i + 4])
            latents = np.empty((2, 1, 2, 5, 6), np.float32)
            z, state = vae.encode_chunk(source, state, channels=2, out=latents)
            assert z is latents
            np.testing.assert_allclose(z, expected[:, i : i + 1], atol=1e-5)
            y, state = vae.decode_chunk(z, state, out=decoded)
            assert y is decoded
            assert np.array_equal(on_device.get(y), pictures[:, 4 * i : 4 * i + 4])


def test_few_channels_on_the_device_are_refused_and_zeros_around_them_are_taken(
    load, nested_bundle, on_device, noise
):
    frames = noise(4, 40, 48, 3)
    with load(nested_bundle) as vae:
        state = vae.stream(height=40, width=48)
        with pytest.raises(InputError, match="got 2 for latents on the GPU, which have all 4"):
            vae.encode_chunk(on_device.put(frames), state, channels=2)
        latents, state = vae.encode_chunk(frames, state, channels=2)
        with pytest.raises(InputError, match="got 2 channels on the GPU, expected all 4"):
            vae.decode_chunk(on_device.put(latents), state)
        filled = np.zeros((1, 4, 5, 6), np.float32)
        filled[:, :2] = latents
        y, _ = vae.decode_chunk(on_device.put(filled), state)
        assert np.array_equal(on_device.get(y), vae.decode(latents))
