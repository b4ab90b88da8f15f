from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="hatchling is in the dev extra")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        return archive.namelist()


def test_a_wheel_puts_only_our_three_packages_into_site_packages(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {t for t in tops if not t.endswith(".dist-info")} == {
        "edgevae",
        "edgevae_export",
        "edgevae_bench",
    }


@pytest.mark.parametrize(
    "name",
    [
        "edgevae/py.typed",
        "edgevae/clips/flower.mp4",
        "edgevae/models/edgevae-gan-digits/bundle/manifest.json",
        "edgevae/models/edgevae-gan-digits/checkpoint/model.safetensors",
        "edgevae/models/edgevae-generate-digits/bundle/manifest.json",
        "edgevae/models/edgevae-generate-digits/checkpoint/prior.safetensors",
        "edgevae/models/edgevae-image-s/bundle/manifest.json",
        "edgevae/models/edgevae-image-s/checkpoint/model.safetensors",
        "edgevae/models/edgevae-predict-digits/bundle/manifest.json",
        "edgevae/models/edgevae-predict-digits/checkpoint/predictor.safetensors",
        "edgevae/models/edgevae-senses-made/bundle/manifest.json",
        "edgevae/models/edgevae-senses-made/checkpoint/model.safetensors",
        "edgevae/models/edgevae-video-s/bundle/manifest.json",
        "edgevae/models/edgevae-video-s/checkpoint/model.safetensors",
        "edgevae/models/edgevae-video-xs/bundle/manifest.json",
        "edgevae/models/edgevae-video-xs/checkpoint/model.safetensors",
        "edgevae_export/frames.safetensors",
        "edgevae_bench/latents/template.html",
        "edgevae_bench/page/template.html",
        "edgevae_bench/page/style.css",
        "edgevae_bench/page/script.js",
    ],
)
def test_a_wheel_has_what_the_package_needs_at_run_time(wheel, name):
    assert name in wheel
