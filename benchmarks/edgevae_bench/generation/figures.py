"""The figures of generated clips, each against real ones.

coverage       which of the 55 pairs of digits, and of the 10 digits, occur; entropy of the pairs in bits
Fréchet        |m - m'|^2 + tr(C + C' - 2 (C C')^1/2) of features (Dowson and Landau 1982; Heusel et al. 2017)
precision      share of made clips that lie in the k-NN ball of a real one; recall the other way round
               (Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991)
motion         of the centre of brightness, which needs no classifier
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Grey = npt.NDArray[np.uint8]

PAIRS = tuple((a, b) for a in range(10) for b in range(a, 10))
"""What two digits can be together, in no order: 55."""
NEIGHBOURS = 3
"""k of precision and recall, as in the paper."""
_LEAST = 1e-4
"""Of a probability in a clip's vote: one frame in which digits overlap does not decide."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How clips move; means over clips and frames."""

    change_levels: float
    """Absolute difference from frame to frame, in levels of 255."""
    speed_px: float
    """How far the centre of brightness moves in a frame."""
    turn_px: float
    """How much that movement changes from one frame to the next: small for what drifts, large for what jumps."""


def vote(probabilities: Floats) -> tuple[Labels, Floats]:
    """Return which pair each clip shows, and the probability given to it, of probabilities `[N, T, 55]` by frame.

    Frames count alike: the pair with the largest mean logarithm; its probability is the mean over the frames.
    """
    labels = np.log(np.maximum(probabilities, _LEAST)).mean(1).argmax(1)
    return labels, probabilities.mean(1)[np.arange(len(labels)), labels]


def digits_of(labels: Labels) -> set[int]:
    """Return which of the ten digits occur in some pairs."""
    return {digit for label in set(labels.tolist()) for digit in PAIRS[label]}


def entropy_bits(labels: Labels) -> float:
    """Return the entropy of pairs, `[N]`; real clips have about 5.6, log2(55) is 5.8."""
    shares = np.bincount(labels, minlength=len(PAIRS)) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def frechet_distance(one: Floats, other: Floats) -> float:
    """Return the Fréchet distance of two sets of features `[N, F]` and `[M, F]`, taken as normal."""
    difference = one.mean(0) - other.mean(0)
    a, b = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    # The eigenvalues of a^1/2 b a^1/2, which is symmetric, are those of a b.
    both = np.linalg.eigvalsh(root @ b @ root)
    trace = np.trace(a) + np.trace(b) - 2.0 * np.sqrt(np.maximum(both, 0.0)).sum()
    return float(max(0.0, difference @ difference + trace))


def precision_recall(real: Floats, made: Floats) -> tuple[float, float]:
    """Return the share of `made` that lies among `real`, and of `real` among `made`; features `[N, F]`, N above k."""
    return _share_inside(made, real), _share_inside(real, made)


def motion(clips: Grey) -> Motion:
    """Return how grey clips `[N, T, H, W]` move; three frames at least."""
    levels = clips.astype(np.float64)
    centres = centres_of(clips)
    steps = np.diff(centres, axis=1)
    return Motion(
        change_levels=float(np.abs(np.diff(levels, axis=1)).mean()),
        speed_px=float(np.linalg.norm(steps, axis=-1).mean()),
        turn_px=float(np.linalg.norm(np.diff(steps, axis=1), axis=-1).mean()),
    )


def centres_of(clips: Grey) -> Floats:
    """Return where the centre of brightness is, (y, x) in pixels, `[N, T, 2]`; a black frame's is its middle."""
    levels = clips.astype(np.float64)
    total = levels.sum((-2, -1))
    sums = [levels.sum(axis) @ np.arange(levels.shape[side]) for side, axis in ((-2, -1), (-1, -2))]
    middle = [(side - 1) / 2.0 for side in levels.shape[-2:]]
    lit = np.maximum(total, 1.0)
    centres: Floats = np.stack(
        [np.where(total > 0, s / lit, m) for s, m in zip(sums, middle, strict=True)], axis=-1
    )
    return centres


def psnr_dB(clips: Sequence[Grey], others: Sequence[Grey]) -> float:
    """Return the PSNR of all pixels of some clips together."""
    squares = [
        np.square(a.astype(np.float64) - b).mean() for a, b in zip(clips, others, strict=True)
    ]
    return float(10.0 * np.log10(255.0**2 / np.mean(squares)))


def _share_inside(points: Floats, centres: Floats) -> float:
    """Return the share of points that lie in the ball of a centre which reaches its k-th nearest other one."""
    radii = np.sort(_squared_distances(centres, centres), axis=1)[:, NEIGHBOURS]  # 0 is itself
    inside = (_squared_distances(points, centres) <= radii).any(1)
    return float(inside.mean())


def _squared_distances(a: Floats, b: Floats) -> Floats:
    squares: Floats = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2.0 * a @ b.T
    return np.maximum(squares, 0.0)
