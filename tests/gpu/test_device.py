"""The TensorRT backends on a device, against ONNX Runtime on the CPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevae.errors import IncompatibleError, InputError, OutOfMemoryError
from edgevae.frames import psnr_dB

pytestmark = pytest.mark.gpu


def stream_through(vae, frames, *, height, width):
    """Return the latents and decoded frames of a clip, chunk by chunk."""
    state = vae.stream(height=height, width=width)
    latents, decoded = [], []
    for first in range(0, len(frames), vae.chunk_frames):
        z, state = vae.encode_chunk(frames[first : first + vae.chunk_frames], state)
        y, state = vae.decode_chunk(z, state)
        latents.append(z)
        decoded.append(y)
    return np.concatenate(latents), np.concatenate(decoded)


@pytest.mark.parametrize(("precision", "latents", "dB"), [("fp16", 3e-2, 55), ("fp32", 1e-3, 60)])
def test_an_engine_agrees_with_onnx_runtime_over_many_chunks(
    load, reference, noise, precision, latents, dB
):
    frames = noise(24, 40, 48, 3)
    with load(precision=precision) as vae:
        assert vae.device == "cuda:0"
        got = vae.encode(frames)
        np.testing.assert_allclose(got, reference.encode(frames), atol=latents)
        z = reference.encode(frames)
        assert psnr_dB(vae.decode(z), reference.decode(z)) >= dB


def test_an_image_model_runs(load, tiny_image_bundle, noise):
    with load(tiny_image_bundle) as vae:
        frames = noise(3, 16, 16, 3)
        assert vae.reconstruct(frames).shape == frames.shape


def test_any_size_runs_and_gets_an_engine_of_its_own(load, noise):
    with load() as vae:
        assert not vae.is_ready(height=33, width=47)
        assert vae.reconstruct(noise(5, 33, 47, 3)).shape == (5, 33, 47, 3)
        assert vae.is_ready(height=33, width=47)


def test_a_size_that_was_asked_for_is_ready_after_load_and_checked_against_the_golden_vectors(load):
    with load(sizes=("64x64", "40x48")) as vae:
        assert vae.is_ready(height=64, width=64)
        assert vae.is_ready(height=40, width=48)
        assert not vae.is_ready(height=48, width=40)


def test_one_engine_with_a_range_of_sizes_serves_all_of_them(load, reference, noise):
    from edgevae.engine.profile import Profile, Size

    profile = Profile(
        min=Size(height=16, width=16),
        opt=Size(height=32, width=32),
        max=Size(batch=2, height=64, width=64),
    )
    with load(sizes=(profile,), allow_build=True) as vae:
        for shape in [(4, 16, 16, 3), (8, 64, 40, 3), (2, 4, 32, 24, 3)]:
            frames = noise(*shape)
            np.testing.assert_allclose(vae.encode(frames), reference.encode(frames), atol=3e-2)


def test_an_engine_that_may_not_be_built_is_an_error(load, noise):
    with (
        load(allow_build=False) as vae,
        pytest.raises(IncompatibleError, match=r"edgevae build"),
    ):
        vae.encode(noise(4, 8, 96, 3))


def test_streaming_chunk_by_chunk_equals_the_whole_clip(load, noise):
    frames = noise(32, 40, 48, 3)
    with load() as vae:
        latents, decoded = stream_through(vae, frames, height=40, width=48)
        np.testing.assert_allclose(latents, vae.encode(frames), atol=1e-5)
        assert np.array_equal(decoded, vae.reconstruct(frames))


def test_two_streams_that_take_turns_do_not_mix(load, noise):
    clips = [noise(24, 40, 48, 3) for _ in range(2)]
    with load() as vae:
        alone = [vae.encode(clip) for clip in clips]
        states = [vae.stream(height=40, width=48) for _ in clips]
        for first in range(0, 24, vae.chunk_frames):
            for i, clip in enumerate(clips):
                z, states[i] = vae.encode_chunk(clip[first : first + vae.chunk_frames], states[i])
                step = first // vae.spec.temporal_factor
                np.testing.assert_allclose(z, alone[i][step : step + 1], atol=1e-5)


def test_a_batch_of_clips_equals_the_clips_one_by_one(load, noise):
    frames = noise(3, 8, 40, 48, 3)
    with load() as vae:
        single = np.stack([vae.encode(clip) for clip in frames])
        np.testing.assert_allclose(vae.encode(frames), single, atol=2e-3)


def test_many_threads_share_a_vae(load, noise):
    clips = [noise(16, 40, 48, 3) for _ in range(6)]
    with load(contexts=3) as vae:
        alone = [vae.reconstruct(clip) for clip in clips]
        got = {}

        def work(i):
            got[i] = vae.reconstruct(clips[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(got[i], alone[i]) for i in range(6))


def test_a_cuda_graph_gives_what_plain_calls_give(load, driver, noise):
    if not driver.has_graphs:
        pytest.skip(f"{driver.name} has no CUDA graphs")
    frames = noise(40, 40, 48, 3)
    with load(cuda_graph=False) as plain, load(cuda_graph=True) as graphed:
        one = stream_through(plain, frames, height=40, width=48)
        other = stream_through(graphed, frames, height=40, width=48)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        engine = graphed._encoder._engines[0]
        assert any(g is not None for lane in engine._lanes for g in lane._graphs.values())


def test_mapped_host_memory_gives_what_copies_give(load, noise):
    frames = noise(24, 40, 48, 3)
    with load() as copied, load(zero_copy=True) as mapped:
        assert np.array_equal(copied.reconstruct(frames), mapped.reconstruct(frames))


def test_a_state_is_good_for_one_call(load, noise):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        state = vae.stream(height=40, width=48)
        vae.encode_chunk(frames, state)
        with pytest.raises(InputError, match=r"got that of call 0, expected that of call 1"):
            vae.encode_chunk(frames, state)


def test_the_state_of_another_model_is_refused(load, noise):
    frames = noise(4, 40, 48, 3)
    with load() as one, load() as other, pytest.raises(InputError, match="state of another model"):
        other.encode_chunk(frames, one.stream(height=40, width=48))


def test_out_of_numpy_is_written_in_place(load, noise):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        out = np.empty((1, 4, 5, 6), np.float32)
        got, state = vae.encode_chunk(frames, vae.stream(height=40, width=48), out=out)
        assert got is out
        again = np.empty_like(frames)
        got, _ = vae.decode_chunk(out, state, out=again)
        assert got is again
        assert np.array_equal(again, vae.reconstruct(frames))


def test_arrays_on_the_device_are_used_in_place(load, on_device, noise):
    frames = noise(24, 40, 48, 3)
    with load() as vae:
        expected, pictures = stream_through(vae, frames, height=40, width=48)
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
        expected, pictures = stream_through(vae, frames, height=40, width=48)
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


@pytest.mark.slow
def test_memory_is_flat_over_many_calls(load, driver, noise, is_simulated):
    calls = 400 if is_simulated else 10_000
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        state = vae.stream(height=40, width=48)
        latents = np.empty((1, 4, 5, 6), np.float32)
        used = []
        for i in range(calls):
            _, state = vae.encode_chunk(frames, state, out=latents)
            if i in (calls // 10, calls - 1):
                used.append(driver.memory()[0])
        assert used[0] - used[1] <= 1 << 20


def test_streams_that_end_give_their_memory_to_the_next(load, driver, noise):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        free = []
        for _ in range(50):
            vae.encode_chunk(frames, vae.stream(height=40, width=48))
            free.append(driver.memory()[0])
        assert free[5] - free[-1] <= 1 << 20


def test_out_of_memory_is_an_error_that_leaves_the_vae_usable(load, driver, noise):
    frames = noise(8, 40, 48, 3)
    hoard, block = [], 1 << 40
    with load() as vae:
        expected = vae.encode(frames)
        held = vae.stream(height=40, width=48)
        vae.encode_chunk(frames[:4], held)
        while block >= 1 << 8:  # take all there is, in ever smaller pieces
            try:
                hoard.append(driver.allocate(block))
            except OutOfMemoryError:
                block //= 2
        streams = [vae.stream(height=40, width=48) for _ in range(64)]
        with pytest.raises(OutOfMemoryError, match=r"OUT_OF_MEMORY|MiB are free"):
            # The memory of ended streams serves the first few.
            kept = [vae.encode_chunk(frames[:4], stream) for stream in streams]
            del kept
        for address in hoard:
            driver.free(address)
        assert np.array_equal(vae.encode(frames), expected)


def test_a_closed_vae_says_so_and_closing_twice_is_fine(load, noise):
    vae = load()
    vae.reconstruct(noise(4, 40, 48, 3))
    vae.close()
    vae.close()
    with pytest.raises(InputError, match="the session is closed"):
        vae.encode(noise(4, 40, 48, 3))
