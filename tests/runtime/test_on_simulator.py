"""The tests of tests/gpu on the simulated device: the real cuda-python, a simulated driver, a simulated TensorRT."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIMULATOR = ROOT / "tests" / "simulator" / "running.py"


@pytest.fixture(scope="module")
def running():
    spec = importlib.util.spec_from_file_location("running", SIMULATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reason = module.why_not()
    for needed in ("cuda.bindings", "onnx"):
        try:
            found = importlib.util.find_spec(needed)
        except ModuleNotFoundError:
            found = None
        reason = reason or (None if found else f"{needed} is not installed")
    if reason:
        pytest.skip(f"the simulated device cannot run here: {reason}")
    return module


@pytest.fixture(scope="module")
def driver(running, tmp_path_factory):
    return running.compile_driver(tmp_path_factory.mktemp("driver"))


@pytest.mark.slow
def test_the_gpu_tests_pass_on_a_simulated_device(running, driver, tmp_path):
    environment = running.environment(driver, DEVICE=1, MEMORY_MIB=512, DELAY_US=50)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/gpu"],
        cwd=ROOT,
        env=environment | {"EDGEVAE_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) >= 20, result.stdout


def test_without_a_device_the_gpu_tests_are_skipped_with_the_reason():
    if any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/nvgpu")):
        pytest.skip("there is a GPU here")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-rs",
            "-p",
            "no:cacheprovider",
            "tests/gpu/test_device.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert "driver" in result.stdout
    assert " passed" not in result.stdout
