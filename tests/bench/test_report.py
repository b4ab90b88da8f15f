"""The report: strict JSON with units in its keys, tables that name every subject, and a picture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevae.errors import InputError
from edgevae_bench import report
from edgevae_bench.claims import latency_rows
from edgevae_bench.clip import ClipFacts
from edgevae_bench.clock import summarise
from edgevae_bench.comparison import Shown
from edgevae_bench.environment import PACKAGES, default_threads, describe, usable_cores
from edgevae_bench.memory import ProcessFigures
from edgevae_bench.picture import AMPLIFY, LABEL_PX, MARGIN_PX, amplified_difference, write_picture
from edgevae_bench.quality import score_frames
from edgevae_bench.quality import summarise as summarise_quality
from edgevae_bench.result import SCHEMA, SCHEMA_VERSION, ModelFacts, ProcessRow, QualityRow, Result
from edgevae_bench.subjects import Subject, pytorch_subjects

RUNTIME = Subject(
    name="onnxruntime_fp32",
    kind="runtime",
    path="bundle",
    backend="onnxruntime",
    device="cpu",
    precision="fp32",
    threads=2,
    chunk_frames=4,
)


@pytest.fixture
def result() -> Result:
    subjects = (*pytorch_subjects(Path("checkpoint"), threads=2, chunk_frames=4), RUNTIME)
    times = {
        s.name: {"encode": summarise([(i + 2) * 10_000_000, 31_234_567])}
        for i, s in enumerate(subjects)
    }
    source = np.full((5, 16, 16, 3), 100, np.uint8)
    same = summarise_quality(score_frames(source, source, previous=None)[0], chunk_frames=4)
    other = summarise_quality(score_frames(source, source + 5, previous=None)[0], chunk_frames=4)
    rows = [
        ("pytorch_eager", "source", other, None),
        ("onnxruntime_fp32", "pytorch_eager", same, 1.5e-6),
    ]
    quality = tuple(
        QualityRow(subject=s, against=a, quality=q, latents_max_difference=d, nonfinite_latents=0)
        for s, a, q, d in rows
    )
    process = ProcessFigures(
        import_ms=50.0,
        load_ms=200.0,
        first_chunk_ms=30.0,
        frames=5,
        rss_before_import_bytes=50 * 2**20,
        peak_rss_bytes=None,
        torch_loaded=False,
    )
    return Result(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        created_utc="2026-01-01T00:00:00+00:00",
        command=("edgevae", "benchmark"),
        environment=describe(),
        model=ModelFacts(name="mine", bundle_sha256="ab" * 32, checkpoint_sha256=None),
        clip=ClipFacts(
            name="clip.mp4",
            sha256="cd" * 32,
            source_height_px=16,
            source_width_px=16,
            height_px=16,
            width_px=16,
            timed_frames=4,
            quality_frames=5,
        ),
        rounds=2,
        warm_up_rounds=6,
        seed=0,
        latency=latency_rows(subjects, times, quality, size_px=(16, 16)),
        quality=quality,
        process=(ProcessRow(subject=RUNTIME.name, process=process),),
        warnings=("the machine was busy",),
    )


def test_the_line_is_one_line_of_strict_json_with_the_schemas_version(result):
    line = report.to_line(result)
    assert "\n" not in line
    document = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (document["schema"], document["schema_version"]) == ("edgevae-benchmark", 1)
    assert list(document)[-1] == "warnings"


def test_a_value_that_is_not_finite_is_null_beside_the_error_that_says_why(result):
    quality = json.loads(report.to_line(result))["quality"][1]["quality"]
    assert (quality["psnr_db"], quality["mse"], quality["identical_frames"]) == (None, 0.0, 5)


def test_every_row_of_latency_says_what_was_done(result):
    for row in json.loads(report.to_line(result))["latency"]:
        assert row["work"] == {
            "boundary": "stream",
            "operation": "encode",
            "device": "cpu",
            "precision": "fp32",
            "threads": 2,
            "batch_clips": 1,
            "chunk_frames": 4,
            "height_px": 16,
            "width_px": 16,
            "frames_dtype": "uint8",
            "latents_dtype": "float32",
        }
        assert {
            "median_ms",
            "mean_ms",
            "std_ms",
            "min_ms",
            "max_ms",
            "p50_ms",
            "p90_ms",
            "p99_ms",
            "cv_ratio",
        } <= set(row["latency"])


def numbers(value: object, key: str = "") -> list[str]:
    """Return the keys of all numbers in a JSON document."""
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in numbers(item, name)]
    if isinstance(value, list):
        return [found for item in value for found in numbers(item, key)]
    return [key] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_every_number_has_its_unit_in_its_key(result):
    unit = re.compile(
        r"_(ms|db|px|bytes|ratio|frames|rounds|cores|levels|clips|percentiles|difference|latents|frame|1min)$"
        r"|^(frames|rounds|threads|seed|mse|ssim|ms_ssim|schema_version|frames_per_s|chunk_frames)$"
    )
    found = set(numbers(report.to_document(result, long=True)))
    assert len(found) > 30
    assert [key for key in sorted(found) if not unit.search(key)] == []


def test_the_file_has_every_sample_and_the_line_has_not(result, tmp_path):
    report.write_json(result, tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["latency"][0]["latency"]["samples_ms"] == [20.0, 31.2346]
    assert len(document["quality"][0]["quality"]["frames_psnr_db"]) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
    assert "samples_ms" not in report.to_line(result)
    assert "frames_psnr_db" not in report.to_line(result)


def test_the_tables_have_every_row_aligned_and_say_what_is_missing(result):
    text = report.to_text(result)
    title, header, *rows = text.split("\n\n")[1].splitlines()
    assert "boundary stream" in title
    for row, name in zip(
        rows, ("pytorch_eager", "pytorch_channels_last", "onnxruntime_fp32"), strict=False
    ):
        assert row.startswith("encode 1x4x16x16 cpu/2t  ")
        assert row.index(name) == header.index("subject")
        assert row.index("fp32  ") == header.index("prec") or name == "onnxruntime_fp32"
    assert [row.split()[-1] for row in rows[:3]] == [
        "1.00x",
        "0.84x",
        "0.72x",
    ]  # 25.6 / 25.6, / 30.6, / 35.6 ms
    assert "31.2*" in text
    assert "* too few samples" in text
    assert text.endswith("warning: the machine was busy")
    assert re.search(r"onnxruntime_fp32 +50 +200 +30\.0 +50 +- +no", text)
    assert re.search(r"onnxruntime_fp32 +pytorch_eager +inf +- ", text)


def test_a_missing_speed_up_has_its_reason_in_the_table(result):
    rows = tuple(
        replace(row, speedup_ratio=None, no_speedup_reason="threads is 1") for row in result.latency
    )
    text = report.to_text(replace(result, latency=rows))
    assert "no speed-up for onnxruntime_fp32: threads is 1" in text


def test_a_resized_clip_is_said_to_be(result):
    assert "resized" not in report.to_text(result)
    assert "16x16 resized from 64x32" in report.to_text(
        replace(result, clip=replace(result.clip, source_height_px=32, source_width_px=64))
    )


def test_the_environment_names_machine_and_versions():
    found = describe()
    assert found.cpu_name
    assert found.ram_bytes > 2**28
    assert found.logical_cores >= found.usable_cores >= 1
    assert set(found.package_versions) == set(PACKAGES)
    assert found.package_versions["numpy"] == np.__version__
    assert 1 <= default_threads() <= usable_cores()


def test_the_difference_is_amplified_and_stays_in_range():
    source = np.array([[[10, 100, 255]]], np.uint8)
    made = np.array([[[13, 90, 0]]], np.uint8)
    assert amplified_difference(source, made).tolist() == [[[3 * AMPLIFY, 10 * AMPLIFY, 255]]]


def test_the_picture_shows_source_reconstruction_and_difference_at_full_size(tmp_path):
    source = np.random.default_rng(0).integers(0, 200, (2, 40, 150, 3), dtype=np.uint8)
    made = source + 7
    worst, last = (
        Shown(t, i, 31.2, source[k], made[k]) for t, i, k in (("worst", 3, 0), ("last", 9, 1))
    )
    write_picture(
        [replace(worst, title="first"), worst, last],
        tmp_path / "out.png",
        subject="onnxruntime_fp32",
    )
    with Image.open(tmp_path / "out.png") as image:
        pixels = np.asarray(image)
    assert pixels.shape == (
        MARGIN_PX + 2 * (40 + LABEL_PX + MARGIN_PX),
        MARGIN_PX + 3 * (150 + MARGIN_PX),
        3,
    )
    top = MARGIN_PX + LABEL_PX
    panels = [
        pixels[top : top + 40, MARGIN_PX + i * (150 + MARGIN_PX) :][:, :150] for i in range(3)
    ]
    assert np.array_equal(panels[0], source[0])
    assert np.array_equal(panels[1], made[0])
    assert (panels[2] == 7 * AMPLIFY).all()
    assert pixels[MARGIN_PX : MARGIN_PX + LABEL_PX].max() > 200  # the label


def test_a_picture_must_be_a_png(tmp_path):
    with pytest.raises(InputError, match=r"\.png"):
        write_picture([], tmp_path / "out.jpg", subject="a")
