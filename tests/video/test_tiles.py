"""Tiles on video files: the same bytes as without, and refusals with their exit codes."""

from __future__ import annotations

import numpy as np
import pytest

from edgevae.cli.tile_options import parse_bytes
from edgevae.errors import InputError


@pytest.fixture
def model(tiny_bundle):
    return tiny_bundle


@pytest.fixture
def lead_model(lead_bundle):
    return lead_bundle


@pytest.mark.parametrize("kind", ["model", "lead_model"])
def test_files_are_the_same_with_and_without_tiles(
    edgevae, make_clip, make_frames, read, tmp_path, request, kind
):
    bundle = request.getfixturevalue(kind)
    make_clip("clip.mkv", make_frames(10, 148, 150))
    results = []
    for name, options in (("whole", []), ("tiled", ["--tile", "128"])):
        coded, shown, kept = f"{name}.safetensors", f"{name}.mkv", f"{name}-kept.mkv"
        runs = [
            edgevae("encode", bundle, "clip.mkv", "-o", coded, *options),
            edgevae("decode", bundle, coded, "-o", shown, "--lossless", *options),
            edgevae("reconstruct", bundle, "clip.mkv", "-o", kept, "--lossless", *options),
        ]
        assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]
        for run in runs:
            assert ("tiles of 128x128 px, exact; as asked for" in run.stderr) == bool(options)
        pictures = [read(tmp_path / path)[0] for path in (shown, kept)]
        results.append(((tmp_path / coded).read_bytes(), *pictures))
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile", "100"], "tile: got 100 px, expected a multiple of the model's 8 px"),
        (["--tile", "96"], "tile: got 96 px, expected at least 120"),
        (
            ["--max-memory", "2 bananas"],
            "max memory: got '2 bananas', expected a number with kB, MB",
        ),
        (["--max-memory", "1MB"], "max memory: got 1.0 MB, expected at least"),
        (["--tile", "128", "--max-memory", "2GB"], "expected one of them"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_leaves_no_file(
    edgevae, model, make_clip, frames, tmp_path, options, message
):
    make_clip("clip.mkv", frames)
    result = edgevae("encode", model, "clip.mkv", "-o", "new.safetensors", *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not (tmp_path / "new.safetensors").exists()


def test_a_limit_says_what_was_chosen(edgevae, model, make_clip, frames):
    make_clip("clip.mkv", frames)
    result = edgevae("encode", model, "clip.mkv", "-o", "new.safetensors", "--max-memory", "8GB")
    assert result.returncode == 0, result.stderr
    assert "frames of 64x48: not cut; estimate" in result.stderr


@pytest.mark.parametrize(
    ("text", "count"), [("2GB", 2 * 10**9), ("1.5 GiB", 1610612736), ("900MiB", 943718400)]
)
def test_sizes_are_read_as_people_write_them(text, count):
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["", "2", "GB", "-1GB", "0GB", "1TB", "1kiB", "2gb", "9" * 400 + "GB"]
)
def test_other_sizes_are_refused(text):
    with pytest.raises(InputError, match="expected a number with"):
        parse_bytes(text)
