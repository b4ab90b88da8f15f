import contextlib
import signal
import subprocess
import sys
import time
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from edgevae.errors import EdgeVaeError, InputError
from edgevae.video import ClipFormat, open_writer


@pytest.fixture
def write(tmp_path):
    """A function that writes frames under a name in the test's folder and returns the path."""

    def write_all(
        name, frames, pts=None, *, time_base=Fraction(1, 25), aspect=Fraction(1), **options
    ):
        clip = ClipFormat(
            width_px=frames.shape[2],
            height_px=frames.shape[1],
            time_base=time_base,
            rate=Fraction(25),
            pixel_aspect=aspect,
        )
        with open_writer(tmp_path / name, clip, **options) as writer:
            stamps = np.arange(len(frames)) if pts is None else np.array(pts)
            for first in range(0, len(frames), 5):
                writer.write(frames[first : first + 5], stamps[first : first + 5])
        return tmp_path / name

    return write_all


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (47, 64), (1, 3)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_lossless_keeps_every_bit_of_any_size(write, make_frames, read, suffix, size):
    frames = make_frames(6, *size)

    got, pts, _ = read(write(f"clip{suffix}", frames, lossless=True))

    assert np.array_equal(got, frames)
    assert len(pts) == 6


@pytest.mark.parametrize("size", [(96, 128), (95, 127)])
def test_h264_is_close_unbiased_and_of_the_same_size(write, make_frames, read, size):
    frames = make_frames(10, *size)

    got, _, _ = read(write("clip.mp4", frames, crf=12))

    difference = got.astype(float) - frames
    assert got.shape == frames.shape
    assert 10 * np.log10(255**2 / np.square(difference).mean()) >= 30
    assert np.abs(difference.mean(axis=(0, 1, 2))).max() < 0.5


def test_a_lower_crf_is_closer(write, make_frames, read):
    frames = make_frames(6, 96, 128)

    errors = [
        np.square(read(write(f"{crf}.mp4", frames, crf=crf))[0].astype(float) - frames).mean()
        for crf in (5, 20, 40)
    ]

    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colours_stay_where_they_are(write, read, suffix):
    """A mirrored picture comes back mirrored: colours that stand for two pixels lie in the middle of them."""
    x = np.arange(64) / 64
    stripes = np.stack([np.sin(18 * x), np.cos(18 * x + 1), np.sin(18 * x + 3)], -1)
    frames = np.broadcast_to(np.uint8(127.5 + 100 * stripes), (4, 48, 64, 3))
    straight, mirrored = (
        read(write(f"{name}{suffix}", np.ascontiguousarray(picture), crf=2))[0].astype(int)
        for name, picture in (("straight", frames), ("mirrored", frames[:, :, ::-1]))
    )
    assert np.abs(straight - mirrored[:, :, ::-1]).mean() < 1.0
    assert np.abs(straight - frames).mean() < 6.0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("size", "lossless", "expected"),
    [
        ((48, 64), False, ("yuv420p", 1, 1)),
        ((47, 64), False, ("yuv444p", 1, 1)),
        ((48, 64), True, ("gbrp", 0, 2)),
    ],
)
def test_the_file_says_its_colours(write, make_frames, suffix, size, lossless, expected):
    path = write(f"clip{suffix}", make_frames(3, *size), lossless=lossless)

    with av.open(str(path)) as container:
        video = container.streams.video[0]
        assert (video.pix_fmt, video.colorspace, video.color_range) == expected
        assert (video.color_primaries, video.color_trc) == (1, 1)


def test_mp4_keeps_uneven_timestamps_exactly(write, frames, read):
    pts = [7, 8, 1000, 1001, 4004, 90001, 90002, 90003, 180000, 180001, 270000, 400000]

    _, got, source = read(write("clip.mp4", frames, pts, time_base=Fraction(1, 90000)))

    assert [p * source.info.time_base for p in got.tolist()] == [Fraction(p, 90000) for p in pts]


def test_mkv_keeps_timestamps_to_a_millisecond(write, frames, read):
    pts = [3003 * t for t in range(12)]

    _, got, source = read(write("clip.mkv", frames, pts, time_base=Fraction(1, 90000)))

    errors = [
        g * source.info.time_base - Fraction(p, 90000)
        for g, p in zip(got.tolist(), pts, strict=True)
    ]
    assert max(map(abs, errors)) <= Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixels_that_are_not_square_stay_so(write, frames, read, suffix):
    _, _, source = read(write(f"clip{suffix}", frames, aspect=Fraction(4, 3)))

    assert source.info.pixel_aspect == Fraction(4, 3)


def test_the_last_frame_lasts_as_long_as_the_others(write, frames):
    with av.open(str(write("clip.mp4", frames))) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == Fraction(12, 25)


def test_one_frame_is_written_as_a_png(write, frames):
    path = write("image.png", frames[:1])

    assert np.array_equal(np.asarray(Image.open(path)), frames[0])


def test_a_png_of_two_frames_is_refused(write, frames, tmp_path):
    with pytest.raises(InputError, match=r"a PNG holds one frame, got more; write a \.mp4"):
        write("image.png", frames[:2])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("clip.webm", {}, r"cannot write \.webm, expected \.mp4, \.mov, \.mkv"),
        ("clip", {}, "a file without suffix"),
        ("clip.mp4", {"crf": 10, "lossless": True}, "exclude each other"),
        ("clip.mp4", {"crf": 52}, "crf: got 52, expected 0"),
        ("image.png", {"crf": 10}, "has no quality"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(write, frames, tmp_path, name, options, message):
    with pytest.raises(InputError, match=message):
        write(name, frames, **options)

    assert list(tmp_path.iterdir()) == []


def test_frames_of_another_size_and_times_that_go_back_are_refused(tmp_path, frames):
    clip = ClipFormat(width_px=64, height_px=48, time_base=Fraction(1, 25), rate=Fraction(25))

    with (
        pytest.raises(InputError, match="got 12 frames of 32x48"),
        open_writer(tmp_path / "a.mp4", clip) as writer,
    ):
        writer.write(frames[:, :, :32], np.arange(12))
    with (
        pytest.raises(InputError, match="timestamp 4 after 4"),
        open_writer(tmp_path / "a.mp4", clip) as writer,
    ):
        writer.write(frames[:2], np.array([4, 4]))
    with (
        pytest.raises(InputError, match="no frame was given"),
        open_writer(tmp_path / "a.mp4", clip),
    ):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_one_line(tmp_path, write, frames):
    with pytest.raises(EdgeVaeError, match=r"cannot be written \(No such file") as caught:
        write("none/clip.mp4", frames)

    assert "\n" not in str(caught.value)


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path, write, frames):
    old = write("clip.mp4", frames).read_bytes()
    clip = ClipFormat(width_px=64, height_px=48, time_base=Fraction(1, 25), rate=Fraction(25))

    writer = open_writer(tmp_path / "clip.mp4", clip)
    with contextlib.suppress(ZeroDivisionError), writer:
        writer.write(frames, np.arange(12))
        raise ZeroDivisionError

    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert (tmp_path / "clip.mp4").read_bytes() == old


def test_a_full_disk_is_one_line(tmp_path, write, frames):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(EdgeVaeError, match=r"clip\.mp4: cannot be written \(File too large\)"):
            write("clip.mp4", frames, lossless=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)

    assert list(tmp_path.iterdir()) == []


ENDLESS = """
import sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from edgevae.video import ClipFormat, open_writer

frame = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), dtype=np.uint8)
clip = ClipFormat(width_px=128, height_px=96, time_base=Fraction(1, 25), rate=Fraction(25))
with open_writer(Path(sys.argv[1]), clip) as writer:
    for number in range(100000):
        writer.write(frame, np.array([number]))
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_no_file_at_the_final_name(tmp_path):
    target = tmp_path / "clip.mp4"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    while process.stdout.readline().strip() != b"20":
        time.sleep(0)
    process.kill()
    process.communicate()

    assert process.returncode == -signal.SIGKILL
    assert not target.exists()
