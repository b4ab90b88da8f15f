"""The result that nobody measured, of `tests/bench/invented.py`, and frames of one colour."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgevae_bench.page.arrange import Samples
from edgevae_bench.page.view import Shown
from edgevae_bench.result import Result
from edgevae_bench.samples import by_row

sys.path.insert(0, str(Path(__file__).parents[1]))

import invented  # found by the line above


class Still:
    """A frame of one colour, with a reconstruction of another."""

    def __init__(self, title: str, index: int, *, source: object, made: object) -> None:
        self.title, self.index, self.psnr_db = title, index, 31.2
        self.source = np.full((16, 32, 3), source, np.uint8)
        self.reconstruction = np.full((16, 32, 3), made, np.uint8)


@pytest.fixture(scope="session")
def still() -> Callable[..., Shown]:
    """A function that makes a frame of one colour with a reconstruction of another."""
    return Still


@pytest.fixture(scope="session")
def times() -> Samples:
    """Every sample of `result`."""
    return by_row(invented.samples())


@pytest.fixture(scope="session")
def result() -> Result:
    """Three subjects and one that is missing, two sizes, four boundaries."""
    return invented.result()
