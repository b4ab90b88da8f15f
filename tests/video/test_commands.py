import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

CLIP_KEYS = ("width_px", "height_px", "time_base", "rate", "pixel_aspect")
H264 = {"codec": "libx264", "pixel_format": "yuv420p", "options": {"crf": "20"}}


def test_encode_and_decode_say_on_stdout_what_they_did(
    edgevae, tiny_bundle, make_clip, frames, tmp_path
):
    make_clip("clip.mp4", frames, sound="aac", **H264)

    encoded = edgevae("encode", tiny_bundle, "clip.mp4", "-o", "clip.safetensors")
    decoded = edgevae("decode", tiny_bundle, "clip.safetensors", "-o", "decoded.mkv", "--json")

    assert encoded.returncode == decoded.returncode == 0, encoded.stderr + decoded.stderr
    assert encoded.stdout.startswith("clip.safetensors: 12 frames 64x48, ")
    assert "bit/pixel" in encoded.stdout
    result = json.loads(decoded.stdout)
    assert (result["frames"], result["width_px"], result["height_px"]) == (12, 64, 48)
    assert result["output_bytes"] == (tmp_path / "decoded.mkv").stat().st_size


def test_reconstruct_lossless_is_what_the_model_gives(
    edgevae, tiny_bundle, make_clip, frames, read, tmp_path
):
    from edgevae.runtime.vae import load

    make_clip("clip.mkv", frames)

    result = edgevae("reconstruct", tiny_bundle, "clip.mkv", "-o", "kept.mkv", "--lossless")

    assert result.returncode == 0, result.stderr
    assert "PSNR" in result.stdout
    with load(tiny_bundle) as vae:
        assert np.array_equal(read(tmp_path / "kept.mkv")[0], vae.reconstruct(frames))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clip.mp4", "-o", "clip.safetensors"], "clip.safetensors: exists"),
        (["none.mp4", "-o", "new"], "none.mp4: cannot be opened (No such file or directory)"),
        (["text.mp4", "-o", "new"], "text.mp4: not a video that can be read"),
        (["cut.mkv", "-o", "new"], "cut.mkv: truncated"),
    ],
)
def test_encode_refuses_bad_input_with_one_line_and_exit_code_2(
    edgevae, tiny_bundle, make_clip, frames, tmp_path, words, message
):
    make_clip("clip.mp4", frames)
    cut = make_clip("cut.mkv", frames)
    cut.write_bytes(cut.read_bytes()[:-9000])
    (tmp_path / "text.mp4").write_text("words " * 100)
    (tmp_path / "clip.safetensors").touch()
    before = sorted(tmp_path.iterdir())

    result = edgevae("encode", tiny_bundle, *words)

    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_damage_that_is_allowed_is_a_warning(edgevae, tiny_bundle, make_clip, frames):
    cut = make_clip("cut.mkv", frames)
    cut.write_bytes(cut.read_bytes()[:-9000])

    result = edgevae("encode", tiny_bundle, "cut.mkv", "-o", "new", "--allow-damaged")

    assert result.returncode == 0
    assert "edgevae: cut.mkv: truncated" in result.stderr


def test_latents_of_another_bundle_are_exit_code_4(
    edgevae, tiny_bundle, tiny_image_bundle, make_clip, frames
):
    make_clip("clip.mp4", frames)
    edgevae("encode", tiny_bundle, "clip.mp4", "-o", "clip.safetensors")

    result = edgevae("decode", tiny_image_bundle, "clip.safetensors", "-o", "decoded.mp4")

    assert result.returncode == 4
    assert len(result.stderr.splitlines()) == 1


def test_fewer_channels_are_stored_found_again_and_counted(
    edgevae, nested_bundle, make_clip, frames
):
    make_clip("clip.mkv", frames)

    few = edgevae("encode", nested_bundle, "clip.mkv", "-o", "few", "--channels", "1", "--json")
    text = edgevae("encode", nested_bundle, "clip.mkv", "-o", "half", "--channels", "2")
    every = edgevae("encode", nested_bundle, "clip.mkv", "-o", "all", "--json")
    decoded = edgevae("decode", nested_bundle, "few", "-o", "decoded.mkv", "--lossless", "--json")
    kept = edgevae(
        "reconstruct", nested_bundle, "clip.mkv", "-o", "a.mkv", "--channels=1", "--json"
    )

    assert "(2 channels, " in text.stdout, text.stderr
    one, four, again, same = (json.loads(r.stdout) for r in (few, every, decoded, kept))
    assert (one["latent_channels"], four["latent_channels"]) == (1, 4)
    assert 4 * one["bits_per_pixel"] == four["bits_per_pixel"]
    assert again["latent_channels"] == same["latent_channels"] == 1
    assert same["psnr_db"] > 0


@pytest.mark.parametrize("words", [["encode"], ["reconstruct", "--lossless"]])
def test_a_number_of_channels_that_the_model_has_not_is_exit_code_2(
    edgevae, nested_bundle, make_clip, frames, tmp_path, words
):
    make_clip("clip.mkv", frames)
    before = sorted(tmp_path.iterdir())

    result = edgevae(*words, nested_bundle, "clip.mkv", "-o", "new.mkv", "--channels", "3")

    assert result.returncode == 2
    assert result.stderr.startswith("edgevae: channels: got 3, expected 1, 2 or 4, ")
    assert len(result.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_latents_of_a_number_of_channels_that_the_model_has_not_are_exit_code_4(
    edgevae, nested_bundle, make_clip, frames, tmp_path
):
    from edgevae.runtime.vae import load
    from edgevae.video import LatentsInfo, LatentsWriter, open_video

    clip = make_clip("clip.mkv", frames)
    with load(nested_bundle) as vae, open_video(clip) as source:
        info = LatentsInfo(
            **{name: getattr(source.info, name) for name in CLIP_KEYS},
            bundle=vae.name,
            model_digest=vae.model_digest,
            temporal_factor=4,
            spatial_factor=8,
        )
        with LatentsWriter(tmp_path / "three", info) as writer:
            writer.write(vae.encode(frames)[:, :3], np.arange(12))

    result = edgevae("decode", nested_bundle, "three", "-o", "decoded.mkv")

    assert result.returncode == 4
    assert "three: holds 3 latent channels, expected 1, 2 or 4" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_info_shows_the_levels_of_a_nested_model(edgevae, nested_bundle, tiny_bundle):
    text = edgevae("info", nested_bundle).stdout

    assert "-> 4 channels (192:1)\nnested     1 channels (768:1), 2 channels (384:1)\n" in text
    data = json.loads(edgevae("info", nested_bundle, "--json").stdout)
    assert (data["format_version"], data["spec"]["nested_channels"]) == (2, [1, 2])
    assert "nested" not in edgevae("info", tiny_bundle).stdout


@pytest.mark.parametrize("name", ["encode", "decode", "reconstruct"])
def test_help_has_an_example_and_hyphenated_options(edgevae, name):
    result = edgevae(name, "--help")

    assert result.returncode == 0
    assert f"edgevae {name} " in result.stdout.split("Example:")[1]
    assert not [option for option in re.findall(r"--[\w-]+", result.stdout) if "_" in option]


STOPPED = """
import sys, time
from pathlib import Path
from edgevae.runtime.vae import load
from edgevae.video import reconstruct_file

def wait(done, expected):
    if done == 40:
        print(done, flush=True)
        time.sleep(100)

with load(sys.argv[1]) as vae:
    reconstruct_file(vae, Path("clip.mkv"), Path("kept.mkv"), progress=wait)
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_reconstruction_leaves_no_file_at_the_final_name(
    tiny_bundle, make_clip, make_frames, tmp_path, stop
):
    make_clip("clip.mkv", make_frames(60, 48, 64))
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tiny_bundle)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A background job of a shell has SIGINT ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"40\n"
    os.kill(process.pid, stop)
    process.communicate(timeout=60)

    assert process.returncode != 0
    left = [p.name for p in tmp_path.iterdir() if p.name != "clip.mkv"]
    assert left == [] if stop == signal.SIGINT else "kept.mkv" not in left
