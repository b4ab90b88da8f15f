import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from edgevae.errors import InputError, IntegrityError
from edgevae.video import ClipFormat, open_sound, open_writer
from edgevae.video.sound import store_sound, stored_sound
from edgevae.video.window import Window

H264 = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"crf": "20"}}


@pytest.fixture
def remux(tmp_path, frames):
    """A function that writes other frames with the sound of a clip, and returns the new clip."""

    def write(source: Path, name: str) -> Path:
        clip = ClipFormat(width_px=64, height_px=48, time_base=Fraction(1, 25), rate=Fraction(25))
        with open_sound(source) as track, open_writer(tmp_path / name, clip, sound=track) as writer:
            writer.write(frames, np.arange(12))
        return tmp_path / name

    return write


def packets(path: Path) -> list[tuple[bytes, Fraction]]:
    """Every packet of the first sound track, with its time in seconds."""
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        return [(bytes(p), p.pts * p.time_base) for p in container.demux(sound) if p.size]


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "flac"])
def test_sound_is_copied_byte_for_byte_at_the_same_times(make_clip, frames, remux, codec):
    source = make_clip("source.mp4", frames, sound=codec, **H264)

    assert packets(remux(source, "copy.mp4")) == packets(source)


def test_sound_stays_level_with_the_video_in_mkv(make_clip, frames, remux):
    source = make_clip("source.mp4", frames, sound="aac", **H264)
    copy = remux(source, "copy.mkv")

    def lead(path: Path) -> float:
        """Seconds by which the sound's second packet is ahead of the second frame."""
        with av.open(str(path)) as container:
            frame = list(container.decode(video=0))[1]
            return float(packets(path)[1][1]) - frame.time

    assert [data for data, _ in packets(copy)] == [data for data, _ in packets(source)]
    assert abs(lead(copy) - lead(source)) <= 0.002


def test_sound_of_a_transport_stream_goes_into_an_mp4(make_clip, frames, remux):
    source = make_clip("source.ts", frames, sound="aac", **H264)

    with av.open(str(remux(source, "copy.mp4"))) as copy, av.open(str(source)) as original:
        got, expected = (
            np.concatenate([f.to_ndarray() for f in c.decode(audio=0)], axis=1)
            for c in (copy, original)
        )
    assert np.array_equal(got[:, :10000], expected[:, :10000])


def test_sound_that_the_container_cannot_hold_is_an_error_that_says_what_to_do(
    make_clip, frames, remux, tmp_path
):
    source = make_clip("source.mkv", frames, sound="tta", **H264)

    with pytest.raises(
        InputError, match=r"a \.mp4 file cannot hold the sound.*write a \.mkv, or .*--no-sound"
    ):
        remux(source, "copy.mp4")

    assert [p.name for p in tmp_path.iterdir()] == ["source.mkv"]
    assert [data for data, _ in packets(remux(source, "copy.mkv"))] == [
        data for data, _ in packets(source)
    ]


def test_a_clip_without_sound_has_no_track(make_clip, frames):
    with open_sound(make_clip("clip.mp4", frames)) as track:
        assert track is None


@pytest.fixture
def stored(make_clip, frames):
    """A file with 7 other bytes and then stored sound, its times, their unit, and the clip it comes from."""
    source = make_clip("source.mp4", frames, sound="aac", **H264)
    file = io.BytesIO(b"before.")
    with open_sound(source) as track:
        times, time_base = store_sound(track, Window(file, 7), target=Path("clip"))
    return file, times, time_base, source


def test_stored_sound_has_the_packets_and_the_exact_times(stored):
    file, times, time_base, source = stored

    with stored_sound(Window(file, 7), times, time_base, source="clip") as track:
        got = [(bytes(p), p.pts * p.time_base) for p in track.packets]

    assert got == packets(source)
    assert file.getvalue().startswith(b"before.")


def test_stored_sound_that_was_changed_is_an_error(stored):
    file, times, time_base, _ = stored

    with (
        stored_sound(Window(file, 7), times[:-1], time_base, source="clip") as track,
        pytest.raises(IntegrityError, match="packets, expected"),
    ):
        list(track.packets)
    with (
        pytest.raises(IntegrityError, match="its sound cannot be read"),
        stored_sound(Window(io.BytesIO(bytes(5000)), 0), times, time_base, source="clip"),
    ):
        pass
