"""The figures of the README come from committed results, digit by digit."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgevae_bench import document

ROOT = Path(__file__).parents[3]


@pytest.fixture
def maker(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    return importlib.import_module("make_results")


@pytest.fixture
def folder(result, tmp_path) -> Path:
    document.write_json(result, tmp_path / "a.json")
    (tmp_path / "old.json").write_text(json.dumps({"schema": result.schema, "schema_version": 1}))
    (tmp_path / "quality-a.json").write_text(json.dumps({"schema": "edgevae-evaluation"}))
    return tmp_path


def test_the_table_has_a_row_for_every_subject_and_size_and_names_every_file(maker, folder, result):
    text = maker.block(*maker.read(folder))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| invented")]
    assert [row[2:4] for row in rows] == [
        [size, subject]
        for size in ("640x360", "1280x720")
        for subject in ("pytorch_eager_fp32", "pytorch_channels_last_fp32", "onnxruntime_fp32")
    ]
    by_name = {
        (r.subject, r.work.operation): r
        for r in reversed(result.latency)
        if r.work.boundary == "call"
    }
    trip = by_name["onnxruntime_fp32", "round_trip"]
    encode = by_name["onnxruntime_fp32", "encode"]
    claim = trip.speedup_ratios["pytorch_eager_fp32"]
    assert rows[2][4] == f"{encode.latency.median_ms:.1f}"
    assert rows[2][6:8] == [f"{trip.frames_per_s:.1f}", f"{claim:.2f}x eager_fp32"]
    assert "`benchmarks/results/a.json` was made by `edgevae benchmark edgevae-video-xs" in text
    assert "Warning: invented: nobody measured this." in text
    assert "`benchmarks/results/old.json` is of an older version and not shown" in text
    assert "quality-a.json" not in text


def test_the_bars_of_the_picture_are_as_long_as_the_figures(maker, folder, result):
    drawing = ElementTree.fromstring(maker.picture(maker.read(folder)[0]))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(r.attrib["width"].rstrip("%")) for r in drawing.iter(f"{space}rect")]
    speeds = [
        r.frames_per_s
        for r in result.latency
        if (r.work.boundary, r.work.operation) == ("call", "round_trip")
    ]
    assert widths[1] / widths[0] == pytest.approx(speeds[1] / speeds[0], rel=0.01)
    assert len(widths) == len(speeds) == 6


def test_names_in_the_results_stay_text(maker, folder, result):
    evil = replace(result, model=replace(result.model, name="a|b <script>"))
    document.write_json(evil, folder / "a.json")
    results, _ = maker.read(folder)
    assert r"| a\|b \<script\> |" in maker.block(results, [])
    assert "<script" not in maker.picture(results)


def test_without_results_the_readme_says_so(maker):
    assert maker.block({}, []) == "Nothing is measured yet.\n\n"
