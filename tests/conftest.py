"""Fixtures: the tiny committed models, and clips of texture made on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgevae.bundle import DIGEST, MANIFEST
from edgevae.files import sha256

ASSETS = Path(__file__).parent / "assets"


@pytest.fixture
def tiny_bundle() -> Path:
    """The bundle of a tiny video model; not to be written to."""
    return ASSETS / "tiny-video.bundle"


@pytest.fixture
def tiny_image_bundle() -> Path:
    """The bundle of a tiny image model; not to be written to."""
    return ASSETS / "tiny-image.bundle"


@pytest.fixture
def tiny_checkpoint() -> Path:
    """The checkpoint of `tiny_bundle`; not to be written to."""
    return ASSETS / "tiny-video.checkpoint"


@pytest.fixture
def own_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_bundle` to damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "own.bundle"))


@pytest.fixture
def nested_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_bundle`, 4 channels, that claims to work with 1 and 2 of them: the graphs would be the same."""
    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "nested.bundle"))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["format_version"] = 2
    manifest["spec"]["nested_channels"] = [1, 2]
    text = json.dumps(manifest)
    (folder / MANIFEST).write_text(text)
    (folder / DIGEST).write_text(sha256(text.encode()) + "\n")
    return folder


@pytest.fixture
def own_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_checkpoint` to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "own.checkpoint"))


@pytest.fixture
def random() -> np.random.Generator:
    """A seeded source of random numbers."""
    return np.random.default_rng(11)


@pytest.fixture
def noise(random: np.random.Generator) -> Callable[..., np.ndarray]:
    """A function that returns uint8 noise of a shape."""
    return lambda *shape: random.integers(0, 256, shape, dtype=np.uint8)
