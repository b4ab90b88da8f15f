"""Files as the senses of a model, and a sense of a clip written out of others."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import wave
from fractions import Fraction

import numpy as np
import pytest

import edgevae
from edgevae.errors import InputError, MediaError
from edgevae.made_world import SOUND, MadeWorld
from edgevae.mel import log_mel
from edgevae.motion_tracks import BLOCKS, block_motion
from edgevae.senses import Sense, SensesSpec
from edgevae.video import ClipFormat, open_video, open_writer, translate_files, write_made_clip
from edgevae.video.perception import listen, perceive, same_length, watch

WORLD = MadeWorld(6, frames=16)
SPEC = SensesSpec(
    senses=(
        Sense(name="video", kind="frames", shape=(8, 64, 64)),
        Sense(name="sound", kind="sound", shape=(2, 32, 32)),
        Sense(name="motion", kind="tracks", shape=(8, BLOCKS * BLOCKS)),
    ),
    frames_per_second=12.5,
    window_frames=8,
    sound=SOUND,
    tracks="motion",
)


@pytest.fixture(scope="module")
def made_clip(tmp_path_factory):
    """Clip 2 of the world, as a file."""
    path = tmp_path_factory.mktemp("made") / "clip.mkv"
    write_made_clip(WORLD, 2, path)
    return path


def test_a_file_of_the_made_world_is_perceived_as_the_world_made_it(made_clip):
    clip = WORLD.clip(2)
    assert np.array_equal(perceive(made_clip, SPEC.sense("video"), SPEC), clip["video"])
    heard = perceive(made_clip, SPEC.sense("sound"), SPEC)
    assert np.abs(heard - clip["sound"]).mean() < 0.5, "16 bits a sample are nearly all"
    motion = perceive(made_clip, SPEC.sense("motion"), SPEC)
    assert np.allclose(motion, block_motion(clip["video"]), atol=1e-6)


def test_frames_are_taken_at_the_pace_of_the_model_whatever_that_of_the_file(made_clip):
    seen = watch(made_clip, height_px=64, width_px=64)
    assert seen.duration_s == pytest.approx(16 / 12.5, abs=0.01)
    own = WORLD.clip(2)["video"]
    assert np.array_equal(seen.at(0.0, 8, frames_per_second=6.25), own[::2])
    assert np.array_equal(seen.at(0.16, 4, frames_per_second=25.0)[::2], own[2:4])
    small = watch(made_clip, height_px=16, width_px=32)
    assert small.frames.shape == (16, 16, 32, 3)


def test_sound_is_mixed_and_resampled(made_clip):
    both = listen(made_clip, sample_rate_hz=16_000, channels=2)
    one = listen(made_clip, sample_rate_hz=16_000, channels=1)
    assert both.shape == (2, 20_480)
    assert np.abs(both - WORLD.samples(2)).max() < 1e-3
    assert np.abs(one[0] - both.mean(0)).max() < 1e-3
    half = listen(made_clip, sample_rate_hz=8_000, channels=1)
    assert abs(half.shape[1] - 10_240) < 64
    with pytest.raises(InputError, match="sound: got 3 channels, expected 1 or 2"):
        listen(made_clip, sample_rate_hz=8_000, channels=3)


def test_the_motion_of_blocks_is_what_they_move_by(random):
    y, x = np.mgrid[:64, :64]
    waves = [(random.uniform(-0.35, 0.35, 2), random.uniform(0, 6)) for _ in range(8)]

    def picture(dx, dy):
        total = sum(np.sin(a * (x - dx) + b * (y - dy) + c) for (a, b), c in waves)
        return np.repeat((128 + 15 * total).round().astype(np.uint8)[..., None], 3, -1)

    frames = np.stack([picture(0.3 * t, -0.2 * t) for t in range(4)])
    motion = block_motion(frames)
    assert motion.shape == (4, 16, 2)
    assert np.abs(np.median(motion, (0, 1)) - (0.3, -0.2)).max() < 0.08
    assert not block_motion(np.repeat(frames[:1], 3, 0)).any()
    assert not block_motion(np.full((3, 64, 64, 3), 80, np.uint8)).any(), "nothing to hold on to"


def test_what_a_file_has_not_is_refused(made_clip, tmp_path, tiny_senses_bundle):
    places = SensesSpec(
        senses=(Sense(name="tracks", kind="tracks", shape=(8, 1)),),
        frames_per_second=12.5,
        window_frames=8,
    )
    with pytest.raises(InputError, match="tracks are places of things, which are in no media file"):
        perceive(made_clip, places.senses[0], places)
    long = Sense(name="video", kind="frames", shape=(17, 64, 64))
    with pytest.raises(
        InputError, match="video has 16 steps, expected at least the 17 of a window"
    ):
        perceive(made_clip, long, SPEC)
    silent = tmp_path / "silent.mp4"
    with edgevae.load_multimodal(tiny_senses_bundle) as vae:
        translate_files(vae, {"sound": made_clip}, "video", silent)
        with pytest.raises(MediaError, match="has no sound track, expected a file with sound"):
            translate_files(vae, {"sound": silent}, "video", tmp_path / "other.mp4")
        for sense, name, message in (
            ("video", "out.wav", "got .wav, expected .mp4, .mov, .mkv for video"),
            ("sound", "out.mp4", "got .mp4, expected .wav for sound"),
            ("smell", "out.wav", "sense: got 'smell', expected one of video, sound, tracks"),
            ("video", silent.name, r"exists; give another name, or replace it \(--overwrite\)"),
            ("video", made_clip, "is the input, which would be lost"),
            ("sound", "none/out.wav", "its folder .*none does not exist; make it first"),
        ):
            with pytest.raises(InputError, match=message):
                translate_files(vae, {"sound": made_clip}, sense, tmp_path / name)


def test_timestamps_that_leap_are_refused_before_memory_is_full(tmp_path):
    path, tenth = tmp_path / "leap.mkv", Fraction(1, 10)
    form = ClipFormat(width_px=16, height_px=16, time_base=tenth, rate=1 / tenth)
    with open_writer(path, form) as writer:
        writer.write(np.zeros((3, 16, 16, 3), np.uint8), np.array([0, 1, 10**7]))
    with pytest.raises(
        InputError, match=r"3 frames in 1500000 s, expected no more than 1000 times"
    ):
        perceive(path, SPEC.sense("video"), SPEC)


def test_senses_of_one_stretch_are_cut_to_the_shortest():
    clip = WORLD.clip(2)
    both = same_length(
        {"video": clip["video"][:8], "sound": clip["sound"]},
        [SPEC.sense("video"), SPEC.sense("sound")],
    )
    assert both["video"].shape[0] == 8
    assert np.array_equal(both["sound"], clip["sound"][:, :32])


def test_a_sense_is_written_as_a_file_of_its_kind(made_clip, tmp_path, tiny_senses_bundle):
    with edgevae.load_multimodal(tiny_senses_bundle) as vae:
        given = {"video": made_clip, "sound": made_clip}
        result = translate_files(vae, given, "video", tmp_path / "seen.mp4")
        assert (result.windows, result.given) == (8, ("video", "sound"))
        with open_video(tmp_path / "seen.mp4") as source:
            assert sum(len(group.frames) for group in source) == 16
            assert float(source.info.rate) == 12.5
        translate_files(vae, {"video": made_clip}, "sound", tmp_path / "heard.wav")
        with wave.open(str(tmp_path / "heard.wav")) as heard:
            assert (heard.getnchannels(), heard.getframerate(), heard.getnframes()) == (
                1,
                16_000,
                20_480,
            )
        translate_files(vae, {"sound": made_clip}, "tracks", tmp_path / "tracks.csv")
        rows = list(csv.DictReader((tmp_path / "tracks.csv").read_text().splitlines()))
        expected = vae.translate(
            {"sound": perceive(made_clip, vae.senses.sense("sound"), vae.senses)}, "tracks"
        )
        assert len(rows) == 16 * 2
        assert float(rows[3]["y"]) == pytest.approx(float(expected[1, 1, 1]), abs=1e-3)
    assert log_mel(np.zeros(320), SOUND).shape == (1, 32)


def test_the_command_fills_in_a_sense_and_says_in_one_line_what_is_wrong(
    made_clip, tmp_path, tiny_senses_bundle
):
    def run(*arguments):
        command = [
            sys.executable,
            "-m",
            "edgevae",
            "translate",
            str(tiny_senses_bundle),
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    out = tmp_path / "seen.mkv"
    done = run("--from", f"sound={made_clip}", "--to", "video", "-o", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["windows"] == 8
    assert out.is_file()
    wrong = run("--from", str(made_clip), "--to", "video", "-o", str(out))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "expected SENSE=FILE, each sense once" in wrong.stderr
