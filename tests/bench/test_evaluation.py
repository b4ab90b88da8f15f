"""`edgevae evaluate` from end to end, on tiny models and clips made on the spot."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import make_clip as maker  # found by conftest.py
import numpy as np
import pytest
from PIL import Image

import edgevae
import edgevae.cli
from edgevae.errors import EdgeVaeError, GateError, IncompatibleError, InputError
from edgevae.frames import psnr_dB
from edgevae_bench.evaluation.codec import encode, score_clip
from edgevae_bench.evaluation.plan import Plan
from edgevae_bench.evaluation.protocol import Protocol, chunks_of
from edgevae_bench.evaluation.result import MODEL, X264_RAW, read_json
from edgevae_bench.evaluation.run import command_line, evaluate
from edgevae_bench.evaluation.variants import AlteredLatents
from edgevae_bench.sharpness import BANDS, spectral_sharpness_db

ASSETS = Path(__file__).parents[1] / "assets"
BUNDLE, IMAGE_BUNDLE = ASSETS / "tiny-video.bundle", ASSETS / "tiny-image.bundle"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run the command here; an error of ours comes through."""
    words = ["evaluate", *map(str, arguments), "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["edgevae", *words])
    edgevae.cli.group(words, standalone_mode=False)


@pytest.fixture(scope="module")
def card(tmp_path_factory) -> tuple[Path, str]:
    """The folder and the text of a run with all that needs no PyTorch; nothing is to be written there."""
    folder, stdout = tmp_path_factory.mktemp("card"), io.StringIO()
    video = maker.make_clip(folder / "clip.mp4", maker.make_frames(8, 144, 176))
    with Image.fromarray(np.full((40, 50, 3), 90, np.uint8)) as still:
        still.save(folder / "still.png")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout):
        run(
            patch,
            *(BUNDLE, video, folder / "still.png", "--size", "32", "--latents-8bit", "--x264"),
            *("--channels", "1,2", "--json", folder / "q.json", "--markdown", folder / "q.md"),
            *("--grid", folder / "grid.png", "--show", "clip:3:5,0", "--show", "clip.mp4:9"),
        )
    return folder, stdout.getvalue()


def plan(*clips: Path, **changes: object) -> Plan:
    """Return a plan of the tiny video model with nothing beside it."""
    what = {"bundle": BUNDLE, "checkpoint": None, "clips": tuple(map(str, clips)), "max_frames": 16}
    what |= {"sides_px": (), "latents_8bit": False, "half": False, "x264": False, "channels": ()}
    return Plan(**(what | {"threads": 1} | changes))


def test_the_figures_are_those_of_the_frames_that_the_runtime_gives(video):
    (figures,) = evaluate(plan(video)).clips
    source = np.concatenate(list(chunks_of(str(video), Protocol(max_frames=16), chunk_frames=4)))
    with edgevae.load(BUNDLE, precision="fp32", device="cpu") as vae:
        expected = psnr_dB(source, vae.reconstruct(source))
    score = figures.score(MODEL)
    assert score is not None
    assert score.psnr_db == pytest.approx(expected, abs=1e-6)
    assert (figures.frames, figures.height_px, figures.width_px) == (11, 42, 60)
    assert (score.ms_ssim, score.boundary_flicker_ratio is None) == (None, False)


def test_all_channels_are_the_model_itself_and_fewer_are_not(video):
    with edgevae.load(BUNDLE) as vae:
        count = vae.spec.latent_channels
    (figures,) = evaluate(plan(video, channels=(1, count))).clips
    assert figures.score(f"channels_{count}") == figures.score(MODEL)
    assert figures.score("channels_1") != figures.score(MODEL)


def test_half_precision_is_measured_in_the_runtime_and_in_pytorch(video):
    pytest.importorskip("torch")
    found = evaluate(plan(video, half=True, checkpoint=ASSETS / "tiny-video.checkpoint"))
    (figures,) = found.clips
    for variant in ("fp16_graphs", "pytorch_half"):
        change = figures.score(variant).psnr_db - figures.score(MODEL).psnr_db
        assert abs(change) < 0.05
    assert any("computes fp16 graphs in fp32" in note for note in found.notes)


def test_half_precision_without_weights_or_graphs_is_said_to_be_missing(video):
    found = evaluate(plan(video, half=True))
    assert any(note.startswith("pytorch_half: not measured") for note in found.notes)


def test_weights_of_another_model_are_refused(video):
    pytest.importorskip("torch")
    with pytest.raises(IncompatibleError, match="weights have sha256"):
        evaluate(plan(video, half=True, checkpoint=ASSETS / "tiny-image.checkpoint"))


def test_latents_that_are_not_finite_end_the_evaluation(frames):
    with edgevae.load(BUNDLE) as vae:
        broken = {"broken": AlteredLatents(vae, lambda latents: latents * np.float32("nan"))}
        with pytest.raises(EdgeVaeError, match=r"broken: .* latents of a chunk are NaN"):
            score_clip(broken, [frames[:4]], workers=1, on_chunk=lambda source, made: None)
        with pytest.raises(EdgeVaeError, match="latents of a chunk are NaN"):
            encode(broken["broken"], [frames[:4]])


def test_an_image_model_has_no_chunk_boundaries(video):
    found = evaluate(plan(video, bundle=IMAGE_BUNDLE))
    assert found.model.temporal_factor == 1
    assert found.clips[0].score(MODEL).boundary_flicker_ratio is None


def test_the_files_hold_what_the_tables_show(card):
    folder, text = card
    found = read_json(folder / "q.json")
    assert found.protocols == ("native", "32x32")
    assert [clip.clip for clip in found.under("32x32")] == ["clip", "still"]
    clip = found.under("native")[0]
    size = clip.size
    assert size is not None
    channels = found.model.latent_channels
    assert size.raw_bytes == 2 * channels * 18 * 22 + channels * 8, (
        "2 steps of 18x22 cells, and ranges"
    )
    (stream,) = [row.stream for row in clip.rows if row.variant == X264_RAW]
    assert stream.stream_bytes <= stream.budget_bytes == size.raw_bytes
    psnr = f"{clip.score(MODEL).psnr_db:.2f}"
    assert psnr in text
    assert f"| clip | {psnr} |" in (folder / "q.md").read_text()
    assert "still.png: has only 1 of 16 frames" in text
    assert "x264_raw: still at native does not fit" in text


def test_no_path_of_the_machine_is_written(card):
    folder, _ = card
    for name in ("q.json", "q.md"):
        assert str(folder) not in (folder / name).read_text()
    assert command_line(["edgevae", "/a/b.mp4", "--frames", "8"]) == (
        *("edgevae", "b.mp4", "--frames", "8"),
    )
    assert command_line(["/x/__main__.py", "evaluate", "--json=/a/q.json"]) == (
        *("edgevae", "evaluate", "--json=q.json"),
    )


def test_detail_is_measured_in_octaves_for_every_variant_and_where_frames_are_large_enough(card):
    folder, text = card
    found = read_json(folder / "q.json")
    clip, still = found.under("native")
    source = np.concatenate(
        list(chunks_of(str(folder / "clip.mp4"), Protocol(max_frames=16), chunk_frames=4))
    )
    with edgevae.load(BUNDLE, precision="fp32", device="cpu") as vae:
        expected = spectral_sharpness_db(source, vae.reconstruct(source))
    assert clip.score(MODEL).sharpness_db == pytest.approx(expected, abs=1e-4)
    assert all(len(row.score.sharpness_db) == len(BANDS) for row in clip.rows)
    assert still.score(MODEL).sharpness_db is None
    native, square = text.split("Quality at 32x32")
    assert "detail of 2-4 px dB" in native
    assert f"{expected[0]:.2f}" in native
    assert "detail of 2-4 px dB" not in square, "no clip has figures there"


def test_the_grid_has_a_row_for_each_that_was_asked_for(card):
    folder, _ = card
    with Image.open(folder / "grid.png") as grid:
        assert grid.width == 896
        assert grid.height == 2 * (216 + 28) + 8


def test_without_half_precision_pytorch_is_never_loaded(video):
    script = (
        "import sys; sys.modules['torch'] = None; from edgevae.cli import main\n"
        f"sys.argv = ['edgevae', 'evaluate', {str(BUNDLE)!r}, {str(video)!r}, '--x264']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", ["--min-psnr", "--min-ssim"])
def test_a_mean_below_its_gate_is_exit_code_3(video, monkeypatch, option):
    with pytest.raises(GateError, match=f"{option}: got .* expected at least 99") as caught:
        run(monkeypatch, BUNDLE, video, option, 99)
    assert caught.value.exit_code == 3
    run(monkeypatch, BUNDLE, video, option, 0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--show", "clip"], "no --grid"),
        (["--grid", "g.png", "--show", "other"], "expected one of the clips: clip"),
        (["--grid", "g.png", "--show", "clip:x"], "expected CLIP, CLIP:FRAME"),
        (["--channels", "4,x"], "expected numbers"),
        (["--channels", "999"], "channels: got 999"),
        (["--size", "8"], "expected 16 to 8192"),
        (["--json", "q.txt"], "ends in .json"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(
    video, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run(monkeypatch, BUNDLE, video, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_two_clips_of_one_name_are_refused(video):
    with pytest.raises(InputError, match="got 'clip' twice"):
        plan(video, video)


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("schema", "other", InputError),
        ("schema_version", 99, IncompatibleError),
        ("surprise", 1, InputError),
    ],
)
def test_a_document_that_is_not_understood_is_refused(card, tmp_path, key, value, error):
    path = tmp_path / "q.json"
    path.write_text(json.dumps(json.loads((card[0] / "q.json").read_text()) | {key: value}))
    with pytest.raises(error):
        read_json(path)
