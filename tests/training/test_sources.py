"""Clips by index: pure, within the budget, faithful to the pixels of the files."""

from dataclasses import replace

import numpy as np
import pytest

from edgevae.training.augment import Augmentation, choose_times, random_clip
from edgevae.training.media import find_media, split_segments
from edgevae.training.procedural import BUILT_IN, built_in_source
from edgevae.training.sources import FolderSource, deal_segments, fixed_clips, hold_out

PLAIN = Augmentation(frames=8, crop_px=24)
FULL = Augmentation(frames=8, crop_px=24, strides=(1, 2), min_scale=0.5, reverse=True, flip=True)


def folder_source(folder, augmentation=FULL, *, seed=5, cache_bytes=2**24, refresh_clips=10):
    files = find_media(folder)
    return FolderSource(
        files, augmentation, seed=seed, cache_bytes=cache_bytes, refresh_clips=refresh_clips
    )


def test_a_clip_depends_on_seed_and_index_only(video_folder):
    first, second = folder_source(video_folder), folder_source(video_folder)
    forward = [first.clip(i) for i in range(8)]
    backward = [second.clip(i) for i in reversed(range(8))][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forward, backward, strict=True))
    assert not np.array_equal(forward[0], forward[1])
    assert not np.array_equal(forward[0], folder_source(video_folder, seed=6).clip(0))


def test_a_clip_stays_the_same_when_the_data_comes_in_parts(video_folder):
    whole, again = (
        folder_source(video_folder, cache_bytes=2**18, refresh_clips=3) for _ in range(2)
    )
    assert len(whole.parts) > 2
    expected = [whole.clip(i) for i in range(12)]
    assert np.array_equal(again.clip(7), expected[7])
    assert np.array_equal(again.clip(2), expected[2])


def test_parts_hold_every_segment_once_and_keep_to_the_budget(video_folder):
    segments = [s for f in find_media(video_folder) for s in split_segments(f, segment_frames=10)]
    budget, largest = 2**18, max(s.size_bytes for s in segments)
    parts = deal_segments(segments, seed=1, part_bytes=budget)
    assert sorted(map(repr, segments)) == sorted(repr(s) for part in parts for s in part)
    assert all(sum(s.size_bytes for s in part) <= budget + largest for part in parts)


def test_a_plain_clip_is_a_window_of_the_file(video_folder):
    source = folder_source(video_folder, PLAIN)
    for i in range(12):
        clip = source.clip(i)
        assert clip.shape == (8, 24, 24, 3)
        assert np.array_equal(np.diff(clip[:, 0, 0, 0].astype(int)), np.ones(7))
        assert np.array_equal(np.diff(clip[0, :, 0, 1].astype(int)), np.ones(23))
        assert np.array_equal(np.diff(clip[0, 0, :, 2].astype(int)), np.ones(23))


def test_augmentation_reaches_every_variant(numbered_frames):
    frames = numbered_frames(60)
    clips = [random_clip(frames, np.random.default_rng(i), FULL).astype(int) for i in range(64)]
    assert all(clip.shape == (8, 24, 24, 3) for clip in clips)
    assert {int(clip[1, 0, 0, 0] - clip[0, 0, 0, 0]) for clip in clips} == {-2, -1, 1, 2}
    assert {int(np.sign(clip[0, 0, 23, 2] - clip[0, 0, 0, 2])) for clip in clips} == {-1, 1}
    assert min(abs(clip[0, 0, 23, 2] - clip[0, 0, 0, 2]) for clip in clips) < 30
    assert max(abs(clip[0, 0, 23, 2] - clip[0, 0, 0, 2]) for clip in clips) > 40


def test_a_share_of_the_clips_loses_its_colour():
    grey = Augmentation(frames=4, crop_px=24, grey_share=0.5)
    plain = Augmentation(frames=4, crop_px=24)
    frames = np.random.default_rng(0).integers(0, 256, (6, 30, 30, 3), dtype=np.uint8)
    lost = 0
    for i in range(64):
        clip, before = (
            random_clip(frames, np.random.default_rng(i), a).astype(float) for a in (grey, plain)
        )
        weights = [0.299, 0.587, 0.114]
        assert np.allclose(clip @ weights, before @ weights, atol=1.5)
        lost += not np.array_equal(clip, before)
    assert 16 < lost < 48


def test_what_is_too_short_or_too_small_is_continued(numbered_frames):
    clip = random_clip(numbered_frames(3, height=16, width=20), np.random.default_rng(0), PLAIN)
    assert clip[:, 0, 0, 0].tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert clip[0, :, 0, 1].tolist() == [*range(16), *range(15, 7, -1)]
    assert choose_times(10, 8, 3, 0.99).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]


def test_held_out_files_are_chosen_by_name_and_kept_from_training(video_folder):
    files = find_media(video_folder)
    training, held = hold_out(files)
    assert len(held) == 1
    assert sorted(f.name for f in (*training, *held)) == [f.name for f in files]
    assert hold_out(files[::-1])[1] == held
    assert hold_out(files[:1]) == (files[:1], files[:1])


def test_validation_clips_are_fixed_and_spread_over_the_files(video_folder):
    files = find_media(video_folder)
    clips = fixed_clips(files, PLAIN, seed=0, count=8)
    again = fixed_clips(files, PLAIN, seed=0, count=8)
    assert all(np.array_equal(a, b) for a, b in zip(clips, again, strict=True))
    assert [clip[0, 0, 0, 0] // 40 >= i % 4 for i, clip in enumerate(clips)] == [True] * 8
    assert all(clip.shape == (8, 24, 24, 3) for clip in clips)


def test_validation_clips_shrink_to_what_the_smallest_file_has(video_folder):
    clips = fixed_clips(
        find_media(video_folder), Augmentation(frames=4, crop_px=512), seed=0, count=2
    )
    assert {clip.shape for clip in clips} == {(4, 48, 48, 3)}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_clips_depend_on_seed_and_index_only(name):
    first, second = (built_in_source(name, PLAIN, seed=3) for _ in range(2))
    clips = [first.clip(i) for i in range(6)]
    assert np.array_equal(second.clip(4), clips[4])
    assert all(clip.shape == (8, 24, 24, 3) and clip.dtype == np.uint8 for clip in clips)
    assert not np.array_equal(clips[0], clips[1])
    assert not np.array_equal(built_in_source(name, PLAIN, seed=4).clip(0), clips[0])


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_clips_have_texture_and_motion(name):
    source = built_in_source(name, Augmentation(frames=8, crop_px=64), seed=0)
    clips = np.stack([source.clip(i) for i in range(12)]).astype(float)
    assert np.median(clips.std((1, 2, 3, 4))) > 20
    assert np.mean(np.abs(np.diff(clips, axis=1)).mean((1, 2, 3, 4)) > 1.0) > 0.6


def test_a_share_of_the_clips_is_of_one_colour(numbered_frames):
    frames, flat = numbered_frames(60), replace(FULL, flat_share=0.5)
    clips = [random_clip(frames, np.random.default_rng(i), flat) for i in range(80)]
    plain = [random_clip(frames, np.random.default_rng(i), FULL) for i in range(80)]
    one = [(clip == clip[:1, :1, :1]).all() for clip in clips]
    assert 0.3 < np.mean(one) < 0.7
    colours = {tuple(clip[0, 0, 0]) for clip, is_flat in zip(clips, one, strict=True) if is_flat}
    assert {(0, 0, 0), (255, 255, 255)} < colours
    rest = [i for i, is_flat in enumerate(one) if not is_flat]
    assert all(np.array_equal(clips[i], plain[i]) for i in rest)
