"""`edgevae benchmark` from end to end, on a tiny model and a clip made on the spot."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import edgevae.cli
import edgevae_bench
from edgevae_bench.claims import NO_BASELINE

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


def test_who_breaks_a_run_off_is_told_how_to_go_on(video, tmp_path, monkeypatch, capsys):
    output = tmp_path / "r.json"

    def broken_off(*_subject: object) -> None:
        raise KeyboardInterrupt

    # At the first turn: the document is there by then.
    monkeypatch.setattr("edgevae_bench.case_run.CaseRun._take_turn", broken_off)
    arguments = (BUNDLE, "--video", video, "--threads", 1, "--size", "40x24", "-o", output)
    monkeypatch.setattr(sys, "argv", ["edgevae", "benchmark", *map(str, arguments)])
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--boundary", "stream", "--frames", "8"])
    with pytest.raises(SystemExit) as stop:
        edgevae.cli.main()
    assert stop.value.code == 1
    assert list(filter(None, capsys.readouterr().err.splitlines())) == [
        f"edgevae: {output}: go on with --resume",
        "edgevae: interrupted; nothing was left half-written",
    ]


def test_without_a_checkpoint_the_runtime_alone_is_measured_and_pytorch_never_loaded(
    video, tmp_path
):
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
        ),
        *("--boundary", "call", "-o", tmp_path / "r.json", "--picture", tmp_path / "r.png"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "False"
    tables, line = done.stdout.rsplit("\n\n", 1)
    document = json.loads(line)
    assert {row["subject"] for row in document["latency"]} == {"onnxruntime_fp32"}
    assert {row["no_speedup_reason"] for row in document["latency"]} == {NO_BASELINE}
    assert document["settings"]["cases"] == [{"height_px": 24, "width_px": 40, "batch_clips": 1}]
    assert document["model"]["checkpoint_sha256"] is None
    assert document["quality"][0]["quality"]["frames"] == 11
    assert tables.index("call:") < tables.index("Quality of the reconstruction")
    assert json.loads((tmp_path / "r.json").read_text())["latency"] == document["latency"]
    names = ["r.json", "r.png", "r.samples.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with Image.open(tmp_path / "r.png") as image:
        assert image.width > 3 * 40


def in_process(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the command here and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["edgevae", "benchmark", *map(str, arguments)])
    try:
        edgevae.cli.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_fewer_frames_than_asked_for_are_said(video, monkeypatch, capsys):
    options = ("--threads", 1, "--rounds", 1, "--frames", 500, "--boundary", "call", "--json")
    assert in_process(monkeypatch, BUNDLE, "--video", video, *options) == 0
    document = json.loads(capsys.readouterr().out)
    assert "only 11 of the 500 frames asked for" in document["warnings"][0]


def test_a_gate_that_is_missed_is_exit_code_3_after_the_result_is_printed(
    video, monkeypatch, capsys
):
    options = ("--threads", 1, "--rounds", 1, "--boundary", "call", "--json", "--size", "40x24")
    gate = ("--min-psnr", 90)
    assert in_process(monkeypatch, BUNDLE, "--video", video, *options, *gate) == 3
    printed = capsys.readouterr()
    verdicts = json.loads(printed.out)["verdicts"]
    assert [v["passed"] for v in verdicts if v["gate"] == "min_psnr_db"] == [False]
    (line,) = printed.err.splitlines()
    assert "PSNR against the source" in line
    assert "gate min_psnr_db 90" in line


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
        ((BUNDLE, "--video", "{video}", "--boundary", "bus"), 2, "'bus' is not one of"),
        ((BUNDLE, "--video", "{video}", "--resume"), 2, "nothing to go on with"),
        (("compare", "none.json", "none.json"), 4, "no result of a benchmark"),
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
    heavy = {"torch", "onnxruntime", "onnx", "openvino", "av", "scipy", "psutil", "PIL", "tqdm"}
    assert heavy.isdisjoint(out.stdout.split())


def test_only_the_baseline_and_a_judge_that_learns_import_pytorch_or_the_networks():
    package = Path(edgevae_bench.__file__).parent
    importing = re.compile(
        r"^\s*(import torch|from torch|from edgevae\.nn|import edgevae\.nn)", re.M
    )
    found = {path.name for path in package.rglob("*.py") if importing.search(path.read_text())}
    parts = ("", "_session", "_place", "_ceilings", "_diffusers", "_posterior")
    assert found == {*(f"baseline{part}.py" for part in parts), "classifier.py"}


def test_without_a_clip_the_packages_own_is_measured(monkeypatch, capsys):
    assert (
        in_process(
            monkeypatch,
            str(BUNDLE),
            "--frames",
            "8",
            "--rounds",
            "1",
            "--boundary",
            "call",
            "--json",
        )
        == 0
    )
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["clip"]["name"] == "flower.mp4"
    assert result["quality"][0]["quality"]["frames"] == 8
