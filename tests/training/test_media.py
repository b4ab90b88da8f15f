"""Finding and decoding files."""

import numpy as np
import pytest
from PIL import Image

from edgevae.errors import InputError, MediaError
from edgevae.training.media import Segment, decode_segments, find_media, split_segments


def test_videos_and_images_are_found_below_a_folder_with_their_sizes(video_folder, numbered_frames):
    Image.fromarray(numbered_frames(1)[0]).save(video_folder / "still.png")
    (video_folder / "notes.txt").write_text("no media")
    found = find_media(video_folder)
    assert [f.name for f in found] == ["a.mkv", "b.mkv", "c.mkv", "more/d.mkv", "still.png"]
    assert [f.frames for f in found] == [80, 20, 30, 25, 1]
    assert {(f.height_px, f.width_px) for f in found} == {(48, 64)}


def test_segments_cover_a_file_once_and_none_is_short(video_folder):
    file = find_media(video_folder)[0]
    segments = split_segments(file, segment_frames=30)
    assert [(s.start, s.stop) for s in segments] == [(0, 40), (40, 80)]
    assert len(split_segments(file, segment_frames=1000)) == 1


def test_a_segment_holds_exactly_its_frames(video_folder, numbered_frames):
    file = find_media(video_folder)[0]
    later, earlier = decode_segments(
        [Segment(file=file, start=40, stop=50), Segment(file=file, start=3, stop=5)]
    )
    assert np.array_equal(later, numbered_frames(80)[40:50])
    assert np.array_equal(earlier, numbered_frames(80)[3:5])


def test_an_image_is_one_frame(tmp_path, numbered_frames):
    Image.fromarray(numbered_frames(1)[0]).save(tmp_path / "still.png")
    file = find_media(tmp_path)[0]
    assert np.array_equal(
        decode_segments(split_segments(file, segment_frames=64))[0], numbered_frames(1)
    )


def test_a_folder_without_media_and_a_missing_one_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_media(tmp_path / "none")
    with pytest.raises(InputError, match="no video or image in it"):
        find_media(tmp_path)
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(InputError, match=r"clip\.mp4: is a file; expected a folder"):
        find_media(tmp_path / "clip.mp4")


def test_a_text_file_named_as_a_video_is_refused(tmp_path):
    (tmp_path / "fake.mp4").write_text("hello " * 100)
    with pytest.raises(MediaError, match=r"fake\.mp4: "):
        find_media(tmp_path)


def test_a_list_of_other_files_named_as_a_video_is_refused(tmp_path, write_video, numbered_frames):
    write_video(tmp_path / "real.mkv", numbered_frames(4))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile real.mkv\n")
    with pytest.raises(MediaError, match=r"list\.mp4: its format is none that is read"):
        find_media(tmp_path)


def test_a_file_cut_short_is_used_as_far_as_it_goes_and_that_is_said(
    tmp_path, numbered_frames, write_video, capsys
):
    noisy = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "a.mp4", noisy, movflags="faststart")
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    file = find_media(tmp_path)[0]
    assert 5 < file.frames < 25
    assert (
        f"a.mp4: holds {file.frames} of the 30 frames that it announces" in capsys.readouterr().err
    )


def test_a_file_that_shrank_after_it_was_counted_is_refused(tmp_path, write_video, numbered_frames):
    write_video(tmp_path / "a.mkv", numbered_frames(20))
    file = find_media(tmp_path)[0]
    write_video(tmp_path / "a.mkv", numbered_frames(4))
    with pytest.raises(MediaError, match="ends before the frames that it announces"):
        decode_segments([Segment(file=file, start=10, stop=20)])
