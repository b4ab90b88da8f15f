"""Every command refuses what it cannot use: one line, the documented exit code, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

CODE = "import sys; from edgevae.cli import main; main()"


def edgevae(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def bad(tmp_path, own_bundle, own_checkpoint):
    """Paths of things that are not what they should be."""
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 50)
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    graph = own_bundle / "encoder.fp32.onnx"
    data = bytearray(graph.read_bytes())
    data[1000] ^= 4
    graph.write_bytes(data)
    config = own_checkpoint / "config.json"
    config.write_text(config.read_text().replace('"kind"', '"sort"'))
    nan = tmp_path / "nan.safetensors"
    save_file({"latents": np.full((1, 4, 2, 2), np.nan, np.float32)}, nan)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    return {
        "text": text,
        "picture": picture,
        "flipped": own_bundle,
        "config": own_checkpoint,
        "nan": nan,
        "empty": empty,
        "none": tmp_path / "none.mp4",
        "folder": tmp_path,
    }


CASES = [
    ("encode tiny none -o out", 2, "none.mp4"),
    ("encode tiny text -o out", 2, "text.mp4"),
    ("encode tiny empty -o out", 2, "empty.mp4"),
    ("encode tiny folder -o out", 2, ""),
    ("encode picture text -o out", 2, "picture.png: is a file, expected the folder of a bundle"),
    ("encode flipped clip -o out", 4, "encoder.fp32.onnx: sha256 is"),
    ("encode edgevae-video-zz clip -o out", 2, "no such path and no shipped model"),
    ("encode tiny clip -o out --backend tensorrt", 5, "backend='tensorrt'"),
    ("encode tiny clip -o out --precision int8", 2, "precision: got 'int8'"),
    ("encode config clip -o out", 2, "unknown key 'sort'"),
    ("decode tiny nan -o out", 2, "nan.safetensors"),
    ("decode tiny text -o out", 2, "text.mp4"),
    ("decode tiny none -o out", 2, "none.mp4"),
    ("reconstruct tiny text -o out", 2, "text.mp4"),
    ("reconstruct folder clip -o out", 2, "holds no manifest.json"),
    ("info none", 2, "no such path"),
    ("info picture", 2, "is a file"),
    ("info flipped", 4, "sha256 is"),
    ("info config", 2, "unknown key 'sort'"),
    ("export config -o out", 2, "unknown key 'sort'"),
    ("export none -o out", 2, "no such path"),
    ("export tiny -o out", 2, "no config.json"),
    ("export checkpoint -o out --chunk-frames 3", 2, "multiple of the temporal factor 4"),
    ("benchmark tiny --video text", 2, "text.mp4"),
    ("benchmark tiny --video none", 2, "none.mp4"),
    ("train none -o out", 2, "none.mp4"),
    ("train empty -o out", 2, ""),
    ("train --resume folder", 2, ""),
]


@pytest.mark.parametrize(("line", "code", "message"), CASES, ids=[c[0] for c in CASES])
def test_bad_input_is_one_line_with_the_documented_exit_code(
    line, code, message, bad, tiny_bundle, tiny_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path / "cache"))
    clip = tiny_bundle.parents[2] / "edgevae" / "clips" / "flower.mp4"
    names = {
        **bad,
        "tiny": tiny_bundle,
        "clip": clip,
        "checkpoint": tiny_checkpoint,
        "out": tmp_path / "out",
    }
    before = sorted(os.listdir(tmp_path))
    result = edgevae(*(names.get(word, word) for word in line.split()))
    assert result.returncode == code, result.stderr
    said = [text for text in result.stderr.splitlines() if not text.startswith("exporting")]
    assert len(said) == 1, result.stderr
    assert said[0].startswith("edgevae: ")
    assert message in said[0]
    assert result.stdout == ""
    assert sorted(os.listdir(tmp_path)) == before, "something was left behind"


@pytest.mark.parametrize("line", ["", "--nope", "encode", "encode a", "nope", "export a"])
def test_wrong_usage_is_exit_code_2_and_says_how(line):
    result = edgevae(*line.split())
    assert result.returncode == 2
    assert "Usage:" in result.stderr


def test_info_shows_json_for_programs(tiny_bundle):
    import json

    result = edgevae("info", tiny_bundle, "--json")
    assert result.returncode == 0
    data = json.loads(result.stdout)
    assert data["spec"]["temporal_factor"] == 4
    assert data["verification"]["fp16_peak_activation"] < 65504


def test_doctor_says_what_runs_here():
    result = edgevae("doctor")
    assert result.returncode == 0
    assert "yes  onnxruntime" in result.stdout


@pytest.mark.parametrize(
    "command", ["train", "export", "info", "encode", "decode", "reconstruct", "benchmark", "doctor"]
)
def test_every_command_has_help_with_an_example(command):
    result = edgevae(command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert f"edgevae {command}" in result.stdout.split("Example")[1]
