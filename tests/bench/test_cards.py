"""Protocols, tables and model cards."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgevae.bundle import Bundle
from edgevae.errors import IncompatibleError, InputError
from edgevae_bench.evaluation import render
from edgevae_bench.evaluation.card import BEGIN, END, cards, write_figures
from edgevae_bench.evaluation.coding import CodedSize
from edgevae_bench.evaluation.comparisons import models_table, published_table, x264_table
from edgevae_bench.evaluation.grid import PANEL_PX, Cell, Grid, densest_corner
from edgevae_bench.evaluation.protocol import to_square
from edgevae_bench.evaluation.result import (
    ClipFigures,
    EvaluatedModel,
    Evaluation,
    Row,
    Score,
    write_json,
)
from edgevae_bench.evaluation.tables import changes_table, quality_table

MODELS = Path(__file__).parents[2] / "edgevae" / "models"


def row(variant: str, psnr_db: float | None, *, ms_ssim: float | None = None) -> Row:
    score = Score(
        psnr_db=psnr_db,
        worst_frame=0,
        worst_frame_psnr_db=psnr_db,
        ssim=0.9,
        ms_ssim=ms_ssim,
        boundary_flicker_ratio=1.0,
    )
    return Row(variant=variant, score=score)


def clip(name: str, **psnr_db: float | None) -> ClipFigures:
    return ClipFigures(
        protocol="native",
        clip=name,
        sha256=name,
        frames=4,
        height_px=64,
        width_px=32,
        rows=tuple(row(variant, value) for variant, value in psnr_db.items()),
        size=CodedSize(raw_bytes=1024, entropy_bytes=512, zlib_bytes=600),
        colour_mse=0.0,
    )


def evaluation(name: str, *clips: ClipFigures, frames: int = 4, digest: str = "0") -> Evaluation:
    model = EvaluatedModel(
        name=name,
        model_sha256=digest,
        temporal_factor=frames,
        spatial_factor=8,
        latent_channels=16,
        backend="onnxruntime",
        device="cpu",
        precision="fp32",
    )
    return Evaluation(
        schema="edgevae-evaluation",
        schema_version=1,
        created_utc="2026-01-01T00:00:00+00:00",
        command=("edgevae", "evaluate", name, "a.mp4"),
        versions={"edgevae": "0.1.0"},
        model=model,
        max_frames=4,
        clips=clips,
        notes=(),
    )


@pytest.fixture
def two() -> Evaluation:
    """A model on two clips."""
    rates = {"x264_raw": 45.0, "x264_entropy": 40.0}
    return evaluation(
        "one",
        clip("a", model=30.0, latents_8bit=29.9, **rates),
        clip("b", model=32.0, latents_8bit=31.5, **rates),
    )


def test_a_square_is_the_centre_with_the_shorter_side_resized():
    frames = np.zeros((2, 32, 96, 3), np.uint8)
    frames[:, :, 32:64] = 200
    np.testing.assert_array_equal(to_square(frames, 32), frames[:, :, 32:64])
    assert to_square(frames, 16).shape == to_square(frames[:, :8], 16).shape == (2, 16, 16, 3)
    assert to_square(frames.swapaxes(1, 2), 32).min() == 200


def test_the_mean_row_is_the_mean_of_the_rows_and_of_nothing_less(two):
    table = quality_table(two, "native")
    assert [cells[:2] for cells in table.body] == [
        ("a", "30.00"),
        ("b", "32.00"),
        ("mean", "31.00"),
    ]
    larger = dataclasses.replace(two.clips[0], rows=(row("model", 30.0, ms_ssim=0.95),))
    mixed = quality_table(dataclasses.replace(two, clips=(larger, two.clips[1])), "native")
    assert [cells[4] for cells in mixed.body] == ["0.950", "-", "-"]
    identical = dataclasses.replace(two, clips=(two.clips[0], clip("b", model=None)))
    assert quality_table(identical, "native").body[-1][1] == "inf"


def test_figures_that_no_clip_has_are_no_column(two):
    assert quality_table(two, "native").header == (
        *("clip", "PSNR dB", "worst frame dB", "SSIM", "chunk-boundary flicker"),
    )


def test_what_8_bits_cost_is_shown_in_the_mean_and_on_the_worst_clip(two):
    (cells,) = changes_table(two).body
    assert cells[2:6] == ("30.70", "-0.300", "-0.500", "b")


def test_x264_stands_beside_the_model_with_the_bits_that_both_take(two):
    table = x264_table(two, "native")
    assert table.body[-1][1] == "30.70"
    assert table.body[-1][4:6] == ("1.000", "45.00")
    assert table.body[-1][8:10] == ("0.500", "40.00")
    assert "psychovisual" not in table.title


def test_a_budget_that_x264_could_not_meet_shows_in_the_mean(two):
    poor = clip("c", model=30.0, latents_8bit=30.0, x264_raw=45.0)
    table = x264_table(dataclasses.replace(two, clips=(*two.clips, poor)), "native")
    assert table.body[-1][8:10] == ("0.500", "-")


def test_only_models_that_saw_the_same_frames_stand_beside_each_other(two):
    image = evaluation("image", clip("a", model=33.0), clip("b", model=33.0), frames=1)
    other = evaluation("other", clip("c", model=33.0))
    assert [cells[0] for cells in models_table(two, [image, other]).body] == ["one", "image"]
    assert models_table(two, [other]) is None


def test_published_figures_say_that_they_are_of_other_data_and_only_of_the_same_compression(two):
    assert "Not the same data" in published_table(two).notes[0]
    assert published_table(evaluation("image", clip("a", model=33.0), frames=1)) is None


def test_the_command_that_made_the_figures_stands_in_the_markdown(two):
    assert "```sh\nedgevae evaluate one a.mp4\n```" in render.to_markdown(two)


def test_a_card_keeps_what_was_typed_around_its_figures(two):
    card = f"# one\n\n{BEGIN}\nold\n{END}\n\nlast"
    written = write_figures(card, two, others=())
    assert written.startswith(f"# one\n\n{BEGIN}\n")
    assert written.endswith(f"{END}\n\nlast")
    assert "old" not in written
    assert write_figures(written, two, others=()) == written


@pytest.mark.parametrize("card", ["", f"{END} {BEGIN}", f"{BEGIN}{END}{END}"])
def test_a_card_without_its_markers_is_refused(two, card):
    with pytest.raises(InputError, match="once each"):
        write_figures(card, two, others=())


def test_figures_of_other_weights_than_the_shipped_ones_are_refused(tmp_path):
    name = "edgevae-video-xs"
    shutil.copytree(MODELS / name / "bundle", tmp_path / name / "bundle")
    (tmp_path / name / "README.md").write_text(f"{BEGIN}\n{END}\n")
    digest = Bundle.open(tmp_path / name / "bundle").manifest.model_digest
    result = tmp_path / f"quality-{name}.json"
    write_json(evaluation(name, clip("a", model=30.0), digest=digest), result)
    ((_, text),) = cards(tmp_path, tmp_path).items()
    assert "| a | 30.00 |" in text
    write_json(evaluation(name, clip("a", model=30.0), digest="f" * 64), result)
    with pytest.raises(IncompatibleError, match="run the command in the card again"):
        cards(tmp_path, tmp_path)
    result.unlink()
    with pytest.raises(InputError, match=f"no quality-{name}.json"):
        cards(tmp_path, tmp_path)


def test_the_densest_part_of_a_frame_is_where_its_detail_is(random):
    frame = np.full((400, 700, 3), 128, np.uint8)
    frame[150:250, 480:520] = random.integers(0, 256, (100, 40, 3))
    left, top = densest_corner(frame)
    assert left <= 480
    assert left + PANEL_PX[1] >= 520
    assert top <= 150
    assert top + PANEL_PX[0] >= 250


def test_a_cell_shows_its_frame_and_a_shorter_clip_its_last(tmp_path):
    frames = (
        np.zeros((6, 230, 300, 3), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None, None]
    )
    grid = Grid([Cell(clip="a", frame=1, corner_px=(0, 0)), Cell(clip="a.mp4", frame=99)])
    for first in (0, 4):
        grid.see("folder/a.mp4", first, frames[first : first + 4], frames[first : first + 4])
    assert [shown.label for shown in grid.shown] == ["a, frame 1", "a, frame 5"]
    assert [int(shown.source[0, 0, 0]) for shown in grid.shown] == [1, 5]
