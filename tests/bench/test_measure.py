"""The same frames through real subjects: the runtime and PyTorch, timed and compared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import edgevae
from edgevae.errors import EdgeVaeError, InputError
from edgevae.frames import chunks
from edgevae_bench.comparison import Shown, compare_subjects, pick_shown
from edgevae_bench.quality import psnr_db
from edgevae_bench.subjects import AnyCodec, open_subject, pytorch_subjects, runtime_subject
from edgevae_bench.timing import time_subjects


@pytest.fixture
def runtime(tiny_bundle) -> Iterator[AnyCodec]:
    subject, _, _ = runtime_subject(
        tiny_bundle, backend="auto", device="auto", precision=None, threads=1
    )
    with open_subject(subject) as codec:
        yield codec


@pytest.fixture
def pytorch(tiny_checkpoint) -> Mapping[str, AnyCodec]:
    pytest.importorskip("torch")
    opened = {}
    for subject in pytorch_subjects(tiny_checkpoint, threads=1, chunk_frames=4):
        with open_subject(subject) as codec:
            opened[subject.name] = codec
    return opened


def test_the_runtime_subject_has_its_choices_written_out(tiny_bundle):
    subject, name, digest = runtime_subject(
        tiny_bundle, backend="auto", device="auto", precision=None, threads=1
    )
    assert (subject.name, subject.backend, subject.device) == (
        "onnxruntime_fp32",
        "onnxruntime",
        "cpu",
    )
    assert (subject.precision, subject.chunk_frames, subject.library) == ("fp32", 4, "onnxruntime")
    assert (name, digest) == ("tiny-video", edgevae.Bundle.open(tiny_bundle).digest)


def test_every_operation_of_every_subject_has_a_sample_a_round(runtime, pytorch, frames):
    rounds = []
    warm, latencies = time_subjects(
        {**pytorch, "runtime": runtime},
        [frames[:4], frames[4:8]],
        rounds=5,
        max_warm_up_rounds=2,
        seed=0,
        on_round=lambda: rounds.append(1),
    )
    assert (warm.rounds, len(rounds)) == (2, 5)
    assert set(latencies) == {"pytorch_eager", "pytorch_channels_last", "runtime"}
    for operations in latencies.values():
        assert list(operations) == ["encode", "decode", "round_trip"]
        parts = [operations[name].samples_ms for name in ("encode", "decode", "round_trip")]
        assert [len(samples) for samples in parts] == [5, 5, 5]
        for encode, decode, both in zip(*parts, strict=True):
            assert both == pytest.approx(encode + decode)


class Recorder:
    """A codec that keeps what went into it."""

    def __init__(self, codec: AnyCodec) -> None:
        self.codec, self.spec, self.chunk_frames = codec, codec.spec, codec.chunk_frames
        self.started: list[int] = []
        self.encoded: list[np.ndarray] = []

    def stream(self, **sizes: int) -> Any:
        self.started.append(len(self.encoded))
        return self.codec.stream(**sizes)

    def encode_chunk(self, frames: np.ndarray, state: Any) -> Any:
        self.encoded.append(frames)
        return self.codec.encode_chunk(frames, state)

    def decode_chunk(self, latents: np.ndarray, state: Any) -> Any:
        return self.codec.decode_chunk(latents, state)


def test_all_subjects_get_the_same_chunks_and_start_anew_with_the_first(runtime, frames):
    subjects = {name: Recorder(runtime) for name in "ab"}
    parts = [frames[:4], frames[4:8], frames[3:7]]
    time_subjects(subjects, parts, rounds=5, max_warm_up_rounds=0, seed=0)
    for subject in subjects.values():
        expected = itertools.islice(itertools.cycle(parts), 5)
        assert all(got is want for got, want in zip(subject.encoded, expected, strict=True))
        assert subject.started == [0, 3]


def test_pytorch_and_the_runtime_make_the_same_frames_of_any_clip(runtime, pytorch, frames):
    found = compare_subjects(
        {**pytorch, "runtime": runtime}, chunks([frames], chunk_frames=4), baseline="pytorch_eager"
    )
    assert list(found) == [
        ("pytorch_eager", "source"),
        ("pytorch_channels_last", "source"),
        ("runtime", "source"),
        ("pytorch_channels_last", "pytorch_eager"),
        ("runtime", "pytorch_eager"),
    ]
    for name in ("pytorch_channels_last", "runtime"):
        comparison = found[name, "pytorch_eager"]
        assert comparison.quality(chunk_frames=4).frames == len(frames)
        assert comparison.quality(chunk_frames=4).max_levels <= 1
        assert comparison.latents_max_difference < 3e-4


def test_streamed_comparison_is_that_of_the_whole_clip(runtime, frames, tiny_bundle):
    made = []
    found = compare_subjects(
        {"runtime": runtime},
        chunks([frames], chunk_frames=4),
        baseline=None,
        on_chunk=lambda source, by_name: made.append(by_name["runtime"]),
    )
    with edgevae.load(tiny_bundle, threads=1) as vae:
        whole = vae.reconstruct(frames)
    assert np.array_equal(np.concatenate(made), whole)
    mse = np.square(whole.astype(float) - frames).mean()
    assert found["runtime", "source"].quality(chunk_frames=4).psnr_db == pytest.approx(psnr_db(mse))


def test_threads_that_compare_change_nothing(runtime, frames):
    first, second = (
        compare_subjects(
            {"a": runtime, "b": runtime},
            chunks([frames], chunk_frames=4),
            baseline="a",
            workers=workers,
        )
        for workers in (1, 4)
    )
    for names, comparison in first.items():
        assert comparison.scores == second[names].scores
    assert first["b", "a"].quality(chunk_frames=4).identical_frames == len(frames)


class Poisoned(Recorder):
    """A codec whose second chunk of latents has an infinity."""

    def encode_chunk(self, frames: np.ndarray, state: Any) -> Any:
        latents, state = super().encode_chunk(frames, state)
        if len(self.encoded) == 2:
            latents[0, 0, 0, 0] = np.inf
        return latents, state


def test_latents_that_are_not_finite_stop_the_run_and_name_the_subject(runtime, frames):
    with pytest.raises(EdgeVaeError, match=r"bad: 1 of \d+ latents"):
        compare_subjects(
            {"good": runtime, "bad": Poisoned(runtime)},
            chunks([frames], chunk_frames=4),
            baseline=None,
        )


def test_the_picture_gets_the_first_the_worst_and_the_last_frame():
    source = np.full((6, 8, 8, 3), 100, np.uint8)
    made = source + np.array([1, 2, 9, 3, 4, 5], np.uint8)[:, None, None, None]
    shown: tuple[Shown, ...] = ()
    for first in (0, 4):
        shown = pick_shown(
            shown, source[first : first + 4], made[first : first + 4], first_index=first
        )
    assert [(one.title, one.index) for one in shown] == [("first", 0), ("worst", 2), ("last", 5)]
    assert shown[1].psnr_db == pytest.approx(psnr_db(81))
    assert np.array_equal(shown[1].reconstruction, made[2])


@pytest.mark.parametrize(
    ("variant", "chunk_frames", "message"), [("jit", 4, "got 'jit'"), ("eager", 6, "multiple of 4")]
)
def test_the_baseline_refuses_what_it_cannot_run(tiny_checkpoint, variant, chunk_frames, message):
    pytest.importorskip("torch")
    subject = pytorch_subjects(tiny_checkpoint, threads=1, chunk_frames=chunk_frames)[0]
    subject = dataclasses.replace(subject, backend=variant)
    with pytest.raises(InputError, match=message), open_subject(subject):
        pass
