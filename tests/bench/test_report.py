"""Units in the keys of the document, the machine it names, and the picture."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevae.errors import InputError
from edgevae_bench import document
from edgevae_bench.environment import PACKAGES, default_threads, describe, usable_cores
from edgevae_bench.picture import AMPLIFY, LABEL_PX, MARGIN_PX, amplified_difference, write_picture
from edgevae_bench.scoring import Shown

sys.path.insert(0, str(Path(__file__).parent))

import invented  # found by the line above


def numbers(value: object, key: str = "") -> list[str]:
    """Return the keys of all numbers in a JSON document."""
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in numbers(item, name)]
    if isinstance(value, list):
        return [found for item in value for found in numbers(item, key)]
    return [key] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def test_every_number_has_its_unit_in_its_key():
    unit = re.compile(
        r"_(ms|db|px|bytes|ratio|frames|rounds|cores|levels|clips|percentiles|difference|latents|frame|1min|mhz|w"
        r"|turns|per_s|per_pixel|max)$"
        r"|^(frames|rounds|starts|threads|seed|mse|ssim|ms_ssim|schema_version|chunks|n|turns|seconds|percentile|gflop)$"
    )
    plain = invented.result()
    # Operators and ratios are named by what they count; a verdict's limit has the unit of its gate.
    rows = tuple(replace(row, artefact=None) for row in plain.subjects)
    latency = tuple(replace(row, speedup_ratios={}) for row in plain.latency)
    result = replace(plain, subjects=rows, latency=latency, verdicts=())
    found = set(numbers(document.to_document(result, long=True)))
    assert len(found) > 40
    assert [key for key in sorted(found) if not unit.search(key)] == []


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
