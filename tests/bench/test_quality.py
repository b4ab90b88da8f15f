"""Quality of a clip: figures worked out by hand, parts of any length, and a planted flicker."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae_bench.quality import FrameScore, Quality, psnr_db, score_frames, summarise


def clip(frames: int, *, size: tuple[int, int] = (24, 32), seed: int = 0) -> np.ndarray:
    """Noise that drifts, `[T, H, W, 3]`, within 40..215, so that nothing clips."""
    rng = np.random.default_rng(seed)
    still = rng.integers(60, 190, (*size, 3))
    return np.stack([np.roll(still, t, axis=1) + t % 7 for t in range(frames)]).astype(np.uint8)


def quality_of(
    reference: np.ndarray, other: np.ndarray, *, chunk_frames: int = 4, part: int = 5
) -> Quality:
    scores: list[FrameScore] = []
    previous = None
    for first in range(0, len(reference), part):
        these = slice(first, first + part)
        more, previous = score_frames(reference[these], other[these], previous=previous)
        scores += more
    return summarise(scores, chunk_frames=chunk_frames)


def test_psnr_by_hand():
    assert psnr_db(1.0) == pytest.approx(48.1308, abs=1e-4)  # 10 log10(65025)
    assert psnr_db(255.0**2) == 0.0
    assert psnr_db(0.0) == math.inf


def test_a_constant_offset_gives_its_square_as_error():
    source = clip(6)
    found = quality_of(source, source + 3)
    assert found.mse == 9.0
    assert found.psnr_db == pytest.approx(10 * math.log10(65025 / 9))
    assert found.psnr_frame_mean_db == pytest.approx(found.psnr_db)
    assert (found.max_levels, found.frames, found.identical_frames) == (3, 6, 0)
    assert found.motion_psnr_db is None  # an offset does not move


def test_clip_psnr_is_of_the_mean_error_and_frame_psnr_the_mean_over_frames():
    source = clip(2)
    other = source.copy()
    other[0] += 1
    other[1] += 10
    found = quality_of(source, other)
    assert found.psnr_db == pytest.approx(10 * math.log10(65025 / 50.5))  # (1 + 100) / 2
    assert found.psnr_frame_mean_db == pytest.approx((psnr_db(1) + psnr_db(100)) / 2)
    assert (found.worst_frame, found.worst_frame_psnr_db) == (1, pytest.approx(psnr_db(100)))
    assert found.frames_psnr_db == pytest.approx((psnr_db(1), psnr_db(100)))


def test_frame_difference_psnr_by_hand():
    source = clip(3)
    other = source.copy()
    other[1] += 2  # changes by +2 and then by -2 more than the source
    assert quality_of(source, other).motion_psnr_db == pytest.approx(10 * math.log10(65025 / 4))


def test_identical_clips_have_no_psnr_and_are_counted():
    source = clip(5)
    found = quality_of(source, source)
    assert found.psnr_db is found.worst_frame_psnr_db is None
    assert found.psnr_frame_mean_db is None
    assert (found.identical_frames, found.max_levels, found.boundary_flicker_ratio) == (5, 0, None)


def test_identical_frames_are_left_out_of_the_mean_over_frames():
    source = clip(3)
    other = source.copy()
    other[1] += 10
    found = quality_of(source, other)
    assert found.psnr_frame_mean_db == pytest.approx(psnr_db(100))
    assert found.identical_frames == 2


def test_black_against_white_is_the_largest_error_there_is():
    black, white = np.zeros((2, 24, 32, 3), np.uint8), np.full((2, 24, 32, 3), 255, np.uint8)
    found = quality_of(black, white)
    assert (found.psnr_db, found.max_levels) == (0.0, 255)


def test_a_change_from_black_to_white_against_one_from_white_to_black_does_not_overflow():
    frames = np.zeros((2, 24, 32, 3), np.uint8)
    frames[1] = 255
    assert quality_of(frames, frames[::-1]).motion_psnr_db == pytest.approx(
        10 * math.log10(65025 / 510**2)
    )


@pytest.mark.parametrize("part", [1, 3, 4, 17])
def test_a_clip_in_parts_scores_as_in_one(part):
    source, noise = (
        clip(17),
        np.random.default_rng(3).integers(0, 12, (17, 24, 32, 3), dtype=np.uint8),
    )
    assert quality_of(source, source + noise, part=part) == quality_of(
        source, source + noise, part=17
    )


def test_parts_may_reuse_their_memory():
    source = clip(8)
    other = source + np.arange(8, dtype=np.uint8)[:, None, None, None] ** 2
    buffers = np.empty_like(source[:4]), np.empty_like(source[:4])
    scores, previous = [], None
    for first in (0, 4):
        buffers[0][:], buffers[1][:] = source[first : first + 4], other[first : first + 4]
        more, previous = score_frames(*buffers, previous=previous)
        scores += more
    assert summarise(scores, chunk_frames=4) == quality_of(source, other)


def test_noise_without_flicker_has_a_ratio_near_one():
    source, rng = clip(200), np.random.default_rng(4)
    other = source + rng.integers(0, 9, source.shape, dtype=np.uint8)
    assert quality_of(source, other).boundary_flicker_ratio == pytest.approx(1.0, abs=0.02)


def test_a_planted_flicker_at_chunk_boundaries_is_seen():
    source, rng = clip(200), np.random.default_rng(4)
    offset = (np.arange(200) // 4 % 2 * 6).astype(
        np.uint8
    )  # every second chunk of 4 is 6 levels brighter
    other = source + rng.integers(0, 9, source.shape, dtype=np.uint8) + offset[:, None, None, None]
    found = quality_of(source, other, chunk_frames=4)
    assert found.boundary_flicker_ratio is not None
    assert found.boundary_flicker_ratio > 1.5
    # The same flicker is no boundary's where chunks are of another length: it spreads over both kinds.
    elsewhere = quality_of(source, other, chunk_frames=5).boundary_flicker_ratio
    assert elsewhere == pytest.approx(1.0, abs=0.1)


def test_flicker_at_boundaries_alone_has_no_ratio():
    source = clip(16)
    other = source + (np.arange(16) // 4 % 2 * 6).astype(np.uint8)[:, None, None, None]
    assert quality_of(source, other).boundary_flicker_ratio is None


@pytest.mark.parametrize(("frames", "chunk_frames"), [(4, 4), (12, 1), (1, 4)])
def test_flicker_is_undefined_without_frames_of_both_kinds(frames, chunk_frames):
    source = clip(frames)
    assert (
        quality_of(
            source, source + 2 * (source % 2), chunk_frames=chunk_frames
        ).boundary_flicker_ratio
        is None
    )


def test_one_frame_has_no_motion():
    source = clip(1)
    assert quality_of(source, source + 1).motion_psnr_db is None


def test_similarity_is_the_mean_over_frames_and_missing_where_frames_are_small():
    found = quality_of(clip(3), clip(3, seed=1))
    assert found.ssim is not None
    assert 0 < found.ssim < 0.5
    assert found.ms_ssim is None
    assert quality_of(clip(2, size=(8, 8)), clip(2, size=(8, 8))).ssim is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (np.zeros((2, 24, 31, 3), np.uint8), r"\[2, 24, 31, 3\] against uint8 \[2, 24, 32, 3\]"),
        (np.zeros((2, 24, 32, 3), np.float32), "got float32"),
    ],
)
def test_frames_that_cannot_be_compared_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        score_frames(clip(2), other, previous=None)


def test_no_frame_is_refused():
    with pytest.raises(InputError, match="no frame"):
        score_frames(clip(2)[:0], clip(2)[:0], previous=None)
    with pytest.raises(InputError, match="no frame"):
        summarise([], chunk_frames=4)
