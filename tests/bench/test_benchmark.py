"""`edgevae benchmark` from end to end, on a tiny model and a clip made on the spot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import edgevae.cli
import edgevae_bench

ASSETS = Path(__file__).parents[1] / "assets"
BUNDLE, CHECKPOINT = ASSETS / "tiny-video.bundle", ASSETS / "tiny-video.checkpoint"


def benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which at the end says on stderr whether it has PyTorch."""
    script = (
        "import atexit, sys; import edgevae.cli\n"
        "atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))\n"
        "edgevae.cli.main()"
    )
    command = [sys.executable, "-c", script, "benchmark", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def full(video, tmp_path_factory) -> tuple[str, dict[str, Any], Path]:
    """Stdout, its last line parsed, and the folder of what was written."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("out")
    done = benchmark(
        *(
            BUNDLE,
            "--video",
            video,
            "--against",
            CHECKPOINT,
            "--threads",
            1,
            "--rounds",
            2,
            "--frames",
            10,
        ),
        *("-o", folder / "results.json", "--picture", folder / "frames.png"),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1]), folder


def test_pytorch_and_the_runtime_are_measured_on_the_same_work(full):
    _, document, _ = full
    rows = {(row["subject"], row["work"]["operation"]): row for row in document["latency"]}
    assert len(rows) == 9
    assert {subject for subject, _ in rows} == {
        "pytorch_eager",
        "pytorch_channels_last",
        "onnxruntime_fp32",
    }
    for (subject, operation), row in rows.items():
        assert row["work"] == rows["pytorch_eager", operation]["work"]
        assert row["speedup_ratio"] > 0, subject
        assert row["frames_per_s"] == pytest.approx(4e3 / row["latency"]["median_ms"], rel=1e-4)


def test_quality_is_given_against_the_source_and_against_pytorch(full):
    _, document, _ = full
    rows = {(row["subject"], row["against"]): row for row in document["quality"]}
    assert len(rows) == 5
    runtime = rows["onnxruntime_fp32", "pytorch_eager"]
    assert runtime["quality"]["max_levels"] <= 1
    assert runtime["latents_max_difference"] < 3e-4
    assert rows["onnxruntime_fp32", "source"]["quality"]["frames"] == 10


def test_the_runtimes_own_process_has_no_pytorch(full):
    _, document, _ = full
    loaded = {row["subject"]: row["process"]["torch_loaded"] for row in document["process"]}
    assert loaded == {
        "pytorch_eager": True,
        "pytorch_channels_last": True,
        "onnxruntime_fp32": False,
    }


def test_tables_come_before_the_line_and_files_are_written(full):
    stdout, document, folder = full
    assert (
        stdout.index("Latency per chunk")
        < stdout.index("Quality of the reconstruction")
        < stdout.index('{"schema"')
    )
    written = json.loads((folder / "results.json").read_text())
    assert [len(row["latency"]["samples_ms"]) for row in written["latency"]] == [2] * 9
    assert (written["model"], written["clip"]) == (document["model"], document["clip"])
    assert sorted(path.name for path in folder.iterdir()) == ["frames.png", "results.json"]
    with Image.open(folder / "frames.png") as image:
        assert image.width > 3 * 60


def test_without_a_checkpoint_the_runtime_alone_is_measured_and_pytorch_never_loaded(video):
    done = benchmark(
        *(
            BUNDLE,
            "--video",
            video,
            "--threads",
            1,
            "--rounds",
            2,
            "--frames",
            0,
            "--size",
            "40x24",
            "--json",
        )
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "False"
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    assert {row["subject"] for row in document["latency"]} == {"onnxruntime_fp32"}
    assert {row["speedup_ratio"] for row in document["latency"]} == {None}
    clip = document["clip"]
    assert (
        clip["height_px"],
        clip["width_px"],
        clip["source_height_px"],
        clip["source_width_px"],
    ) == (24, 40, 42, 60)
    assert (clip["quality_frames"], clip["timed_frames"]) == (11, 8)
    assert document["model"]["checkpoint_sha256"] is None


def in_process(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command here and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["edgevae", "benchmark", *map(str, arguments)])
    try:
        edgevae.cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_fewer_frames_than_asked_for_are_said(video, monkeypatch, capsys):
    options = ("--threads", 1, "--rounds", 1, "--frames", 500, "--json")
    assert in_process(monkeypatch, BUNDLE, "--video", video, *options) == 0
    document = json.loads(capsys.readouterr().out)
    assert "only 11 of the 500 frames asked for" in document["warnings"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("no-such-model", "--video", "{video}"), 2, "no-such-model: no such path"),
        ((BUNDLE, "--video", "missing.mp4"), 2, "missing.mp4"),
        ((BUNDLE, "--video", __file__), 2, "test_benchmark.py"),
        ((BUNDLE, "--video", "{video}", "--size", "40"), 2, "--size: got '40'"),
        ((BUNDLE, "--video", "{video}", "--size", "40x9999"), 2, "expected 1 to 8192 pixels"),
        ((BUNDLE, "--video", "{video}", "--threads", "5000"), 2, "threads: got 5000"),
        ((BUNDLE, "--video", "{video}", "--rounds", "0"), 2, "0 is not in the range"),
        (
            (BUNDLE, "--video", "{video}", "--frames", "3"),
            2,
            "fewer than the 4 frames of one chunk",
        ),
        (
            (BUNDLE, "--video", "{video}", "-o", "no/such/folder/r.json"),
            2,
            "--output: cannot write",
        ),
        ((BUNDLE, "--video", "{video}", "-o", "r.txt"), 2, r"ends in .json"),
        ((BUNDLE, "--video", "{video}", "--picture", "p.jpg"), 2, r"ends in .png"),
        ((BUNDLE, "--video", "{video}", "--precision", "int4"), 2, "got 'int4'"),
        ((BUNDLE, "--video", "{video}", "--backend", "tensorrt"), 5, "tensorrt"),
        ((BUNDLE, "--video", "{video}", "--against", "tiny"), 2, "tiny: no such path"),
        (
            (BUNDLE, "--video", "{video}", "--against", ASSETS / "tiny-image.checkpoint"),
            4,
            "was exported from",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    arguments, code, message, video, monkeypatch, capsys
):
    given = (str(a).replace("{video}", str(video)) for a in arguments)
    assert in_process(monkeypatch, *given) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.strip().splitlines()) == 1 or "Usage:" in printed.err


def test_importing_the_command_is_light():
    script = "import edgevae_bench.cli, sys; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"torch", "onnxruntime", "onnx", "av", "scipy", "psutil", "PIL", "tqdm"}
    assert heavy.isdisjoint(out.stdout.split())


def test_only_the_baseline_imports_pytorch_or_the_networks():
    package = Path(edgevae_bench.__file__).parent
    importing = re.compile(
        r"^\s*(import torch|from torch|from edgevae\.nn|import edgevae\.nn)", re.M
    )
    found = {path.name for path in package.rglob("*.py") if importing.search(path.read_text())}
    assert found == {"baseline.py", "baseline_session.py", "baseline_place.py"}


def test_without_a_clip_the_packages_own_is_measured(monkeypatch, capsys):
    assert in_process(monkeypatch, str(BUNDLE), "--frames", "8", "--rounds", "1", "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["clip"]["name"] == "flower.mp4"
    assert result["quality"][0]["quality"]["frames"] == 8
