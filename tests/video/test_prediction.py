"""A clip continued from file to file."""

from __future__ import annotations

import numpy as np
import pytest

import edgevae
from edgevae.cli import main
from edgevae.errors import InputError
from edgevae.video import open_video, predict_file


@pytest.fixture
def predictor(tiny_predictor_bundle):
    with edgevae.load_predictor(tiny_predictor_bundle) as opened:
        yield opened


@pytest.mark.parametrize("seen", [2, 5, 100])
def test_the_frames_after_the_last_ones_seen_are_written_with_timestamps_that_go_on(
    predictor, make_clip, frames, read, tmp_path, seen
):
    clip = make_clip("clip.mkv", frames)
    given, pts = read(clip)[:2]
    told: list[tuple[int, int | None]] = []
    result = predict_file(
        predictor,
        clip,
        tmp_path / "next.mkv",
        frames=5,
        seen_frames=seen,
        lossless=True,
        progress=lambda *done: told.append(done),
    )
    written, following = read(tmp_path / "next.mkv")[:2]
    assert np.array_equal(written, predictor.predict(given[-seen:], 5))
    with open_video(clip) as source:
        ticks = source.info.frame_ticks
    assert np.array_equal(following - pts[-1], ticks * np.arange(1, 6))
    assert (result.frames, told[-1]) == (5, (5, 5))


def test_what_is_too_short_or_there_already_is_refused_and_nothing_is_left(
    predictor, make_clip, frames, tmp_path
):
    clip = make_clip("clip.mkv", frames[:1])
    with pytest.raises(InputError, match="frames: got 1, expected at least the 2 of one chunk"):
        predict_file(predictor, clip, tmp_path / "next.mkv", frames=5, seen_frames=10)
    with pytest.raises(InputError, match="seen frames: got 1, expected at least the 2"):
        predict_file(predictor, clip, tmp_path / "next.mkv", frames=5, seen_frames=1)
    with pytest.raises(InputError, match="is the input, which would be lost"):
        predict_file(predictor, clip, clip, frames=5, seen_frames=10)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mkv"]


def test_the_command_says_what_it_did(
    tiny_predictor_bundle, tiny_bundle, make_clip, frames, tmp_path, monkeypatch, capsys
):
    clip, out = make_clip("clip.mkv", frames), tmp_path / "next.mp4"
    words = ["edgevae", "predict", str(tiny_predictor_bundle), str(clip), "-o", str(out)]
    monkeypatch.setattr("sys.argv", [*words, "--frames", "3"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert f"{out}: 3 frames 64x48" in capsys.readouterr().out
    words[2] = str(tiny_bundle)
    monkeypatch.setattr("sys.argv", [*words, "--overwrite"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "has no predictor, which a predictor needs" in capsys.readouterr().err
