"""The benchmark's GPU side on the simulated device: events, device arrays, bare engines; its times mean nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from edgevae_bench import document

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_gpus_side_runs_on_the_simulated_device(tmp_path, tiny_bundle):
    spec = importlib.util.spec_from_file_location(
        "running", ROOT / "tests" / "simulator" / "running.py"
    )
    running = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(running)
    if running.why_not() or importlib.util.find_spec("cuda") is None:
        pytest.skip(running.why_not() or "cuda-bindings is not installed")
    driver = running.compile_driver(tmp_path / "driver")
    output = tmp_path / "result.json"
    main = "from edgevae.cli import main; main()"
    command = [sys.executable, "-c", main, "benchmark", tiny_bundle]
    command += ["--size", "64x48", "--rounds", "2", "-o", output, "--device", "cuda"]
    command += ["--backend", "tensorrt", "--backend", "tensorrt_no_graph", "--threads", "1"]
    environment = running.environment(driver, DEVICE=1, MEMORY_MIB=1024, DELAY_US=20)
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | {"EDGEVAE_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    found = document.read_json(output)
    rows = {row.subject.name: row for row in found.subjects}
    for name in ("tensorrt_fp16", "tensorrt_no_graph_fp16"):
        row = rows[name]
        assert row.status == "measured"
        assert row.unmeasured.keys() <= {"energy"}
        assert row.cost.device_peak_bytes > 0
        assert row.cost.build_ms is not None
        assert all(graph.plan_sha256 for graph in row.artefact.graphs)
        places = {(r.work.boundary, r.work.arrays) for r in found.latency if r.subject == name}
        assert places == {
            ("graph", "device"),
            ("call", "device"),
            ("call", "host"),
            ("stream", "device"),
            ("file", "file"),
        }
