"""The figures of Moving MNIST, and a predictor measured by them."""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import edgevae
from edgevae.errors import IncompatibleError
from edgevae.moving_mnist import MovingMnist
from edgevae_bench.prediction.figures import frame_similarities, frame_squared_errors
from edgevae_bench.prediction.picture import compose
from edgevae_bench.prediction.result import PUBLISHED, read, table, to_json
from edgevae_bench.prediction.run import copy_last, evaluate, predicted


@pytest.fixture
def source(random):
    return MovingMnist(random.integers(0, 256, (5, 28, 28), dtype=np.uint8), seed=1)


def test_similarity_is_what_scikit_image_has_by_default(random):
    metrics = pytest.importorskip("skimage.metrics")
    true = random.integers(0, 256, (3, 32, 24), dtype=np.uint8)
    said = np.clip(true + random.normal(0, 30, true.shape), 0, 255).astype(np.uint8)
    for ours, a, b in zip(frame_similarities(said, true), said, true, strict=True):
        assert ours == pytest.approx(metrics.structural_similarity(a, b), abs=1e-9)
    assert np.allclose(frame_similarities(true, true), 1.0)


def test_the_error_is_summed_over_a_frame_of_0_to_1():
    true = np.zeros((2, 3, 64, 64), np.uint8)
    said = true.copy()
    said[1, 2, :10, :10] = 255
    found = frame_squared_errors(said, true)
    assert found.shape == (2, 3)
    assert found[1, 2] == 100.0
    assert found.sum() == 100.0


def test_an_evaluation_shows_a_subject_the_first_ten_frames_alone(tiny_predictor_bundle, source):
    with edgevae.load_predictor(tiny_predictor_bundle) as predictor:
        told: list[int] = []
        result, shown = evaluate(predictor, source, clips=18, pictured=2, done=told.append)
        said = predicted(predictor, source.batch(0, 2)[:, :10])
    assert told == [16, 2]
    copied, own = result.rows
    clips = source.batch(0, 18)
    errors = frame_squared_errors(copy_last(clips[:, :10]), clips[:, 10:])
    assert copied.mse == pytest.approx(errors.mean())
    assert copied.mse_by_frame == pytest.approx(errors.mean(0))
    assert own.name == "tiny-predictor"
    assert -1 < own.ssim < 1
    for i, one in enumerate(shown):
        assert np.array_equal(one.seen, clips[i, :10])
        assert np.array_equal(one.true, clips[i, 10:])
        assert np.array_equal(one.said, said[i])
    assert compose(shown).shape == (2 * 3 * 66 + 12, 10 * 66)


def test_a_document_is_read_back_and_its_table_says_whose_figures_are_whose(
    tiny_predictor_bundle, source, tmp_path
):
    with edgevae.load_predictor(tiny_predictor_bundle) as predictor:
        result, _ = evaluate(predictor, source, clips=1)
    path = tmp_path / "result.json"
    path.write_bytes(to_json(result))
    assert read(path) == result
    lines = table(result).splitlines()
    assert [("measured" in x, "theirs" in x) for x in lines[2:]] == [(True, False)] * 2 + [
        (False, True)
    ] * len(PUBLISHED)
    path.write_text(json.dumps({"schema": 0}))
    with pytest.raises(IncompatibleError, match="no edgevae-prediction of version 1"):
        read(path)


def test_the_command_measures_and_pictures(tiny_predictor_bundle, tmp_path, random):
    digits = random.integers(0, 256, (4, 28, 28), dtype=np.uint8)
    data = struct.pack(">4I", 0x803, 4, 28, 28) + digits.tobytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    arguments = [str(tiny_predictor_bundle), "--digits", str(tmp_path), "--clips", "2"]
    arguments += ["-o", str(out), "--picture", str(picture), "--pictured", "1"]
    command = [sys.executable, "-m", "edgevae_bench.prediction", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| copy the last frame |" in done.stdout
    assert read(out).clips == 2
    with Image.open(picture) as image:
        assert image.size == (660, 198)
