"""Generated clips in files."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import edgevae
from edgevae.cli.generate import command
from edgevae.errors import EdgeVaeError, InputError
from edgevae.video import generate_files
from edgevae.video.pictures import GAP_PX, side_by_side


@pytest.fixture
def generator(tiny_prior_bundle):
    with edgevae.load_generator(tiny_prior_bundle) as opened:
        yield opened


def test_clips_side_by_side_are_all_there_and_nothing_else(noise):
    clips = [noise(3, 8, 10, 3) for _ in range(5)]
    board = side_by_side(clips, columns=3)
    assert board.shape == (3, 2 * 8 + GAP_PX, 3 * 10 + 2 * GAP_PX, 3)
    assert np.array_equal(board[:, :8, :10], clips[0])
    assert np.array_equal(board[:, 8 + GAP_PX :, 10 + GAP_PX : 20 + GAP_PX], clips[4])
    assert not board[:, 8 + GAP_PX :, 20 + 2 * GAP_PX :].any(), "the last place is empty"


def test_a_video_has_the_clips_at_the_rate_and_the_same_call_writes_the_same(
    generator, read, tmp_path
):
    path = tmp_path / "made.mkv"
    (result,) = generate_files(
        generator, path, frames=5, count=3, seed=2, rate=Fraction(8), lossless=True
    )
    assert (result.frames, result.width_px, result.height_px) == (5, 24 * 2 + 2, 16 * 2 + 2)
    frames, pts, source = read(path)
    clips = list(generator.generate(frames=5, count=3, seed=2))
    assert np.array_equal(frames, side_by_side(clips, columns=2))
    assert source.info.rate == 8
    assert np.allclose(np.diff(pts) * float(source.info.time_base), 1 / 8, atol=1e-3)


def test_a_png_has_a_row_a_clip_and_a_column_a_frame(generator, tmp_path):
    generate_files(generator, tmp_path / "made.png", frames=3, count=2)
    with Image.open(tmp_path / "made.png") as opened:
        picture = np.asarray(opened)
    clips = generator.generate(frames=3, count=2)
    assert picture.shape == (2 * 16 + GAP_PX, 3 * 24 + 2 * GAP_PX, 3)
    assert np.array_equal(picture[16 + GAP_PX :, -24:], clips[1, 2])


def test_a_gif_has_every_frame_and_repeats(generator, tmp_path):
    generate_files(generator, tmp_path / "made.gif", frames=3, rate=Fraction(20))
    with Image.open(tmp_path / "made.gif") as picture:
        assert (picture.n_frames, picture.size, picture.info["loop"]) == (3, (24, 16), 0)
        assert picture.info["duration"] == 50
    with pytest.raises(InputError, match="100 frames a second, a GIF has 50 at most"):
        generate_files(generator, tmp_path / "fast.gif", frames=3, rate=Fraction(100))


def test_separate_clips_have_a_file_each(generator, read, tmp_path):
    results = generate_files(
        generator, tmp_path / "a.mkv", frames=2, count=11, separate=True, lossless=True
    )
    assert [r.output[-8:] for r in results[:2]] == ["a-00.mkv", "a-01.mkv"]
    frames, _, _ = read(tmp_path / "a-10.mkv")
    assert np.array_equal(frames, generator.generate(frames=2, count=11)[10])


def run(*words):
    return CliRunner().invoke(command, [str(w) for w in words], catch_exceptions=False)


def test_the_command_says_what_it_wrote(tiny_prior_bundle, tmp_path):
    words = ["--frames", 3, "--count", 2, "--seed", 4, "--temperature", 0.8, "--size", "16x16"]
    found = run(tiny_prior_bundle, *words, "-o", tmp_path / "a.mp4")
    assert found.stdout.startswith(f"{tmp_path / 'a.mp4'}: 3 frames 34x16, ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a.avi"], "cannot write .avi, expected .mp4, .mov, .mkv"),
        (["-o", "a.gif", "--crf", "9"], "a .gif has no H.264 in it; leave --crf and --lossless"),
        (["-o", "no/a.mp4"], "its folder no does not exist; make it first"),
        (["-o", "a.mp4", "--size", "2x16x16"], "size: got 2x16x16, expected HEIGHTxWIDTH"),
        (["-o", "a.mp4", "--size", "big"], "size: got 'big', expected HEIGHTxWIDTH"),
        (["-o", "a.mp4", "--size", "9x16"], "size: got 16x9, expected width and height in multi"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line_and_leaves_nothing(
    tiny_prior_bundle, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeVaeError, match=message) as caught:
        run(tiny_prior_bundle, *words)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_only_replaced_where_that_is_said(generator, tmp_path):
    (tmp_path / "a.png").write_text("mine")
    with pytest.raises(InputError, match="exists; give another name"):
        generate_files(generator, tmp_path / "a.png", frames=1)
    generate_files(generator, tmp_path / "a.png", frames=1, overwrite=True)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
