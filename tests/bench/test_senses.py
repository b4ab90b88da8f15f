"""A model of several senses measured: each sense out of each subset, and what its latents know."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import edgevae
from edgevae.errors import IncompatibleError, InputError
from edgevae_bench.senses.data import Measured, load
from edgevae_bench.senses.picture import compose
from edgevae_bench.senses.result import read, tables, to_json
from edgevae_bench.senses.run import (
    MOMENT,
    evaluate,
    joined,
    other_moments,
    parted,
    reading,
    subsets,
    wrong_clips,
)


@pytest.fixture
def vae(tiny_senses_bundle):
    with edgevae.load_multimodal(tiny_senses_bundle) as opened:
        yield opened


@pytest.fixture
def measured(random):
    def windows(count):
        return {
            "video": random.integers(0, 256, (count, 2, 16, 16, 3), dtype=np.uint8),
            "sound": random.uniform(-80, 0, (count, 1, 8, 8)).astype(np.float32),
            "tracks": random.uniform(-1, 1, (count, 2, 2, 2)).astype(np.float32),
        }

    return Measured(
        "noise", windows(40), windows(6), {"x": random.random(40)}, {"x": random.random(6)}
    )


def test_windows_are_joined_to_clips_and_parted_again(vae, measured):
    for sense in vae.senses.senses:
        windows = measured.test[sense.name]
        clip = joined(sense, windows)
        assert np.array_equal(parted(sense, clip), windows)
        assert sense.count(sense.windows(clip)) == 40


def test_shares_are_those_of_the_mean_and_of_what_the_model_says(vae, measured):
    result = evaluate(vae, measured)
    rows = {row.given: row.values for row in result.unexplained}
    assert set(rows) == {
        "mean of the training data",
        "all others, of the wrong clip",
        *vae.senses.names,
        "all others",
        "all",
    }
    mean = measured.training["tracks"].astype(np.float64).mean(0)
    own = np.square(measured.test["tracks"] - mean).mean()
    assert result.deviations["tracks"] == pytest.approx(np.sqrt(own), rel=1e-5)
    said = np.concatenate(
        [vae.translate({"sound": s}, "tracks")[None] for s in measured.test["sound"]]
    )
    wanted = np.square(measured.test["tracks"].astype(np.float64) - said).mean() / own
    assert rows["sound"]["tracks"] == pytest.approx(wanted, rel=1e-4)
    turned = np.roll(measured.test["video"], 20, 0), np.roll(measured.test["sound"], 20, 0)
    said = [vae.translate({"video": v, "sound": s}, "tracks") for v, s in zip(*turned, strict=True)]
    wanted = np.square(measured.test["tracks"].astype(np.float64) - said).mean() / own
    assert rows["all others, of the wrong clip"]["tracks"] == pytest.approx(wanted, rel=1e-4)
    assert [row.given for row in result.factors][-1] == "all"
    assert len(result.factors) == len(subsets(vae.senses.names)) == 7


def test_of_clips_with_several_windows_another_moment_of_the_same_is_a_row_too(vae, measured):
    clips = np.repeat(np.arange(4), 10)
    result = evaluate(vae, replace(measured, clips=clips))
    rows = {row.given: row.values for row in result.unexplained}
    order = other_moments(clips)
    assert [row.given for row in result.unexplained][1:3] == [
        "all others, of the wrong clip",
        f"all others, of {MOMENT}",
    ]
    turned = [measured.test[n][order] for n in ("video", "sound")]
    said = [vae.translate({"video": v, "sound": s}, "tracks") for v, s in zip(*turned, strict=True)]
    wrong = np.square(measured.test["tracks"].astype(np.float64) - said).mean()
    wanted = wrong / result.deviations["tracks"] ** 2
    assert rows[f"all others, of {MOMENT}"]["tracks"] == pytest.approx(wanted, rel=1e-4)


def test_a_wrong_clip_is_another_and_another_moment_is_of_the_same():
    # Half of all windows away from most of the long clip is that clip again.
    clips = np.array([0] * 2 + [1] * 9 + [2] * 3)
    wrong, moment = wrong_clips(clips), other_moments(clips)
    assert (clips[wrong] != clips).all()
    assert (clips[moment] == clips).all()
    assert (moment != np.arange(len(clips))).all()
    assert sorted(moment) == list(range(len(clips)))
    assert list(wrong_clips(np.arange(5))) == [3, 4, 0, 1, 2]
    assert wrong_clips(np.zeros(3, np.int64)) is None
    assert other_moments(np.array([0, 0, 1])) is None


def test_a_linear_reading_finds_what_is_there_and_not_what_is_not(random):
    latents = random.standard_normal((600, 5))
    shape = latents[:, 1:4].argmax(1).astype(float)
    factors = {"x": latents[:, 0] * 2 + 1, "noise": random.random(600), "shape": shape}
    train, test = (
        {n: v[part] for n, v in factors.items()} for part in (slice(400), slice(400, None))
    )
    found = reading(latents[:400], train, latents[400:], test)
    assert found["x"] > 0.99
    assert found["noise"] < 0.1
    assert found["shape"] > 0.8


def test_a_document_is_read_back_and_another_refused(vae, measured, tmp_path):
    result = evaluate(vae, measured)
    path = tmp_path / "result.json"
    path.write_bytes(to_json(result))
    assert read(path) == result
    first, second = tables(result).split("\n\n")
    assert first.startswith(
        "| unexplained share | video | sound | tracks |\n|---|---:|---:|---:|\n"
    )
    assert second.splitlines()[0] == "| read from the latents of | x | mean |"
    assert "\n\n" not in tables(replace(result, factors=()))
    path.write_text(json.dumps({"schema": 0}))
    with pytest.raises(IncompatibleError, match="no edgevae-senses of version 1"):
        read(path)


def test_a_picture_has_a_row_for_the_truth_and_for_each_choice(vae, measured):
    few = {n: w[:2] for n, w in measured.test.items()}
    picture = compose(vae, few)
    assert picture.shape == (2 * 5 * 68 + 14, 124 + 2 * 68 + 68, 3)


def test_data_of_other_senses_is_refused(vae):
    with pytest.raises(
        InputError, match="made-world: has video, sound, tracks, expected the model's"
    ):
        load(vae.senses, "made-world", windows=2, training_windows=2, held_out=0.25)


def test_windows_of_a_folder_are_told_by_their_clips_also_where_few_are_taken(tmp_path):
    pytest.importorskip("av")
    from edgevae.made_world import MadeWorld
    from edgevae.video import write_made_clip
    from edgevae.video.held_out import HoldOut
    from edgevae.video.scenes import Cutting, windows_of_folder

    for index in range(2):
        write_made_clip(MadeWorld(1, frames=40), index, tmp_path / f"{index}.mkv")
    held_out = HoldOut(share=0.5, piece_s=1.6)
    cutting = Cutting(side_px=64, window_frames=2, frames_per_second=12.5, held_out=held_out)
    found = windows_of_folder(tmp_path, cutting)
    assert found.held_out_clips.tolist() == [0] * 14 + [1] * 14

    def loaded(windows):
        own = {"windows": windows, "training_windows": 5, "held_out": 0.5, "piece_s": 1.6}
        return load(found.spec, str(tmp_path), **own)

    every, few = loaded(100), loaded(3)
    assert np.array_equal(every.test["video"], found.held_out["video"])
    assert every.clips.tolist() == found.held_out_clips.tolist()
    assert (few.clips.tolist(), len(few.test["sound"])) == ([0, 0, 1], 3)
    assert np.array_equal(few.test["motion"][-1], found.held_out["motion"][-1])


def test_a_folder_that_is_not_there_is_refused(vae, tmp_path):
    with pytest.raises(InputError, match="none: no such folder; expected made-world"):
        load(vae.senses, str(tmp_path / "none"), windows=2, training_windows=2, held_out=0.25)


def test_the_command_says_in_one_line_what_is_wrong(tiny_senses_bundle, tiny_bundle):
    def run(model, *options):
        own = (str(model), "--windows", "2", *options)
        command = [sys.executable, "-m", "edgevae_bench.senses", *own]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for arguments, message in (
        ((tiny_bundle,), "has no fusion"),
        ((tiny_senses_bundle,), "expected the model's senses"),
        ((tiny_senses_bundle, "--picture", "page.gif"), "got .gif, expected .png"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert message in done.stderr
