"""Arrays on the device in and out, on the caller's CUDA streams."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.runtime.replays import MOST

pytestmark = pytest.mark.gpu


def test_arrays_on_the_device_are_used_in_place(load, on_device, noise):
    frames = noise(24, 40, 48, 3)
    with load() as vae:
        expected, pictures = vae.encode(frames), vae.reconstruct(frames)
        state = vae.stream(height=40, width=48)
        latents = on_device.put(np.zeros((1, 4, 5, 6), np.float32))
        decoded = on_device.put(np.zeros((4, 40, 48, 3), np.uint8))
        for i in range(6):
            z, state = vae.encode_chunk(
                on_device.put(frames[4 * i : 4 * i + 4]), state, out=latents
            )
            y, state = vae.decode_chunk(z, state, out=decoded)
            assert z is latents
            assert y is decoded
            np.testing.assert_allclose(on_device.get(z), expected[i : i + 1], atol=1e-5)
            assert np.array_equal(on_device.get(y), pictures[4 * i : 4 * i + 4])


def test_without_out_the_result_is_on_the_device_too(load, on_device, noise):
    frames = noise(2, 4, 40, 48, 3)
    with load() as vae:
        state = vae.stream(height=40, width=48, batch=2)
        z, state = vae.encode_chunk(on_device.put(frames), state)
        assert z.shape == (2, 1, 4, 5, 6)
        y, _ = vae.decode_chunk(z, state)
        assert np.array_equal(on_device.get(y), vae.reconstruct(frames))


def test_work_on_the_callers_stream_is_ordered_there(load, driver, stream, on_device, noise):
    frames = noise(48, 40, 48, 3)
    with load() as vae:
        expected = vae.encode(frames)
        state = vae.stream(height=40, width=48)
        inputs = [on_device.put(frames[4 * i : 4 * i + 4]) for i in range(12)]
        outputs = [on_device.put(np.zeros((1, 4, 5, 6), np.float32)) for _ in range(12)]
        for source, target in zip(inputs, outputs, strict=True):
            _, state = vae.encode_chunk(source, state, out=target, stream=stream)
        driver.synchronize(stream)
        got = np.concatenate([on_device.get(z) for z in outputs])
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_repeated_buffers_on_the_callers_stream_become_graphs(
    load, driver, stream, on_device, noise
):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        expected = vae.encode(np.concatenate([frames] * 10))
        source, target = on_device.put(frames), on_device.put(np.zeros((1, 4, 5, 6), np.float32))
        state = vae.stream(height=40, width=48)
        for i in range(10):
            _, state = vae.encode_chunk(source, state, out=target, stream=stream)
            driver.synchronize(stream)
            np.testing.assert_allclose(on_device.get(target), expected[i : i + 1], atol=1e-5)


def test_streams_on_two_cuda_streams_share_a_context_one_after_the_other(
    load, driver, stream, on_device, noise
):
    clips, other = [noise(32, 40, 48, 3) for _ in range(2)], driver.create_stream()
    with load(contexts=1) as vae:
        expected = [vae.encode(clip) for clip in clips]
        states = [vae.stream(height=40, width=48) for _ in clips]
        targets = [
            [on_device.put(np.zeros((1, 4, 5, 6), np.float32)) for _ in range(8)] for _ in clips
        ]
        for i in range(8):
            for j, where in enumerate((stream, other)):
                source = on_device.put(clips[j][4 * i : 4 * i + 4])
                _, states[j] = vae.encode_chunk(source, states[j], out=targets[j][i], stream=where)
        for where in (stream, other):
            driver.synchronize(where)
        for j in range(2):
            got = np.concatenate([on_device.get(z) for z in targets[j]])
            np.testing.assert_allclose(got, expected[j], atol=1e-5)
    driver.destroy_stream(other)


@pytest.mark.parametrize("default", [0, 1], ids=["null", "legacy"])
def test_work_on_the_default_stream_is_ordered_there(load, driver, on_device, noise, default):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        expected = vae.encode(frames)
        source, target = on_device.put(frames), on_device.put(np.zeros((1, 4, 5, 6), np.float32))
        vae.encode_chunk(source, vae.stream(height=40, width=48), out=target, stream=default)
        host = np.empty((1, 4, 5, 6), np.float32)
        driver.copy_to_host(host.ctypes.data, target.address, host.nbytes, default)
        driver.synchronize(default)
        np.testing.assert_allclose(host, expected, atol=1e-5)


def test_more_buffers_than_graphs_are_kept_still_give_the_right_frames(
    load, driver, stream, on_device, noise
):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        expected = vae.encode(np.concatenate([frames] * 60))
        source = on_device.put(frames)
        targets = [on_device.put(np.zeros((1, 4, 5, 6), np.float32)) for _ in range(20)]
        state = vae.stream(height=40, width=48)
        for _ in range(3):
            for target in targets:
                _, state = vae.encode_chunk(source, state, out=target, stream=stream)
        driver.synchronize(stream)
        got = np.concatenate([on_device.get(z) for z in targets])
        np.testing.assert_allclose(got, expected[40:], atol=1e-5)
        assert sum(lane.replays.count for lane in vae._encoder._engines[0].lanes) <= MOST


def test_closing_waits_for_work_on_the_callers_stream(load, driver, stream, on_device, noise):
    frames = noise(4, 40, 48, 3)
    source, target = on_device.put(frames), on_device.put(np.zeros((1, 4, 5, 6), np.float32))
    with load() as vae:
        expected = vae.encode(np.concatenate([frames] * 100))
        state = vae.stream(height=40, width=48)
        for _ in range(100):
            _, state = vae.encode_chunk(source, state, out=target, stream=stream)
    driver.synchronize(stream)
    np.testing.assert_allclose(on_device.get(target), expected[-1:], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((4, 40, 48, 3), np.float32, r"got float32 .*, expected uint8"),
        ((3, 40, 48, 3), np.uint8, r"nothing is padded or cropped"),
        ((4, 40, 40, 3), np.uint8, r"of the stream"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_the_stream_goes_on(
    load, on_device, noise, shape, dtype, message
):
    with load() as vae:
        state = vae.stream(height=40, width=48)
        with pytest.raises(InputError, match=message):
            vae.encode_chunk(on_device.put(np.zeros(shape, dtype)), state)
        vae.encode_chunk(noise(4, 40, 48, 3), state)


def test_pytorch_tensors_are_used_in_place(load, noise):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    frames = noise(16, 40, 48, 3)
    with load() as vae:
        expected, pictures = vae.encode(frames), vae.reconstruct(frames)
        state = vae.stream(height=40, width=48)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            source = torch.from_numpy(frames).cuda()
            latents = torch.empty((1, 4, 5, 6), device="cuda")
            decoded = torch.empty((4, 40, 48, 3), dtype=torch.uint8, device="cuda")
            for i in range(4):
                _, state = vae.encode_chunk(
                    source[4 * i : 4 * i + 4], state, out=latents, stream=side
                )
                _, state = vae.decode_chunk(latents, state, out=decoded, stream=side)
                np.testing.assert_allclose(latents.cpu().numpy(), expected[i : i + 1], atol=1e-5)
                assert np.array_equal(decoded.cpu().numpy(), pictures[4 * i : 4 * i + 4])
        assert float((torch.ones(8, device="cuda") * 2).sum()) == 16  # PyTorch goes on


def test_a_result_made_on_the_callers_stream_is_ordered_before_its_next_use(
    load, stream, on_device, noise
):
    frames = noise(48, 40, 48, 3)
    with load() as vae:
        expected = vae.reconstruct(frames)
        state = vae.stream(height=40, width=48)
        for i in range(12):
            source = on_device.put(frames[4 * i : 4 * i + 4])
            latents, state = vae.encode_chunk(source, state, stream=stream)
            decoded, state = vae.decode_chunk(latents, state)  # on no stream: done when it returns
            assert np.array_equal(on_device.get(decoded), expected[4 * i : 4 * i + 4])


def test_an_array_that_ends_while_a_graph_is_captured_harms_nothing(
    load, on_device, noise, monkeypatch
):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        expected = vae.encode(np.concatenate([frames] * 8))
        source, target = on_device.put(frames), on_device.put(np.zeros((1, 4, 5, 6), np.float32))
        state = vae.stream(height=40, width=48)
        lane = vae._encoder._engines[0].lanes[0]
        enqueue = lane.replays._enqueue

        def enqueue_and_collect(call, where):
            enqueue(call, where)
            gc.collect()

        monkeypatch.setattr(lane.replays, "_enqueue", enqueue_and_collect)
        for i in range(8):
            cycle = [vae.encode_chunk(source, vae.stream(height=40, width=48))[0]]
            cycle.append(cycle)
            del cycle
            _, state = vae.encode_chunk(source, state, out=target)
            np.testing.assert_allclose(on_device.get(target), expected[i : i + 1], atol=1e-5)
        assert lane.replays.count >= 2
