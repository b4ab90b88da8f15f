"""The TensorRT backends on a device, against ONNX Runtime on the CPU."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edgevae.errors import IncompatibleError, InputError, OutOfMemoryError
from edgevae.frames import psnr_dB

pytestmark = pytest.mark.gpu


@pytest.fixture
def taken(driver, monkeypatch):
    """A function that gives the bytes that drivers have allocated since and not freed, on the device and page-locked.

    What the device says is free counts other processes too.
    """
    kind, blocks = type(driver), {}
    real = {n: getattr(kind, n) for n in ("allocate", "free", "allocate_host", "free_host")}

    def allocate(self, nbytes):
        address = real["allocate"](self, nbytes)
        blocks[address] = nbytes
        return address

    def free(self, address):
        blocks.pop(address, None)
        real["free"](self, address)

    def allocate_host(self, nbytes, *, mapped=False):
        buffer = real["allocate_host"](self, nbytes, mapped=mapped)
        blocks[buffer.array.ctypes.data] = nbytes
        return buffer

    def free_host(self, buffer):
        blocks.pop(buffer.array.ctypes.data, None)
        real["free_host"](self, buffer)

    for counting in (allocate, free, allocate_host, free_host):
        monkeypatch.setattr(kind, counting.__name__, counting)
    return lambda: sum(blocks.values())


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
        # Two engines, each with kernels of its own: as far apart as fp16 may be.
        np.testing.assert_allclose(vae.encode(frames), single, atol=3e-2)


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
        assert sum(lane.replays.count for lane in engine.lanes) >= 2


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


@pytest.mark.slow
def test_memory_is_flat_over_many_calls(load, taken, noise, is_simulated):
    calls = 400 if is_simulated else 10_000
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        state = vae.stream(height=40, width=48)
        latents = np.empty((1, 4, 5, 6), np.float32)
        used = []
        for i in range(calls):
            _, state = vae.encode_chunk(frames, state, out=latents)
            if i in (calls // 10, calls - 1):
                used.append(taken())
        assert used[0] == used[1] > 0


def test_streams_that_end_give_their_memory_to_the_next(load, taken, noise):
    frames = noise(4, 40, 48, 3)
    with load() as vae:
        used = []
        for _ in range(50):
            vae.encode_chunk(frames, vae.stream(height=40, width=48))
            used.append(taken())
        assert used[5] == used[-1] > 0
        held = [vae.stream(height=40, width=48) for _ in range(8)]
        states = [vae.encode_chunk(frames, state)[1] for state in held]
        assert taken() > used[-1]  # so that the count is known to see it
        del states


def test_what_an_ended_vae_took_is_given_back(load, taken, noise):
    before = taken()
    with load() as vae:
        vae.reconstruct(noise(4, 40, 48, 3))
        assert taken() > before
    assert taken() == before


def test_out_of_memory_is_an_error_that_leaves_the_vae_usable(load, driver, noise):
    from edgevae.cuda.probe import gpus

    if gpus()[0].integrated:
        pytest.skip("shares its memory with the CPU: taking all of it would end other programs")
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


def test_sizes_that_come_and_go_share_the_memory_that_there_is(load, driver, noise, is_simulated):
    if not is_simulated:
        pytest.skip("fills the memory of the device: on the simulated one only")
    with load(contexts=2) as vae:
        for n in range(2, 10):
            vae.reconstruct(noise(4, 8 * n, 64, 3))
        hoard = driver.allocate(driver.memory()[0] - 4096)
        clip = noise(4, 96, 64, 3)
        try:
            tight = vae.reconstruct(clip)
        finally:
            driver.free(hoard)
        assert np.array_equal(tight, vae.reconstruct(clip))


def test_threads_with_many_sizes_and_few_contexts_do_not_disturb_each_other(load, noise):
    clips = [noise(8, 8 * (1 + i % 3), 32, 3) for i in range(9)]
    with load(contexts=2) as vae:
        alone = [vae.reconstruct(clip) for clip in clips]
        wrong = []

        def work(i):
            for _ in range(6):
                if not np.array_equal(vae.reconstruct(clips[i]), alone[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_after_a_failure_the_first_error_is_told_and_everything_is_still_freed(
    load, noise, monkeypatch
):
    from edgevae.errors import DeviceError

    with pytest.raises(DeviceError, match="the first"), load() as vae:
        vae.encode(noise(4, 40, 48, 3))
        driver, real = vae._encoder._driver, type(vae._encoder._driver).synchronize

        def fail(self, stream):
            real(self, stream)
            raise DeviceError("the second")

        monkeypatch.setattr(type(driver), "synchronize", fail)
        raise DeviceError("the first")


def test_a_session_that_is_not_closed_says_so(load, noise):
    vae = load()
    vae.encode(noise(4, 40, 48, 3))
    encoder, decoder = vae._encoder, vae._decoder
    with pytest.warns(ResourceWarning, match="not closed"):
        encoder.__del__()
    encoder.close()
    decoder.close()
