import av
import numpy as np
import pytest

from edgevae.errors import MediaError

H264 = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"crf": "20", "g": "6"}}
# An MP4 that can be truncated and still opened has its index in front, or in fragments.
CONTAINERS = {
    "front.mp4": {"container_options": {"movflags": "faststart"}},
    "fragments.mp4": {
        "container_options": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    },
    "clip.mkv": {},
    "clip.avi": {},
}


@pytest.fixture
def whole(make_clip, make_frames):
    """A function that makes a clip of 40 frames in one of `CONTAINERS`."""
    frames = make_frames(40, 48, 64)
    return lambda name: make_clip(name, frames, **H264, **CONTAINERS[name])


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_whole_clip_shows_no_damage(whole, read, name):
    frames, _, source = read(whole(name))

    assert len(frames) == 40
    assert source.notes == []


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", ["front.mp4", "clip.mkv", "clip.avi"])
def test_a_truncated_clip_is_an_error_that_says_so(whole, read, name, part):
    path = whole(name)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])

    with pytest.raises(MediaError, match=r"truncated|damaged|cannot be read") as caught:
        read(path)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["front.mp4", "clip.mkv", "clip.avi"])
def test_a_truncated_clip_gives_what_it_has_where_that_is_allowed(whole, read, name):
    path = whole(name)
    expected, _, _ = read(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(0.7 * len(data))])

    frames, pts, source = read(path, allow_damaged=True)

    assert 0 < len(frames) < 40
    assert (np.diff(pts) > 0).all()
    assert np.array_equal(frames[:10], expected[:10])
    assert "read on because damage is allowed" in source.notes[-1]


@pytest.mark.parametrize("name", ["front.mp4", "clip.mkv", "clip.avi"])
def test_every_truncation_is_noticed(whole, read, name):
    path = whole(name)
    data = path.read_bytes()

    for size in [*np.linspace(100, len(data) - 1, 25).astype(int), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(MediaError):
            read(path)


def test_a_torn_fragment_is_noticed(whole, read):
    path = whole("fragments.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moof") + 200])

    with pytest.raises(MediaError, match="truncated"):
        read(path)


@pytest.mark.parametrize("name", ["front.mp4", "fragments.mp4", "clip.mkv", "clip.avi"])
def test_overwritten_bytes_in_the_middle_are_an_error(whole, read, name):
    path = whole(name)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(5).bytes(2000)
    path.write_bytes(data)

    with pytest.raises(MediaError, match=r"--allow-damaged|cannot be read"):
        read(path)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_download_that_ends_in_zeros_is_an_error(whole, read, name):
    path = whole(name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3].ljust(len(data), b"\0"))

    with pytest.raises(MediaError):
        read(path)


def test_a_truncated_image_is_an_error(tmp_path, make_frames, read):
    from PIL import Image

    Image.fromarray(make_frames(1, 96, 96)[0]).save(tmp_path / "image.jpg")
    data = (tmp_path / "image.jpg").read_bytes()
    (tmp_path / "image.jpg").write_bytes(data[: len(data) // 2])

    with pytest.raises(MediaError, match=r"not an image that can be read.*truncated"):
        read(tmp_path / "image.jpg")


def test_an_mp4_that_lost_its_index_is_called_truncated(make_clip, frames, read):
    path = make_clip("clip.mp4", frames, **H264)
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(MediaError, match="truncated beyond reading"):
        read(path)


def test_packets_lost_from_a_transport_stream_are_an_error(make_clip, make_frames, read):
    path = make_clip("clip.ts", make_frames(40, 48, 64), **H264)
    assert len(read(path)[0]) == 40
    data = path.read_bytes()
    middle = len(data) // 188 // 2 * 188
    path.write_bytes(data[:middle] + data[middle + 3 * 188 :])

    with pytest.raises(MediaError, match=r"is damaged or cut off|damaged data|cannot be decoded"):
        read(path)


def test_an_avi_cut_and_patched_is_still_short_of_its_header(whole, read):
    path = whole("clip.avi")
    data = path.read_bytes()[:-8000]
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])

    with pytest.raises(MediaError, match=r"frames read, 40 declared|cannot be decoded"):
        read(path)


def test_an_mp4_that_begins_between_two_key_frames_is_an_error(whole, read, tmp_path):
    with (
        av.open(str(whole("front.mp4"))) as source,
        av.open(str(tmp_path / "late.mp4"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in list(source.demux(video=0))[8:]:
            if packet.size:
                packet.stream = stream
                target.mux(packet)

    with pytest.raises(MediaError, match=r"damaged data|cannot be decoded"):
        read(tmp_path / "late.mp4")


def test_what_an_edit_list_cuts_away_is_no_damage(whole, read, tmp_path):
    with (
        av.open(str(whole("front.mp4"))) as source,
        av.open(str(tmp_path / "trimmed.mp4"), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                packet.pts -= 5 * 512  # five frames before the beginning
                packet.dts -= 5 * 512
                target.mux(packet)

    frames, pts, _ = read(tmp_path / "trimmed.mp4")

    assert (len(frames), pts[0]) == (35, 0)
