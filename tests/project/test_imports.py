"""Importing edgevae is light, and the test that says so can fail."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "onnx",
    "onnxruntime",
    "lightning",
    "av",
    "scipy",
    "click",
    "tqdm",
    "safetensors",
    "tensorrt_rtx",
)


def modules_after(code: str) -> set[str]:
    """Return the names of the top-level modules that a fresh interpreter has after running code."""
    script = f"{code}\nimport json, sys; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    return set(json.loads(out.splitlines()[-1]))


def test_importing_edgevae_loads_numpy_and_nothing_heavy():
    loaded = modules_after("import edgevae")
    assert "numpy" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_listing_the_commands_loads_no_stage():
    loaded = modules_after(
        "import contextlib, io, edgevae.cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    edgevae.cli.group(['--help'])"
    )
    assert loaded.isdisjoint(set(HEAVY) - {"click"})
    assert loaded.isdisjoint({"edgevae_export", "edgevae_bench"})


def test_running_a_bundle_loads_no_pytorch_and_no_onnx(tiny_bundle):
    loaded = modules_after(
        "import edgevae, numpy\n"
        f"with edgevae.load({str(tiny_bundle)!r}) as vae:\n"
        "    vae.reconstruct(numpy.zeros((4, 16, 16, 3), numpy.uint8))"
    )
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint({"torch", "onnx", "lightning", "av"})


@pytest.mark.parametrize("module", ["onnxruntime", "safetensors"])
def test_the_check_itself_sees_a_heavy_import(module):
    assert module in modules_after(f"import edgevae\nimport {module}")
