import json
import struct
from fractions import Fraction

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from edgevae.errors import EdgeVaeError, IncompatibleError, InputError, IntegrityError
from edgevae.video import LatentsInfo, LatentsReader, LatentsWriter, open_sound

INFO = LatentsInfo(
    width_px=63,
    height_px=47,
    time_base=Fraction(1, 90000),
    rate=Fraction(30000, 1001),
    pixel_aspect=Fraction(4, 3),
    bundle="tiny",
    model_digest="ab" * 32,
    temporal_factor=4,
    spatial_factor=8,
)
PTS = np.array([0, 3003, 6006, 9009, 12012, 20000, 20001])


@pytest.fixture
def latents():
    """Latents of 7 frames of 47x63: float32 `[2, 16, 6, 8]`."""
    return np.random.default_rng(3).standard_normal((2, 16, 6, 8)).astype(np.float32)


@pytest.fixture
def path(tmp_path, latents):
    """A latents file, written in two steps."""
    with LatentsWriter(tmp_path / "clip.safetensors", INFO, dtype="float32") as writer:
        writer.write(latents[:1], PTS[:4])
        writer.write(latents[1:], PTS[4:])
    return tmp_path / "clip.safetensors"


@pytest.fixture
def with_sound(tmp_path, latents, make_clip, frames):
    """A latents file with sound."""
    clip = make_clip("clip.mp4", frames, codec="libx264", pixel_format="yuv420p", sound="aac")
    with (
        open_sound(clip) as track,
        LatentsWriter(tmp_path / "sound.safetensors", INFO, sound=track) as writer,
    ):
        writer.write(latents, PTS)
    return tmp_path / "sound.safetensors"


def read(path, *, steps=2):
    with LatentsReader(path) as reader:
        return np.concatenate(list(reader.chunks(steps=steps))), reader


def test_float32_latents_come_back_bit_for_bit_with_all_that_was_known(path, latents):
    got, reader = read(path)

    assert np.array_equal(got, latents)
    assert np.array_equal(reader.pts, PTS)
    assert vars(reader.info) == vars(INFO) | {"frames": 7}
    assert reader.shape == (2, 16, 6, 8)
    assert not reader.has_sound


def test_float16_is_half_the_size_and_within_its_rounding(tmp_path, path, latents):
    with LatentsWriter(tmp_path / "half.safetensors", INFO) as writer:
        writer.write(latents, PTS)

    got, reader = read(tmp_path / "half.safetensors")

    assert np.array_equal(got, latents.astype(np.float16).astype(np.float32))
    assert 2 * reader.latents_bytes == read(path)[1].latents_bytes == latents.nbytes


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_chunks_of_any_size_give_the_same_latents(path, latents, steps):
    assert np.array_equal(read(path, steps=steps)[0], latents)


def test_a_rate_that_is_not_known_stays_so(tmp_path, latents):
    from dataclasses import replace

    with LatentsWriter(tmp_path / "clip.safetensors", replace(INFO, rate=None)) as writer:
        writer.write(latents, PTS)

    assert read(tmp_path / "clip.safetensors")[1].info.rate is None


def test_the_safetensors_library_reads_the_file(with_sound, latents):
    with safe_open(with_sound, framework="numpy") as file:
        assert set(file.keys()) == {"latents", "pts", "sound", "sound_times"}
        assert np.array_equal(file.get_tensor("latents"), latents.astype(np.float16))
        assert np.array_equal(file.get_tensor("pts"), PTS)
        assert bytes(file.get_tensor("sound"))[:4] == b"\x1a\x45\xdf\xa3"  # Matroska
        assert file.metadata()["bundle"] == "tiny"


def test_a_file_that_the_safetensors_library_wrote_again_is_read(with_sound, latents):
    with safe_open(with_sound, framework="numpy") as file:
        names = ("latents", "pts", "sound", "sound_times")
        tensors, metadata = {name: file.get_tensor(name) for name in names}, file.metadata()
    safetensors.numpy.save_file(tensors, with_sound, metadata)

    assert np.array_equal(read(with_sound)[0], latents.astype(np.float16))
    with LatentsReader(with_sound) as reader, reader.sound() as track:
        assert len(list(track.packets)) > 5


def test_sound_comes_back_packet_for_packet(with_sound, tmp_path):
    with (
        LatentsReader(with_sound) as reader,
        reader.sound() as stored,
        open_sound(tmp_path / "clip.mp4") as original,
    ):
        assert [(bytes(p), p.pts * p.time_base, p.duration) for p in stored.packets] == [
            (bytes(p), p.pts * p.time_base, p.duration) for p in original.packets
        ]


def test_every_truncation_is_noticed(with_sound):
    data = with_sound.read_bytes()

    for size in [*range(9), 100, 4095, 4096, *range(4097, len(data), 997), len(data) - 1]:
        with_sound.write_bytes(data[:size])
        with pytest.raises(EdgeVaeError) as caught:
            read(with_sound)
        assert "\n" not in str(caught.value)


def test_every_flipped_byte_is_noticed(with_sound):
    data = with_sound.read_bytes()
    header_end = data.index(b" " * 50)
    positions = [*range(0, header_end, 7), *range(4096, len(data), 211), len(data) - 1]

    for position in positions:
        damaged = bytearray(data)
        damaged[position] ^= 0x11
        with_sound.write_bytes(damaged)
        with pytest.raises(EdgeVaeError) as caught:
            _read_all(with_sound)
        assert "\n" not in str(caught.value), position


def _read_all(path):
    with LatentsReader(path) as reader:
        list(reader.chunks(steps=1))
        with reader.sound() as track:
            list(track.packets)


def _change(path, change):
    """Let a function change the header, and write it back with digests that fit."""
    from edgevae.video.latents_format import _digest

    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    if "__metadata__" in header:
        header["__metadata__"]["sha256_metadata"] = _digest(header["__metadata__"])
    path.write_bytes(data[:8] + json.dumps(header).encode().ljust(length) + data[8 + length :])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda h: h.pop("__metadata__"), InputError, "no latents file"),
        (lambda h: h["__metadata__"].update(format="other"), InputError, "no latents file"),
        (
            lambda h: h["__metadata__"].update(format_version="2"),
            IncompatibleError,
            "format version '2'.*reads '1'",
        ),
        (
            lambda h: h["__metadata__"].pop("time_base"),
            IntegrityError,
            "key 'time_base' is missing",
        ),
        (lambda h: h["__metadata__"].update(time_base="1/0"), IntegrityError, "header is damaged"),
        (lambda h: h["__metadata__"].update(width_px="0"), IntegrityError, "width_px is 0"),
        (
            lambda h: h["__metadata__"].update(height_px="49"),
            IntegrityError,
            r"48 of 49 \(height\)",
        ),
        (
            lambda h: h["__metadata__"].update(frames="8"),
            IntegrityError,
            "7 timestamps for 8 frames",
        ),
        (lambda h: h["latents"].update(dtype="I32"), IntegrityError, "'latents' is I32"),
        (
            lambda h: h["latents"].update(shape=[3, 16, 6, 8]),
            IntegrityError,
            "has 6144 bytes, expected 9216",
        ),
        (
            lambda h: h["latents"].update(shape=[2, 96, 8]),
            IntegrityError,
            "expected F16 with 4 axes",
        ),
        (lambda h: h.pop("pts"), IntegrityError, "key 'pts' is missing"),
        (lambda h: h.update(more=h["pts"]), IntegrityError, "unknown tensor 'more'"),
        (lambda h: h["pts"].update(data_offsets=[6200, 6256]), IntegrityError, "gap or overlap"),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(path, change, error, message):
    _change(path, change)

    with pytest.raises(error, match=message):
        read(path)


def test_what_is_no_latents_file_is_refused(tmp_path, make_clip, frames):
    clip = make_clip("clip.mp4", frames)
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "empty").touch()

    for name in ("clip.mp4", "other.safetensors", "empty"):
        with pytest.raises(InputError, match="no latents file"):
            LatentsReader(tmp_path / name)
    with pytest.raises(InputError, match=r"none: cannot be opened \(No such file"):
        LatentsReader(tmp_path / "none")
    assert clip.exists()


def test_another_bundle_is_refused_with_both_digests(path):
    _, reader = read(path)

    tiny = {"name": "tiny", "digest": "ab" * 32}
    reader.check_model(**tiny, channels=(4, 16))
    with pytest.raises(
        IncompatibleError, match="holds 16 latent channels, expected 4 or 8 as 'tiny' takes"
    ):
        reader.check_model(**tiny, channels=(4, 8))
    with pytest.raises(
        IncompatibleError, match=f"'tiny' .sha256 {'ab' * 32}.*'big' .sha256 {'cd' * 32}"
    ):
        reader.check_model(name="big", digest="cd" * 32, channels=(16,))


def test_values_that_float16_cannot_hold_are_refused_and_float32_holds_them(tmp_path, latents):
    latents[0, 0, 0, 0] = 1e5

    with (
        pytest.raises(InputError, match=r"latents reach 100000.*--latents-dtype"),
        LatentsWriter(tmp_path / "clip.safetensors", INFO) as writer,
    ):
        writer.write(latents, PTS)
    assert list(tmp_path.iterdir()) == []

    with LatentsWriter(tmp_path / "clip.safetensors", INFO, dtype="float32") as writer:
        writer.write(latents, PTS)
    assert np.array_equal(read(tmp_path / "clip.safetensors")[0], latents)


def test_latents_that_are_not_finite_are_never_written(tmp_path, latents):
    latents[1, 2, 3, 4] = np.nan

    with (
        pytest.raises(EdgeVaeError, match="the model gave latents that are not finite"),
        LatentsWriter(tmp_path / "clip.safetensors", INFO) as writer,
    ):
        writer.write(latents, PTS)

    assert list(tmp_path.iterdir()) == []


def test_no_latents_and_another_shape_are_refused(tmp_path, latents):
    empty = LatentsWriter(tmp_path / "empty", INFO)
    with pytest.raises(InputError, match="no latents were given"), empty:
        pass
    assert list(tmp_path.iterdir()) == []

    with LatentsWriter(tmp_path / "clip", INFO) as writer:
        writer.write(latents, PTS)
        with pytest.raises(InputError, match="after"):
            writer.write(latents[:, :, :3], PTS)
