"""Tiles by memory: what a call takes is measured, kept, and holds for other sizes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import edgevae
from edgevae import Tiling
from edgevae.bundle import Bundle
from edgevae.errors import InputError, OutOfMemoryError, UnavailableError
from edgevae.runtime.call_memory import CallMemory, call_memory, fit
from edgevae.runtime.host_memory import available_bytes, resident_bytes
from edgevae.runtime.tile_planner import TilePlanner
from edgevae.runtime.tiling import FrameSize, grid_of, in_words, stream_bytes

pytestmark = pytest.mark.skipif(resident_bytes() is None, reason="memory is read from /proc")
MEASURED = CallMemory(linear=500.0, square=0.0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where this file's measurements are kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(cache))


@pytest.fixture
def bundle(tiny_bundle):
    return Bundle.open(tiny_bundle)


@pytest.mark.parametrize("square", [0.0, 2e-3])
def test_two_measurements_tell_what_grows_with_the_square(square):
    memory = CallMemory(linear=800.0, square=square)
    seen = {n**2: memory.of(batch=1, height_px=n, width_px=n) for n in (256, 512)}
    found = fit(seen)
    assert found.linear == pytest.approx(800, rel=1e-3)
    assert found.square == pytest.approx(square, rel=1e-2)


def test_no_part_of_a_fit_is_negative():
    found = fit({100: 1000, 200: 1500})
    assert (found.linear, found.square) == (7.5, 0.0)


def test_a_measurement_is_kept_and_a_broken_one_is_made_again(bundle, cache):
    def measure():
        return call_memory(bundle, "encoder", "fp32", is_local=True, threads=1)

    found = measure()
    assert 12 < found.linear < 5000, "more than the frames themselves"
    (kept,) = (cache / "memory").iterdir()
    kept.write_text(json.dumps({"linear": 7.0, "square": 0.0}))
    assert measure() == CallMemory(linear=7.0, square=0.0)
    kept.write_text("{")
    assert measure().linear == pytest.approx(found.linear, rel=0.3)


def test_where_no_child_can_be_started_it_is_said_what_to_do(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEVAE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(UnavailableError, match=r"no Python to start; give the side of a tile"):
        call_memory(bundle, "encoder", "fp32", is_local=True, threads=1)


def planner(bundle, *, measured=MEASURED, **tiling):
    measure = None if measured is None else (lambda role: measured)
    return TilePlanner(bundle.manifest.spec, Tiling(**tiling), chunk_frames=4, measure=measure)


def test_the_largest_tiles_within_the_limit_are_chosen(bundle):
    spec, size = bundle.manifest.spec, FrameSize(batch=1, height_px=2160, width_px=4096)
    calls, before = {"encoder": MEASURED, "decoder": MEASURED}, None
    for more in (115, 25, 15, 10):
        # The process that runs the tests may hold much already.
        limit, said = resident_bytes() + more * 10**8, []
        chosen = planner(bundle, max_memory_bytes=limit, report=said.append).tile_cells(
            batch=1, height_px=2160, width_px=4096
        )
        need = stream_bytes(
            spec, calls, size, tile=chosen, chunk_frames=4, tiling=Tiling(max_memory_bytes=limit)
        )
        assert resident_bytes() * 0.8 + need <= limit
        assert len(said) == 1
        assert in_words(limit) in said[0]
        count = grid_of(spec, "decoder", size, tile=chosen).count
        assert (chosen is None) == (more == 115)
        assert before is None or count > before
        before = count


def test_a_limit_that_no_tile_fits_into_is_refused_in_one_line(bundle):
    with pytest.raises(
        InputError, match=r"got 300.0 MB, expected at least .* [MG]B for frames of 4096x2160"
    ) as caught:
        planner(bundle, max_memory_bytes=3 * 10**8).tile_cells(
            batch=1, height_px=2160, width_px=4096
        )
    assert "\n" not in str(caught.value)


def test_the_smallest_tile_is_tried_whatever_the_steps_to_it_are(bundle):
    greedy = CallMemory(linear=1e6, square=0.0)  # so that a tile is all that counts
    for width in range(480, 545, 8):
        with pytest.raises(InputError, match="tiles of 128x128 px"):
            planner(bundle, measured=greedy, max_memory_bytes=10**6).tile_cells(
                batch=1, height_px=480, width_px=width
            )


def test_frames_that_the_machine_has_no_memory_for_are_refused_before_the_run(bundle):
    most = available_bytes()
    with pytest.raises(OutOfMemoryError, match=r"need about .* are available; cut them into tiles"):
        planner(bundle).tile_cells(batch=most // 10**6, height_px=2000, width_px=2000)
    assert planner(bundle).tile_cells(batch=1, height_px=200, width_px=200) is None


def test_a_limit_is_for_graphs_in_host_memory(bundle):
    with pytest.raises(InputError, match="do not run in host memory; give the side of a tile"):
        planner(bundle, measured=None, max_memory_bytes=10**9)


def test_the_memory_of_a_container_counts(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    8000 kB\n")
    assert available_bytes(proc=tmp_path, cgroup=tmp_path / "none") == 8_192_000
    for name, text in (("max", "5000000"), ("current", "4000000"), ("stat", "inactive_file 500")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert available_bytes(proc=tmp_path, cgroup=tmp_path) == 1_000_500
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(proc=tmp_path, cgroup=tmp_path) == 8_192_000
    assert available_bytes(proc=tmp_path / "none", cgroup=tmp_path / "none") is None


RUN = """
import sys
import numpy as np
import edgevae
from edgevae.runtime.host_memory import peak_bytes, resident_bytes
bundle, limit = sys.argv[1], int(sys.argv[2])
tiling = edgevae.Tiling(max_memory_bytes=limit)
with edgevae.load(bundle, device="cpu", precision="fp32", threads=1, tiling=tiling) as vae:
    frames = np.random.default_rng(0).integers(0, 256, (8, 1024, 1000, 3), np.uint8)
    latents = vae.encode(frames)
    shown = vae.decode(latents, size=(1024, 1000))
np.savez(sys.argv[3], latents=latents, shown=shown)
print(peak_bytes())
"""


@pytest.mark.slow
def test_the_process_stays_within_the_limit_and_the_result_is_the_same(tiny_bundle, tmp_path):
    def run(limit):
        target = tmp_path / f"{limit}.npz"
        command = [sys.executable, "-c", RUN, str(tiny_bundle), str(limit), str(target)]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode == 0, child.stderr
        with np.load(target) as arrays:
            return int(child.stdout), arrays["latents"], arrays["shown"]

    limit = 300 * 10**6
    peak, latents, shown = run(limit)
    whole_peak, whole_latents, whole_shown = run(10**11)
    assert peak < limit < whole_peak
    assert np.array_equal(latents, whole_latents)
    assert np.array_equal(shown, whole_shown)


def test_a_vae_says_what_was_chosen(tiny_bundle, noise):
    said = []
    tiling = Tiling(max_memory_bytes=10**10, report=said.append)
    with edgevae.load(tiny_bundle, device="cpu", threads=1, tiling=tiling) as vae:
        vae.reconstruct(noise(4, 64, 64, 3))
        vae.reconstruct(noise(4, 64, 64, 3))
    assert len(said) == 1
    assert "frames of 64x64: not cut; estimate" in said[0]
