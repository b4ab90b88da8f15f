"""Fixtures: TensorRT for RTX, whose builder needs no GPU, and the keys and engines of a cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevae.engine.build import BuildOptions
from edgevae.engine.cache import Built, EngineCache, EngineKey
from edgevae.engine.flavour import Flavour, open_flavour
from edgevae.engine.inspection import LayerTypes
from edgevae.engine.profile import Profile, parse_size


@pytest.fixture(scope="session")
def rtx() -> Flavour:
    """TensorRT for RTX."""
    pytest.importorskip("tensorrt_rtx", reason="edgevae[tensorrt-rtx] is not installed")
    return open_flavour("tensorrt_rtx")


@pytest.fixture
def key() -> EngineKey:
    """The key of an engine."""
    return EngineKey(
        model="street",
        role="decoder",
        precision="fp16",
        graph_sha256="5" * 64,
        tensorrt="tensorrt",
        tensorrt_version="10.3.0.30",
        gpu="Orin",
        compute_capability="8.7",
        multiprocessors=16,
        driver="540",
        cuda="12.6",
        options=BuildOptions(profiles=(Profile.static(parse_size("360p")),)),
    )


@pytest.fixture
def built() -> Built:
    """An engine that is none, of 4096 bytes."""
    plan = bytes(i * 7 % 251 for i in range(4096))
    layers = LayerTypes(fp16=40, fp32=4)
    return Built(plan=plan, layers=layers, seconds=12.5, parity={"frames_dB": 61.25})


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    """An empty cache."""
    return EngineCache(tmp_path / "engines")
