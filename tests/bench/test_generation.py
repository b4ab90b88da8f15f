"""The figures of generated clips, and the command that measures them."""

from __future__ import annotations

import gzip
import json
import struct
import sys
from dataclasses import dataclass

import click
import numpy as np
import pytest
from click.testing import CliRunner

from edgevae.errors import IncompatibleError, InputError, IntegrityError
from edgevae.moving_mnist import MovingMnist, read_labels
from edgevae_bench.generation import figures
from edgevae_bench.generation.clips import array_subject, baselines, pairs_of, real_clips
from edgevae_bench.generation.figures import PAIRS
from edgevae_bench.generation.picture import compose, write_picture
from edgevae_bench.generation.result import read, table, to_json
from edgevae_bench.generation.run import Evaluation, evaluate
from edgevae_bench.module_command import run as run_module


@pytest.fixture
def digits(random):
    """Ten digits that differ in brightness, and what they are."""
    return np.stack([np.full((28, 28), 20 * (n + 1), np.uint8) for n in range(10)])


@dataclass
class Seen:
    features: np.ndarray
    probabilities: np.ndarray


class Brightest:
    """Takes the brightest pixel for the digit and believes that it is there twice."""

    sha256 = "0" * 64

    def read(self, clips):
        top = clips.max((-1, -2)).astype(np.float64) / 20 - 1
        pairs = [PAIRS.index((n, n)) for n in range(10)]
        index = np.array(pairs)[np.clip(top.round().astype(int), 0, 9)]
        spread = np.stack([top, clips.mean((-1, -2)), clips.std((-1, -2))], -1)
        return Seen(spread, np.eye(55)[index])


def evaluation(digits, *, clips=12, frames=6):
    reference = MovingMnist(digits, seed=3)
    wanted = pairs_of(reference, np.arange(10, dtype=np.uint8), 0, clips)
    return Evaluation(reader=Brightest(), reference=reference, wanted=wanted, frames=frames, seed=0)


def test_the_distance_of_normals_is_frechets_formula(random):
    one, other = random.normal(size=(5000, 4)), 2.0 * random.normal(size=(5000, 4)) + 3.0
    # |m - m'|^2 + sum of (s - s')^2 for independent axes
    assert figures.frechet_distance(one, other) == pytest.approx(4 * 9 + 4 * 1, rel=0.05)
    assert figures.frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    shared = one @ random.normal(size=(4, 4))
    assert figures.frechet_distance(shared, shared[::2]) < 0.1 * figures.frechet_distance(
        one, shared
    )


def test_precision_falls_with_what_is_not_real_and_recall_with_what_is_missing(random):
    real = np.concatenate([random.normal(size=(100, 3)), random.normal(size=(100, 3)) + 50])
    half, strange = real[:100] + 0.01, np.concatenate([real[:100], real[:100] + 500])
    assert figures.precision_recall(real, half) == (1.0, pytest.approx(0.5, abs=0.02))
    assert figures.precision_recall(real, strange)[0] == pytest.approx(0.5, abs=0.02)


def test_a_clip_shows_the_pair_that_most_frames_speak_for():
    said = np.full((2, 5, 55), 1e-6)
    said[0, :4, 7], said[0, 4, 9] = 0.9, 1.0
    said[1, :, 54] = 1.0
    labels, confidences = figures.vote(said)
    assert labels.tolist() == [7, 54]
    assert confidences == pytest.approx([0.72, 1.0], abs=1e-3)
    assert figures.digits_of(labels) == set(PAIRS[7]) | {9}
    assert figures.entropy_bits(labels) == 1.0
    assert figures.entropy_bits(labels[:1]) == 0.0


def test_what_drifts_has_a_speed_and_no_turn_and_what_jumps_has_both():
    clips = np.zeros((1, 6, 64, 64), np.uint8)
    for t in range(6):
        clips[0, t, 10 + 3 * t, 5 + 4 * t] = 255
    drift = figures.motion(clips)
    assert (drift.speed_px, drift.turn_px) == (pytest.approx(5.0), pytest.approx(0.0))
    jump = figures.motion(clips[:, [0, 4, 1, 5, 2, 3]])
    assert jump.turn_px > 10
    assert np.array_equal(
        figures.centres_of(np.zeros((1, 1, 64, 64), np.uint8))[0, 0], [31.5, 31.5]
    )


def test_the_clips_of_a_source_show_the_digits_that_it_says(digits):
    source = MovingMnist(digits, seed=3)
    for index in range(20):
        levels = set(np.unique(source.clip(index, frames=20))) - {0}
        assert levels <= {20 * (n + 1) for n in source.shown(index)}
        assert 20 * (max(source.shown(index)) + 1) in levels
    pairs = pairs_of(source, np.arange(10, dtype=np.uint8), 4, 2)
    assert PAIRS[pairs[1]] == tuple(sorted(source.shown(5)))


def test_frames_in_any_order_are_the_same_frames_and_move_otherwise(digits):
    real, shuffled, noise = (s.make(8, 6) for s in baselines(digits))
    assert not np.array_equal(real, shuffled)
    for one, other in zip(real, shuffled, strict=True):
        assert sorted(f.tobytes() for f in one) == sorted(f.tobytes() for f in other)
    assert figures.motion(shuffled).turn_px > 1.5 * figures.motion(real).turn_px
    assert noise.std() > 70


def test_an_evaluation_measures_every_subject_against_the_same_real_clips(digits, tmp_path):
    told = []
    result, shown = evaluate(evaluation(digits), baselines(digits), done=told.append)
    assert told == [row.name for row in result.rows] == list(shown)
    real, shuffled, noise = result.rows
    assert real.frechet < noise.frechet
    assert (shuffled.pairs, shuffled.entropy_bits) == (real.pairs, real.entropy_bits)
    assert noise.pairs == 1
    doubles = [PAIRS.index((n, n)) for n in range(10)]
    wanted = evaluation(digits).wanted
    assert result.classifier_clip_accuracy == pytest.approx(np.isin(wanted, doubles).mean())
    path = tmp_path / "result.json"
    path.write_bytes(to_json(result))
    assert read(path) == result
    assert len(table(result).splitlines()) == 2 + 3
    path.write_text(json.dumps({"schema": 0}))
    with pytest.raises(IncompatibleError, match="no edgevae-generation of version 1"):
        read(path)
    width, height = compose(shown).size
    assert (width, height) == (6 * 66, 3 * (16 + 2 * 66))
    with pytest.raises(InputError, match=r"expected \.png"):
        write_picture(shown, tmp_path / "picture.jpg")
    with pytest.raises(InputError, match="expected at least 5 of 3"):
        evaluation(digits, clips=4)


def test_an_array_is_a_subject_and_another_shape_is_refused(digits, tmp_path):
    clips = real_clips(digits, seed=1)(3, 5)
    path = tmp_path / "made.npy"
    np.save(path, np.repeat(clips[..., None], 3, -1))
    subject = array_subject(path)
    assert subject.name == "made"
    assert np.array_equal(subject.make(2, 4), clips[:2, :4])
    with pytest.raises(InputError, match="holds 3 clips of 5 frames, expected 4 of 5"):
        subject.make(4, 5)
    np.save(path, clips)
    with pytest.raises(InputError, match=r"expected uint8 \[N, T, 64, 64, 3\]"):
        array_subject(path)


def test_labels_are_read_packed_or_not_and_others_refused(tmp_path):
    data = struct.pack(">2I", 0x801, 3) + bytes([7, 0, 9])
    with pytest.raises(InputError, match=r"no t10k-labels-idx1-ubyte\.gz in it"):
        read_labels(tmp_path, part="t10k")
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(data))
    assert read_labels(tmp_path, part="t10k").tolist() == [7, 0, 9]
    for wrong in (data[:-1], data[:5], data[:-1] + bytes([10])):
        (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(wrong)
        with pytest.raises(InputError, match=r"holds no labels 0\.\.9 in IDX format"):
            read_labels(tmp_path, part="t10k")


def test_a_classifier_learns_repeats_and_is_kept(digits, tmp_path):
    pytest.importorskip("torch")
    from edgevae_bench.generation.classifier import load_classifier, train_classifier

    source, labels = MovingMnist(digits[[0, 9]], seed=1), np.array([0, 9], np.uint8)
    learnt = train_classifier(source, labels, steps=80)
    assert train_classifier(source, labels, steps=3).sha256 != learnt.sha256
    test = MovingMnist(digits[[0, 9]], seed=2)
    seen = learnt.read(test.batch(0, 60, frames=1))
    assert seen.features.shape == (60, 1, 128)
    assert np.allclose(seen.probabilities.sum(-1), 1.0)
    right = seen.probabilities[:, 0].argmax(-1) == pairs_of(test, labels, 0, 60)
    assert right.mean() > 0.6, "a third would be guessing"
    path = tmp_path / "classifier.safetensors"
    learnt.save(path)
    assert load_classifier(path).sha256 == learnt.sha256
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IntegrityError, match="delete it, and it is made again"):
        load_classifier(path)


def test_the_command_says_in_one_line_what_is_missing(tmp_path):
    from edgevae_bench.generation.__main__ import command

    result = CliRunner().invoke(command, ["--digits", str(tmp_path)])
    assert isinstance(result.exception, InputError)
    assert "no train-images-idx3-ubyte.gz in it" in str(result.exception)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "none/a.json"], "its folder none does not exist; make it first"),
        (["--classifier", "none/a.safetensors"], "its folder none does not exist; make it first"),
        (["-o", "."], "is a folder, expected the name of a file to write"),
        (["--picture", "a.jpg"], "a.jpg: got .jpg, expected .png"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch, words, message
):
    from edgevae_bench.generation.__main__ import command

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(command, ["--digits", "no-digits", *words], catch_exceptions=False)


def test_too_few_clips_or_frames_are_refused_before_a_classifier_is_learnt(tmp_path):
    from edgevae_bench.generation.__main__ import command

    for words, least in ((["--clips", "4"], 5), (["--frames", "2"], 3)):
        result = CliRunner().invoke(command, ["--digits", str(tmp_path), *words])
        assert result.exit_code == 2
        assert f"is not in the range x>={least}" in result.output


def test_an_error_of_the_system_is_one_line_too(tmp_path, capsys, monkeypatch):
    @click.command()
    def broken():
        (tmp_path / "none").read_bytes()

    monkeypatch.setattr(sys, "argv", ["broken"])
    with pytest.raises(SystemExit) as left:
        run_module(broken, name="broken")
    assert left.value.code == 1
    said = capsys.readouterr().err
    assert "No such file or directory; check the path, permissions and space" in said
    assert len(said.splitlines()) == 1
