"""Fixtures: the tiny committed models, and clips of texture made on the spot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae.bundle import DIGEST, GOLDEN, MANIFEST, Bundle, write_bundle
from edgevae.files import sha256
from edgevae.frames import lead_in

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
def tiny_predictor_bundle() -> Path:
    """The bundle of a tiny image model with a predictor; not to be written to."""
    return ASSETS / "tiny-predictor.bundle"


@pytest.fixture
def tiny_prior_bundle() -> Path:
    """The bundle of a tiny image model with a prior; not to be written to."""
    return ASSETS / "tiny-prior.bundle"


@pytest.fixture
def tiny_senses_bundle() -> Path:
    """The bundle of a tiny VAE of video, sound and tracks; not to be written to."""
    return ASSETS / "tiny-senses.bundle"


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
def lead_bundle(nested_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `nested_bundle` that claims to code the first frame alone: 3 frames of filler come before a clip."""
    from safetensors.numpy import load, save

    bundle = Bundle.open(nested_bundle)
    files = {name: bundle.read(name) for name in bundle.manifest.files}
    frames = load(files[GOLDEN])["frames"][:5]
    with edgevae.load(nested_bundle, precision="fp32") as vae:
        latents = vae.encode(lead_in(frames, 3))
        decoded = np.ascontiguousarray(vae.decode(latents)[3:])
    files[GOLDEN] = save({"frames": frames, "latents": latents, "decoded": decoded})
    manifest = bundle.manifest
    spec = replace(manifest.spec, lead_frames=3)
    rest = {"checkpoint_sha256": manifest.checkpoint_sha256, "graphs": manifest.graphs}
    path = tmp_path / "lead.bundle"
    write_bundle(path, files, name="lead", spec=spec, edgevae_version="0", **rest)
    return path


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
