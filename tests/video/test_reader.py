import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevae.errors import MediaError
from edgevae.video import open_video

LOSSY = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"crf": "20"}}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_lossless_clip_is_read_bit_for_bit_with_its_timestamps(make_clip, frames, read, suffix):
    got, pts, source = read(make_clip(f"clip{suffix}", frames))

    assert np.array_equal(got, frames)
    assert [p * source.info.time_base for p in pts.tolist()] == [Fraction(t, 25) for t in range(12)]
    assert (source.info.width_px, source.info.height_px, source.info.rate) == (64, 48, 25)
    assert source.info.expected_frames == 12
    assert source.notes == []


@pytest.mark.parametrize(("height", "width"), [(47, 63), (1, 5), (48, 33)])
def test_odd_sizes_are_read_whole(make_clip, make_frames, read, height, width):
    frames = make_frames(3, height, width)

    got, _, source = read(make_clip("clip.mkv", frames, codec="ffv1", pixel_format="bgr0"))

    assert np.array_equal(got, frames)
    assert (source.info.height_px, source.info.width_px) == (height, width)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_and_mirrored_clips_come_upright(
    make_clip, frames, read, suffix, degrees, mirrored
):
    got, _, source = read(make_clip(f"clip{suffix}", frames, rotation=degrees, mirrored=mirrored))

    # FFmpeg turns counter-clockwise by the angle of the matrix, and mirrors what has been turned.
    upright = np.rot90(frames, degrees // 90, axes=(1, 2))
    assert np.array_equal(got, upright[:, :, ::-1] if mirrored else upright)
    assert got.shape[1:3] == (source.info.height_px, source.info.width_px)


def test_a_clip_turned_by_an_odd_angle_is_refused(make_clip, frames):
    path = make_clip("clip.mp4", frames, rotation=30)

    with pytest.raises(MediaError, match=r"turned by -(29|30) degrees, expected a multiple of 90"):
        open_video(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_keeps_every_timestamp(make_clip, frames, read, suffix):
    pts = [0, 40, 41, 100, 107, 500, 501, 502, 900, 1000, 2000, 2001]

    _, got, source = read(make_clip(f"clip{suffix}", frames, pts=pts, time_base=Fraction(1, 1000)))

    assert [p * source.info.time_base for p in got.tolist()] == [Fraction(p, 1000) for p in pts]


def test_a_clip_that_begins_late_keeps_its_first_timestamp(make_clip, frames, read):
    _, pts, source = read(make_clip("clip.mkv", frames, pts=list(range(50, 62))))

    assert pts[0] * source.info.time_base == 2


def test_avi_which_has_no_timestamps_gets_them_from_its_rate(make_clip, frames, read):
    got, pts, source = read(make_clip("clip.avi", frames, **LOSSY))

    assert pts.tolist() == list(range(12))
    assert source.info.time_base == Fraction(1, 25)
    assert len(got) == 12


def test_ten_bits_are_read_to_the_nearest_level(make_clip, frames, read):
    clip = {"codec": "ffv1", "pixel_format": "yuv444p10le", "matrix": 1}

    got, _, source = read(make_clip("clip.mkv", frames, **clip))

    assert source.info.bit_depth == 10
    assert np.abs(got.astype(int) - frames).max() <= 1


# Lossless 4:4:4 through the right matrix and range comes back within 2 levels, through a wrong one it does not.
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 9])
def test_tagged_matrix_and_range_are_honoured(make_clip, frames, read, matrix, full_range):
    clip = {"codec": "libx264", "pixel_format": "yuv444p"}

    got, _, _ = read(make_clip("clip.mp4", frames, matrix=matrix, full_range=full_range, **clip))

    difference = got.astype(int) - frames
    assert np.abs(difference).max() <= 2
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.1


@pytest.mark.parametrize(("size", "matrix"), [((48, 64), 6), ((16, 1280), 1), ((578, 16), 1)])
def test_an_untagged_clip_is_bt601_if_small_and_bt709_if_large(
    make_clip, make_frames, read, size, matrix
):
    frames = make_frames(2, *size)
    clip = {"codec": "libx264", "pixel_format": "yuv444p", "matrix": matrix, "tagged": False}

    got, _, _ = read(make_clip("clip.mp4", frames, **clip))
    other, _, _ = read(make_clip("other.mp4", frames, **clip | {"matrix": 7 - matrix}))

    assert np.abs(got.astype(int) - frames).max() <= 2
    assert np.abs(other.astype(int) - frames).max() > 5


def test_subsampled_colour_has_no_bias(make_clip, frames, read):
    clip = {"codec": "libx264", "pixel_format": "yuv420p", "matrix": 1}

    got, _, _ = read(make_clip("clip.mp4", frames, **clip))

    assert np.abs((got.astype(float) - frames).mean(axis=(0, 1, 2))).max() < 0.25


def test_frames_come_in_groups_of_the_size_asked_for(make_clip, frames):
    with open_video(make_clip("clip.mp4", frames), group_frames=5) as source:
        assert [len(group.frames) for group in source] == [5, 5, 2]


def test_high_dynamic_range_is_said(make_clip, frames, read):
    clip = {"codec": "libx264", "pixel_format": "yuv444p", "matrix": 9, "transfer": 16}

    _, _, source = read(make_clip("clip.mp4", frames, **clip))

    assert "without tone mapping" in source.notes[0]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp"])
def test_a_lossless_image_is_a_clip_of_one_frame(tmp_path, frames, read, suffix):
    Image.fromarray(frames[0]).save(tmp_path / f"image{suffix}", lossless=True)

    got, pts, source = read(tmp_path / f"image{suffix}")

    assert np.array_equal(got, frames[:1])
    assert (pts.tolist(), source.info.frames, source.info.rate) == ([0], 1, None)


def test_a_photograph_is_turned_as_its_exif_says(tmp_path, frames, read):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(frames[0]).save(tmp_path / "photo.jpg", exif=exif, quality=100, subsampling=0)

    got, _, _ = read(tmp_path / "photo.jpg")

    assert np.abs(got[0].astype(int) - np.rot90(frames[0], -1)).mean() < 2


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, read):
    grey = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")

    got, _, _ = read(tmp_path / "grey.png")

    assert np.array_equal(got[0, ..., 1].ravel(), np.arange(256))


def test_a_dropped_alpha_channel_is_said(tmp_path, frames, read):
    Image.fromarray(frames[0]).convert("RGBA").save(tmp_path / "image.png")

    _, _, source = read(tmp_path / "image.png")

    assert "alpha channel is dropped" in source.notes[0]


def _png_header(width, height):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return (
        b"\x89PNG\r\n\x1a\n"
        + data
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


BAD_FILES = {
    "text.mp4": (b"not a video, only words\n" * 40, "not a video that can be read"),
    "empty.mp4": (b"", r"is empty \(0 bytes\)"),
    "list.mp4": (b"ffconcat version 1.0\nfile good.mp4\n", "its format is none that is read"),
    "list.m3u8": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ngood.mp4\n",
        "its format is none|not a video",
    ),
    "half.png": (b"\x89PNG\r\n\x1a\n" + bytes(8), "not an image that can be read"),
    "bomb.png": (_png_header(60000, 60000), "60000x60000 is more than|exceeds limit"),
    "bomb.y4m": (
        b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + bytes(64),
        "60000x60000|not a video",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_one_line(tmp_path, name):
    data, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)

    with pytest.raises(MediaError, match=message) as caught:
        open_video(tmp_path / name)

    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(MediaError, match="No such file"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="is a folder"):
        open_video(tmp_path)


def test_a_song_with_a_cover_picture_has_no_video(make_clip, frames, tmp_path):
    import av

    make_clip("song.mp4", frames, sound="aac", **LOSSY)
    with (
        av.open(str(tmp_path / "song.mp4")) as source,
        av.open(str(tmp_path / "only.m4a"), "w", format="mp4") as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)

    with pytest.raises(MediaError, match=r"no video track \(it has audio\)"):
        open_video(tmp_path / "only.m4a")


def test_a_name_that_looks_like_a_protocol_is_a_file(
    make_clip, frames, read, tmp_path, monkeypatch
):
    make_clip("12:30.mp4", frames)
    monkeypatch.chdir(tmp_path)

    got, _, _ = read("12:30.mp4")

    assert len(got) == 12


def test_a_clip_that_changes_its_size_is_refused(make_clip, frames, tmp_path):
    first = make_clip("first.ts", frames, **LOSSY).read_bytes()
    second = make_clip("second.ts", frames[:, :32], **LOSSY).read_bytes()
    (tmp_path / "both.ts").write_bytes(first + second)

    with (
        open_video(tmp_path / "both.ts", allow_damaged=True) as source,  # TS counts packets, too
        pytest.raises(MediaError, match="is 64x32, the clip began as 64x48"),
    ):
        list(source)


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_no_descriptor_is_left_open(make_clip, frames, tmp_path):
    good = make_clip("good.mp4", frames)
    (tmp_path / "bad.mp4").write_bytes(good.read_bytes()[:400])
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(5):
        with open_video(good) as source:
            next(iter(source))
        with pytest.raises(MediaError):
            open_video(tmp_path / "bad.mp4")

    assert len(list(Path("/proc/self/fd").iterdir())) == before
