import threading
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from edgevae.errors import EdgeVaeError, IncompatibleError, InputError, IntegrityError, MediaError
from edgevae.runtime.vae import load
from edgevae.video import LatentsReader, decode_file, encode_file, reconstruct_file

H264 = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"crf": "20"}}


@pytest.fixture(params=["video", "image"])
def vae(request, tiny_bundle, tiny_image_bundle):
    """A video and an image model, open."""
    with load(tiny_bundle if request.param == "video" else tiny_image_bundle) as opened:
        yield opened


@pytest.fixture
def video_vae(tiny_bundle):
    with load(tiny_bundle) as opened:
        yield opened


@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 48, 64), (4, 48, 64), (7, 47, 63), (12, 33, 65)]
)
def test_file_to_file_equals_the_model_on_arrays(
    vae, make_clip, make_frames, read, tmp_path, count, height, width
):
    frames = make_frames(count, height, width)
    clip = make_clip("clip.mkv", frames)

    encode_file(vae, clip, tmp_path / "clip.safetensors", dtype="float32")
    decode_file(vae, tmp_path / "clip.safetensors", tmp_path / "decoded.mkv", lossless=True)
    result = reconstruct_file(vae, clip, tmp_path / "kept.mkv", lossless=True)

    with LatentsReader(tmp_path / "clip.safetensors") as reader:
        latents = np.concatenate(list(reader.chunks(steps=1)))
    expected = vae.reconstruct(frames)
    assert np.array_equal(latents, vae.encode(frames))
    assert np.array_equal(read(tmp_path / "decoded.mkv")[0], expected)
    assert np.array_equal(read(tmp_path / "kept.mkv")[0], expected)
    error = np.square(expected.astype(float) - frames).mean()
    assert result.psnr_db == pytest.approx(10 * np.log10(255**2 / error))


@pytest.mark.parametrize("count", [1, 4, 9])
def test_file_to_file_equals_the_model_on_arrays_where_the_first_frame_is_coded_alone(
    lead_bundle, make_clip, make_frames, read, tmp_path, count
):
    frames = make_frames(count, 47, 63)
    clip, latents = make_clip("clip.mkv", frames), tmp_path / "clip.safetensors"

    with load(lead_bundle) as vae:
        encode_file(vae, clip, latents, dtype="float32", channels=2)
        decode_file(vae, latents, tmp_path / "decoded.mkv", lossless=True)
        reconstruct_file(vae, clip, tmp_path / "kept.mkv", lossless=True, channels=2)
        expected = vae.reconstruct(frames, channels=2)

    assert np.array_equal(read(tmp_path / "decoded.mkv")[0], expected)
    assert np.array_equal(read(tmp_path / "kept.mkv")[0], expected)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_file_to_file_with_fewer_channels_equals_the_model_on_arrays(
    nested_bundle, make_clip, make_frames, read, tmp_path, channels
):
    frames = make_frames(7, 47, 63)
    clip, latents = make_clip("clip.mkv", frames), tmp_path / "clip.safetensors"

    with load(nested_bundle) as vae:
        encoded = encode_file(vae, clip, latents, dtype="float32", channels=channels)
        decoded = decode_file(vae, latents, tmp_path / "decoded.mkv", lossless=True)
        kept = reconstruct_file(vae, clip, tmp_path / "kept.mkv", lossless=True, channels=channels)
        expected = vae.reconstruct(frames, channels=channels)
        written = vae.encode(frames, channels=channels)

    with LatentsReader(latents) as reader:
        assert reader.shape == (2, channels, 6, 8)
        assert np.array_equal(np.concatenate(list(reader.chunks(steps=2))), written)
    assert np.array_equal(read(tmp_path / "decoded.mkv")[0], expected)
    assert np.array_equal(read(tmp_path / "kept.mkv")[0], expected)
    assert encoded.latents_bytes == decoded.latents_bytes == written.nbytes
    assert {encoded.latent_channels, decoded.latent_channels, kept.latent_channels} == {channels}


def test_a_number_of_channels_that_the_model_has_not_leaves_no_file(
    nested_bundle, make_clip, frames, tmp_path
):
    clip = make_clip("clip.mkv", frames)

    with load(nested_bundle) as vae:
        with pytest.raises(InputError, match="channels: got 3, expected 1, 2 or 4"):
            encode_file(vae, clip, tmp_path / "clip.safetensors", channels=3)
        with pytest.raises(InputError, match="channels: got 3, expected 1, 2 or 4"):
            reconstruct_file(vae, clip, tmp_path / "kept.mkv", channels=3)

    assert [p for p in tmp_path.iterdir() if p.is_file()] == [clip]


def test_uneven_timestamps_and_pixel_shape_survive(video_vae, make_clip, frames, read, tmp_path):
    pts = [5, 40, 41, 100, 107, 500, 501, 502, 900, 1000, 2000]
    clip = make_clip("clip.mp4", frames[:11], pts=pts, time_base=Fraction(1, 1000))

    encode_file(video_vae, clip, tmp_path / "clip.safetensors")
    decode_file(video_vae, tmp_path / "clip.safetensors", tmp_path / "decoded.mp4")
    reconstruct_file(video_vae, clip, tmp_path / "kept.mp4")

    _, original, source = read(clip)
    times = [p * source.info.time_base for p in original.tolist()]
    for name in ("decoded.mp4", "kept.mp4"):
        _, got, kept = read(tmp_path / name)
        assert [p * kept.info.time_base for p in got.tolist()] == times
        assert kept.info.pixel_aspect == source.info.pixel_aspect


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_goes_through_the_latents_file(video_vae, make_clip, frames, tmp_path, suffix):
    clip = make_clip("clip.mp4", frames, sound="aac", **H264)

    encode_file(video_vae, clip, tmp_path / "clip.safetensors")
    decode_file(video_vae, tmp_path / "clip.safetensors", tmp_path / f"decoded{suffix}")
    reconstruct_file(video_vae, clip, tmp_path / f"kept{suffix}")

    expected = _sound(clip)
    assert len(expected) > 5
    assert _sound(tmp_path / f"decoded{suffix}") == expected
    assert _sound(tmp_path / f"kept{suffix}") == expected


def test_sound_is_left_out_where_it_is_not_wanted(video_vae, make_clip, frames, tmp_path):
    clip = make_clip("clip.mp4", frames, sound="aac", **H264)

    encode_file(video_vae, clip, tmp_path / "silent.safetensors", sound=False)
    encode_file(video_vae, clip, tmp_path / "clip.safetensors")
    decode_file(video_vae, tmp_path / "clip.safetensors", tmp_path / "decoded.mp4", sound=False)

    with LatentsReader(tmp_path / "silent.safetensors") as reader:
        assert not reader.has_sound
    with av.open(str(tmp_path / "decoded.mp4")) as container:
        assert not container.streams.audio


def _sound(path):
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]


def test_an_image_goes_through_any_model_to_a_png(vae, frames, tmp_path):
    Image.fromarray(frames[0]).save(tmp_path / "image.png")

    result = encode_file(
        vae, tmp_path / "image.png", tmp_path / "image.safetensors", dtype="float32"
    )
    decode_file(vae, tmp_path / "image.safetensors", tmp_path / "decoded.png")

    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "decoded.png")), vae.reconstruct(frames[:1])[0]
    )
    assert result.frames == 1


def test_the_result_counts_what_was_done(video_vae, make_clip, frames, tmp_path):
    seen = []

    result = encode_file(
        video_vae,
        make_clip("clip.mp4", frames),
        tmp_path / "clip.safetensors",
        progress=lambda done, expected: seen.append((done, expected)),
    )

    assert seen == [(4, 12), (8, 12), (12, 12)]
    assert (result.frames, result.width_px, result.height_px) == (12, 64, 48)
    spec = video_vae.spec
    values = 12 / spec.temporal_factor * 48 * 64 / spec.spatial_factor**2 * spec.latent_channels
    assert result.latents_bytes == 2 * values
    assert result.bits_per_pixel == pytest.approx(16 * values / (12 * 48 * 64))
    assert result.output_bytes == (tmp_path / "clip.safetensors").stat().st_size


def test_latents_of_another_bundle_are_refused(
    video_vae, tiny_image_bundle, make_clip, frames, tmp_path
):
    encode_file(video_vae, make_clip("clip.mp4", frames), tmp_path / "clip.safetensors")

    with load(tiny_image_bundle) as other, pytest.raises(IncompatibleError, match="this model is"):
        decode_file(other, tmp_path / "clip.safetensors", tmp_path / "decoded.mp4")

    assert not (tmp_path / "decoded.mp4").exists()


def test_latents_that_were_changed_give_no_clip(video_vae, make_clip, frames, tmp_path):
    encode_file(video_vae, make_clip("clip.mp4", frames), tmp_path / "clip.safetensors")
    data = bytearray((tmp_path / "clip.safetensors").read_bytes())
    data[4096 + 11] ^= 1
    (tmp_path / "clip.safetensors").write_bytes(data)

    with pytest.raises(IntegrityError, match="latents are not the bytes that were written"):
        decode_file(video_vae, tmp_path / "clip.safetensors", tmp_path / "decoded.mp4")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "clip.safetensors"]


def test_a_truncated_clip_gives_no_output_unless_that_is_allowed(
    video_vae, make_clip, frames, tmp_path
):
    clip = make_clip("clip.mkv", frames)
    clip.write_bytes(clip.read_bytes()[:-20000])

    with pytest.raises(MediaError, match="truncated"):
        encode_file(video_vae, clip, tmp_path / "clip.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mkv"]

    result = encode_file(video_vae, clip, tmp_path / "clip.safetensors", allow_damaged=True)
    assert 0 < result.frames < 12
    assert "truncated" in result.notes[-1]


def test_outputs_are_not_replaced_unasked(video_vae, make_clip, frames, tmp_path):
    clip = make_clip("clip.mp4", frames)
    (tmp_path / "old.safetensors").write_text("precious")

    with pytest.raises(
        InputError, match=r"exists; give another name, or replace it \(--overwrite\)"
    ):
        encode_file(video_vae, clip, tmp_path / "old.safetensors")
    with pytest.raises(InputError, match="is the input, which would be lost"):
        reconstruct_file(video_vae, clip, clip, overwrite=True)
    with pytest.raises(InputError, match="is a folder"):
        reconstruct_file(video_vae, clip, tmp_path)
    with pytest.raises(InputError, match="does not exist; make it first"):
        reconstruct_file(video_vae, clip, tmp_path / "none" / "kept.mp4")

    assert (tmp_path / "old.safetensors").read_text() == "precious"
    encode_file(video_vae, clip, tmp_path / "old.safetensors", overwrite=True)
    assert (tmp_path / "old.safetensors").stat().st_size > 4096


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interruption_leaves_no_file_and_no_thread(
    video_vae, make_clip, make_frames, tmp_path, error
):
    clip = make_clip("clip.mp4", make_frames(40, 48, 64))
    encode_file(video_vae, clip, tmp_path / "clip.safetensors")
    before, threads = sorted(tmp_path.iterdir()), threading.active_count()

    def interrupt(done, expected):
        if done >= 12:
            raise error

    for run in (
        lambda: encode_file(video_vae, clip, tmp_path / "a.safetensors", progress=interrupt),
        lambda: decode_file(
            video_vae, tmp_path / "clip.safetensors", tmp_path / "a.mp4", progress=interrupt
        ),
        lambda: reconstruct_file(video_vae, clip, tmp_path / "a.mp4", progress=interrupt),
    ):
        with pytest.raises(error):
            run()
        assert sorted(tmp_path.iterdir()) == before
        assert threading.active_count() == threads


def test_a_failing_writer_ends_the_run_with_its_error(video_vae, make_clip, frames, tmp_path):
    clip = make_clip("clip.mp4", frames)

    with pytest.raises(EdgeVaeError, match="a PNG holds one frame"):
        reconstruct_file(video_vae, clip, tmp_path / "kept.png")

    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
