"""The runtime on the tiny committed bundles, without PyTorch."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import edgevae
from edgevae.bundle import DIGEST, GOLDEN, MANIFEST
from edgevae.errors import InputError, ParityError, UnavailableError
from edgevae.files import sha256


@pytest.fixture(params=["video", "image"])
def vae(request, tiny_bundle, tiny_image_bundle):
    with edgevae.load(
        {"video": tiny_bundle, "image": tiny_image_bundle}[request.param], threads=1
    ) as vae:
        yield vae


@pytest.fixture
def video(tiny_bundle):
    with edgevae.load(tiny_bundle, threads=1) as vae:
        yield vae


@pytest.mark.parametrize("t", [1, 3, 4, 9])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (33, 47), (64, 17)])
def test_any_clip_round_trips_in_shape(vae, noise, t, size):
    frames = noise(t, *size, 3)
    latents = vae.encode(frames)
    chunk = vae.chunk_frames
    assert latents.dtype == np.float32
    assert latents.shape == (
        -(-t // chunk) * vae.chunk_steps,
        4,
        -(-size[0] // 8),
        -(-size[1] // 8),
    )
    assert vae.decode(latents, frames=t, size=size).shape == frames.shape
    again = vae.reconstruct(frames)
    assert again.shape == frames.shape
    assert again.dtype == np.uint8


def test_a_batch_of_clips_equals_the_clips_one_by_one(vae, noise):
    frames = noise(3, 6, 20, 24, 3)
    batch = vae.encode(frames)
    single = np.stack([vae.encode(clip) for clip in frames])
    np.testing.assert_allclose(batch, single, atol=1e-5)
    decoded = vae.decode(batch, frames=6, size=(20, 24))
    assert decoded.shape == frames.shape
    alone = np.stack([vae.decode(z, frames=6, size=(20, 24)) for z in single]).astype(int)
    assert np.abs(decoded.astype(int) - alone).max() <= 1


def test_streaming_chunk_by_chunk_equals_the_whole_clip(vae, noise):
    frames = noise(11, 20, 28, 3)
    state = vae.stream(height=20, width=28)
    latents, decoded = [], []
    for chunk in edgevae.chunks(iter(np.split(frames, [2, 3, 9])), chunk_frames=vae.chunk_frames):
        z, state = vae.encode_chunk(chunk, state)
        y, state = vae.decode_chunk(z, state)
        latents.append(z)
        decoded.append(y)
    np.testing.assert_allclose(np.concatenate(latents), vae.encode(frames), atol=1e-5)
    assert np.array_equal(np.concatenate(decoded)[:11], vae.reconstruct(frames))


def test_memory_makes_a_difference_between_a_stream_and_chunks_alone(video, noise):
    frames = noise(8, 16, 16, 3)
    whole = video.encode(frames)
    assert np.abs(whole[1:] - video.encode(frames[4:])).max() > 1e-3


def test_a_state_can_be_used_twice_on_the_cpu(video, noise):
    frames = noise(4, 16, 16, 3)
    state = video.stream(height=16, width=16)
    one, _ = video.encode_chunk(frames, state)
    other, _ = video.encode_chunk(frames, state)
    assert np.array_equal(one, other)


def test_one_vae_serves_many_threads(video, noise):
    clips = [noise(12, 24, 24, 3) for _ in range(8)]
    alone = [video.reconstruct(clip) for clip in clips]
    got: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        got[i] = video.reconstruct(clips[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(got[i], alone[i]) for i in range(8))


def test_fp16_graphs_agree_with_fp32_ones(tiny_bundle, noise):
    frames = noise(8, 32, 32, 3)
    with (
        edgevae.load(tiny_bundle, precision="fp32") as one,
        edgevae.load(tiny_bundle, precision="fp16") as other,
    ):
        assert (one.precision, other.precision) == ("fp32", "fp16")
        np.testing.assert_allclose(one.encode(frames), other.encode(frames), atol=2e-2)


def test_float16_latents_are_taken(video, noise):
    latents = video.encode(noise(4, 16, 16, 3))
    assert video.decode(latents.astype(np.float16)).shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda v: v.encode(np.zeros((4, 8, 8, 3), np.float32)),
            "got dtype float32, expected uint8",
        ),
        (lambda v: v.encode(np.zeros((0, 8, 8, 3), np.uint8)), "holds no pixel"),
        (
            lambda v: v.decode(np.full((1, 4, 1, 1), np.nan, np.float32)),
            "4 of 4 values are NaN or infinite",
        ),
        (lambda v: v.decode(np.zeros((1, 9, 1, 1), np.float32)), r"expected \[t, 4, h, w\]"),
        (
            lambda v: v.decode(np.zeros((1, 4, 1, 1), np.float32), frames=5),
            "frames: got 5, expected 1 to 4",
        ),
        (
            lambda v: v.decode(np.zeros((1, 4, 1, 1), np.float32), size=(9, 8)),
            "height: got 9, expected 1 to 8",
        ),
        (lambda v: v.stream(height=0, width=8), "height: got 0, expected at least 1"),
        (
            lambda v: v.encode_chunk(np.zeros((5, 8, 8, 3), np.uint8), v.stream(height=8, width=8)),
            "at most the 4",
        ),
        (
            lambda v: v.encode_chunk(np.zeros((4, 8, 9, 3), np.uint8), v.stream(height=8, width=8)),
            "of the stream",
        ),
        (
            lambda v: v.decode_chunk(
                np.zeros((1, 4, 2, 1), np.float32), v.stream(height=8, width=8)
            ),
            "of the stream",
        ),
        (
            lambda v: v.decode_chunk(
                np.zeros((2, 4, 1, 1), np.float32), v.stream(height=8, width=8)
            ),
            "2 latent steps",
        ),
    ],
)
def test_unusable_input_never_reaches_the_backend(video, call, message):
    with pytest.raises(InputError, match=message):
        call(video)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backend": "tensorrt"}, UnavailableError, "backend='tensorrt'"),
        ({"device": "cuda"}, UnavailableError, "device='cuda'"),
        (
            {"backend": "caffe"},
            InputError,
            "backend: got 'caffe', expected one of auto, tensorrt",
        ),
        ({"device": "tpu"}, InputError, "device: got 'tpu', expected one of auto, cpu"),
        ({"precision": "int8"}, InputError, "precision: got 'int8', expected fp32 or fp16"),
        ({"threads": 0}, InputError, "threads: got 0, expected 1 to"),
        (
            {"threads": 100_000},
            InputError,
            "threads: got 100000, expected 1 to .*, the cores of this machine",
        ),
    ],
)
def test_what_cannot_be_had_is_an_error_not_a_fallback(tiny_bundle, options, error, message):
    with pytest.raises(error, match=message):
        edgevae.load(tiny_bundle, **options)


def test_an_unknown_model_lists_what_there_is():
    with pytest.raises(
        InputError, match="no such path and no shipped model; expected a bundle folder or one of: "
    ):
        edgevae.load("edgevae-video-zz")


def test_a_backend_that_does_not_reproduce_the_golden_vectors_is_refused(own_bundle):
    import json

    from safetensors.numpy import load, save

    vectors = load((own_bundle / GOLDEN).read_bytes())
    vectors["latents"] = vectors["latents"] + 0.01
    data = save(vectors)
    (own_bundle / GOLDEN).write_bytes(data)
    manifest = json.loads((own_bundle / MANIFEST).read_text())
    manifest["files"][GOLDEN] = {"bytes": len(data), "sha256": sha256(data)}
    text = json.dumps(manifest).encode()
    (own_bundle / MANIFEST).write_bytes(text)
    (own_bundle / DIGEST).write_text(sha256(text) + "\n")
    with pytest.raises(
        ParityError,
        match=r"golden latents differ by 0.01 on onnxruntime cpu fp32, expected at most 0.001",
    ):
        edgevae.load(own_bundle)


def test_a_closed_vae_says_so(tiny_bundle, noise):
    vae = edgevae.load(tiny_bundle)
    vae.close()
    with pytest.raises(InputError, match="the session is closed"):
        vae.encode(noise(4, 8, 8, 3))


def test_the_state_of_another_precision_is_refused(tiny_bundle, noise):
    with (
        edgevae.load(tiny_bundle, precision="fp32") as one,
        edgevae.load(tiny_bundle, precision="fp16") as other,
        pytest.raises(InputError, match="state of another model, precision or backend"),
    ):
        other.encode_chunk(noise(4, 8, 8, 3), one.stream(height=8, width=8))
