from __future__ import annotations

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.frames import check_frames, check_latents, chunks, pad_frames, round_up


def test_round_up_gives_the_next_multiple():
    assert [round_up(n, 8) for n in (1, 8, 9, 16)] == [8, 8, 16, 16]


def test_padding_repeats_the_last_frame_row_and_column():
    frames = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    padded = pad_frames(frames, frame_multiple=3, size_multiple=4)
    assert padded.shape == (3, 4, 4, 3)
    assert (padded[:2, :2, :3] == frames).all()
    assert (padded[2] == padded[1]).all()
    assert (padded[:, 3] == padded[:, 1]).all()
    assert (padded[:, :, 3] == padded[:, :, 2]).all()


def test_whole_frames_are_not_copied_by_padding():
    frames = np.zeros((4, 8, 16, 3), np.uint8)
    assert pad_frames(frames, frame_multiple=4, size_multiple=8) is frames


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (5,), (2, 3), (4, 4), (9, 1, 7), ()])
def test_chunks_regroup_any_groups_without_losing_a_frame(sizes):
    frames = np.arange(sum(sizes), dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    groups = np.split(frames, np.cumsum(sizes)[:-1]) if sizes else []
    got = list(chunks(iter(groups), chunk_frames=4))
    assert [len(c) for c in got] == [4] * (sum(sizes) // 4) + (
        [sum(sizes) % 4] if sum(sizes) % 4 else []
    )
    assert not got or (np.concatenate(got) == frames).all()


@pytest.mark.parametrize(("count", "lengths"), [(0, []), (1, [1]), (4, [1, 3]), (9, [1, 4, 4])])
def test_the_first_chunk_is_shorter_where_a_model_codes_the_first_frame_alone(count, lengths):
    frames = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    got = list(chunks([frames] if count else [], chunk_frames=4, lead_frames=3))
    assert [len(c) for c in got] == lengths
    assert not got or (np.concatenate(got) == frames).all()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1]], "got list, expected a numpy array"),
        (np.zeros((1, 8, 8, 3), np.float32), "got dtype float32, expected uint8 .*multiply by 255"),
        (np.zeros((8, 8, 3), np.uint8), r"got shape \[8, 8, 3\], expected \[T, H, W, 3\]"),
        (np.zeros((1, 8, 8, 4), np.uint8), r"got shape \[1, 8, 8, 4\]"),
        (np.zeros((0, 8, 8, 3), np.uint8), "holds no pixel"),
    ],
)
def test_unusable_frames_are_refused_with_what_came_and_what_was_expected(value, message):
    with pytest.raises(InputError, match=message):
        check_frames(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "got str"),
        (np.zeros((1, 4, 2, 2), np.int32), "got dtype int32"),
        (np.zeros((1, 5, 2, 2), np.float32), r"got shape \[1, 5, 2, 2\], expected \[t, 4, h, w\]"),
        (np.zeros((0, 4, 2, 2), np.float32), "holds no value"),
        (np.full((1, 4, 2, 2), np.nan, np.float32), "16 of 16 values are NaN or infinite"),
        (np.full((1, 4, 2, 2), np.inf, np.float16), "16 of 16 values are NaN or infinite"),
    ],
)
def test_unusable_latents_are_refused_with_what_came_and_what_was_expected(value, message):
    with pytest.raises(InputError, match=message):
        check_latents(value, channels=4)


def test_a_camera_may_fill_the_same_buffer_again_and_again():
    def camera():
        buffer = np.empty((1, 2, 2, 3), np.uint8)
        for value in range(6):
            buffer[:] = value
            yield buffer

    got = [chunk[:, 0, 0, 0].tolist() for chunk in chunks(camera(), chunk_frames=4)]
    assert got == [[0, 1, 2, 3], [4, 5]]


def test_a_single_frame_or_another_size_is_no_group():
    frame = np.zeros((2, 2, 3), np.uint8)
    with pytest.raises(InputError, match=r"group of frames: got shape \[2, 2, 3\]"):
        list(chunks([frame], chunk_frames=4))
    with pytest.raises(InputError, match=r"got shape \[1, 2, 4, 3\], expected .*\[n, 2, 2, 3\]"):
        list(chunks([frame[None], np.zeros((1, 2, 4, 3), np.uint8)], chunk_frames=4))


def test_a_number_too_large_for_the_graphs_is_refused():
    with pytest.raises(InputError, match="NaN or infinite"):
        check_latents(np.full((1, 4, 1, 1), 1e300), channels=4)
