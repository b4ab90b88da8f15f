"""Moving MNIST: two digits that drift and bounce in a 64 x 64 picture, made from a seed and an index.

The generator is that of Srivastava et al. 2015 (https://arxiv.org/abs/1502.04681), in the form in which the published
tables use it (https://github.com/A4Bio/SimVP, dataloader_moving_mnist.py): a digit starts anywhere, in any direction,
moves by a tenth of the free range a frame, and is reflected at the edges; where two overlap the brighter pixel is seen.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError

SIDE_PX = 64
"""Of the picture."""
STEP = 0.1
"""Of a digit in a frame, as a share of the range in which it is free to move."""
CLIP_FRAMES = 20
"""Ten that are seen and ten that are to be predicted."""

Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MovingMnist:
    """Endless clips by index: the same seed and index always give the same clip."""

    digits: Pictures
    """uint8 `[N, s, s]`, grey on black."""
    seed: int
    """Decides digits, places and directions."""
    count: int = 2
    """Digits in a clip."""

    def clip(self, index: int, *, frames: int = CLIP_FRAMES) -> Pictures:
        """Return clip `index`, uint8 grey `[T, 64, 64]`."""
        rng = self._rng(index)
        canvas = np.zeros((frames, SIDE_PX, SIDE_PX), np.uint8)
        side = self.digits.shape[1]
        for _ in range(self.count):
            digit = self.digits[self._choice(rng)]
            for picture, (top, left) in zip(canvas, path(rng, frames), strict=True):
                y, x = int((SIDE_PX - side) * top), int((SIDE_PX - side) * left)
                window = picture[y : y + side, x : x + side]
                np.maximum(window, digit, out=window)
        return canvas

    def shown(self, index: int) -> tuple[int, ...]:
        """Return which of the digits clip `index` shows, as indices of `digits`."""
        rng, chosen = self._rng(index), list[int]()
        for _ in range(self.count):
            chosen.append(self._choice(rng))
            path(rng, 0)  # draws where it starts
        return tuple(chosen)

    def batch(self, first: int, count: int, *, frames: int = CLIP_FRAMES) -> Pictures:
        """Return clips `[count, T, 64, 64]` from index `first` on."""
        return np.stack([self.clip(first + i, frames=frames) for i in range(count)])

    def _rng(self, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, index])

    def _choice(self, rng: np.random.Generator) -> int:
        return int(rng.integers(len(self.digits)))


def path(rng: np.random.Generator, frames: int) -> list[tuple[float, float]]:
    """Return where a digit is at each frame, (y, x) in 0..1 of its free range; the first place is one step on."""
    (y, x), angle = rng.random(2).tolist(), float(rng.random()) * 2.0 * np.pi
    dy, dx = STEP * float(np.sin(angle)), STEP * float(np.cos(angle))
    places = []
    for _ in range(frames):
        (y, dy), (x, dx) = _reflected(y + dy, dy), _reflected(x + dx, dx)
        places.append((y, x))
    return places


def _reflected(place: float, step: float) -> tuple[float, float]:
    """Return a place in 0..1 and the next step: at an edge it stops and turns round."""
    if 0.0 < place < 1.0:
        return place, step
    return min(1.0, max(0.0, place)), -step


def read_digits(folder: Path, *, part: str) -> Pictures:
    """Return the digits of MNIST, uint8 `[N, 28, 28]`.

    Args:
        folder: With the files as they are published, `train-images-idx3-ubyte.gz` and `t10k-images-idx3-ubyte.gz`; also
            unpacked.
        part: `train` or `t10k`.

    Raises:
        InputError: there is no such file, or it is none of this format.
    """
    path_ = _file(folder, f"{part}-images-idx3-ubyte")
    magic, count, height, width = struct.unpack(">4I", (data := _unpacked(path_))[:16].ljust(16))
    if (
        magic != 0x803
        or len(data) != 16 + count * height * width
        or not 0 < height == width <= SIDE_PX
        or not count
    ):
        raise InputError(
            f"{path_}: holds no square pictures in IDX format (magic {magic:#x}, {len(data)} bytes); copy it again"
        )
    return np.frombuffer(data, np.uint8, offset=16).reshape(count, height, width)


def read_labels(folder: Path, *, part: str) -> Pictures:
    """Return what the digits of MNIST are, 0..9, uint8 `[N]`, in the order of `read_digits`.

    Args:
        folder: With `train-labels-idx1-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`; also unpacked.
        part: `train` or `t10k`.

    Raises:
        InputError: there is no such file, or it is none of this format.
    """
    path_ = _file(folder, f"{part}-labels-idx1-ubyte")
    magic, count = struct.unpack(">2I", (data := _unpacked(path_))[:8].ljust(8))
    labels = np.frombuffer(data[8:], np.uint8)
    if magic != 0x801 or len(labels) != count or not count or labels.max() > 9:
        raise InputError(
            f"{path_}: holds no labels 0..9 in IDX format (magic {magic:#x}, {len(data)} bytes); copy it again"
        )
    return labels


def digit_files(folder: Path) -> tuple[Path, Path]:
    """Return the files of MNIST's training and test digits in a folder.

    Raises:
        InputError: one is missing.
    """
    return _file(folder, "train-images-idx3-ubyte"), _file(folder, "t10k-images-idx3-ubyte")


def _file(folder: Path, name: str) -> Path:
    for path_ in (folder / name, folder / f"{name}.gz"):
        if path_.is_file():
            return path_
    raise InputError(
        f"{folder}: no {name}.gz in it; expected the files of MNIST as they are published, in IDX format"
    )


def _unpacked(path_: Path) -> bytes:
    try:
        data = path_.read_bytes()
        return gzip.decompress(data) if path_.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path_}: damaged ({error}); copy it again") from error
