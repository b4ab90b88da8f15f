"""Clips for the tests of `edgevae.video`, made on the spot by `tests/assets/make_clip.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "assets"))

import make_clip as maker  # found by the line above

from edgevae.cli import main
from edgevae.video import FrameSource, open_video


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """12 frames of moving texture, 48 high and 64 wide."""
    return maker.make_frames(12, 48, 64)


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """`make_clip.make_clip`, with names in the test's folder."""
    return lambda name, *args, **kwargs: maker.make_clip(tmp_path / name, *args, **kwargs)


@pytest.fixture
def make_frames() -> Callable[..., np.ndarray]:
    """`make_clip.make_frames`."""
    return maker.make_frames


@pytest.fixture
def read() -> Callable[..., tuple[np.ndarray, np.ndarray, FrameSource]]:
    """A function that reads a whole clip: frames, timestamps, and the source with its info and notes."""

    def read_all(path: Path, **options: object) -> tuple[np.ndarray, np.ndarray, FrameSource]:
        with open_video(path, **options) as source:
            groups = list(source)
        return (
            np.concatenate([g.frames for g in groups]),
            np.concatenate([g.pts for g in groups]),
            source,
        )

    return read_all


class Result(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def edgevae(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """A function that runs a command in the test's folder."""

    def run(*words: object) -> Result:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["edgevae", *map(str, words)])
        try:
            main()
        except SystemExit as stop:
            return Result(int(stop.code or 0), *capsys.readouterr())
        return Result(0, *capsys.readouterr())

    return run
