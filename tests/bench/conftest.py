"""Clips for the tests of the benchmark, made on the spot by `tests/assets/make_clip.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "assets"))

import make_clip as maker  # found by the line above


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """11 frames of moving texture, 42 high and 60 wide: no whole chunk and no whole cells."""
    return maker.make_frames(11, 42, 60)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file of 11 frames of moving texture, 42 high and 60 wide."""
    return maker.make_clip(
        tmp_path_factory.mktemp("clip") / "clip.mp4", maker.make_frames(11, 42, 60)
    )
