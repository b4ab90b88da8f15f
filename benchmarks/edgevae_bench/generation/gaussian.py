"""The best that a normal can do as a prior: all covariances of a chunk of latents, and of it with the chunk before.

    first chunk   z1 ~ N(mean, S)
    later ones    z' ~ N(mean + A (z - mean), S - A K'),   A = K S^-1,   K the covariance of a chunk with the one before

It knows every mean and scale and all that is linear, across cells, channels and time; what a learnt prior does better
is what is not normal about the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError
from edgevae.frames import Latents

Matrix = npt.NDArray[np.float64]

RIDGE = 1e-3
"""Added to every variance, in unit scale: a sample of few clips says too little of the smallest ones."""


@dataclass(frozen=True)
class ChunkNormal:
    """A chain of normals, a chunk each."""

    shape: tuple[int, ...]
    """Of a chunk's latents, `[t, C, h, w]`."""
    mean: Matrix
    """`[D]`."""
    begins: Matrix
    """A root of the covariance of a chunk, `[D, D]`."""
    follows: Matrix
    """A, `[D, D]`."""
    rest: Matrix
    """A root of the covariance of what is new in a chunk, `[D, D]`."""

    def sample(self, chunks: int, *, seed: int, clip: int) -> Latents:
        """Return latents of a clip, float32 `[chunks * t, C, h, w]`; seed and number of the clip decide them."""
        rng, size = np.random.default_rng([seed, clip]), len(self.mean)
        state = self.begins @ rng.standard_normal(size)
        made = [state]
        for _ in range(chunks - 1):
            state = self.follows @ state + self.rest @ rng.standard_normal(size)
            made.append(state)
        drawn = np.stack(made) + self.mean
        latents: Latents = drawn.reshape(-1, *self.shape[1:]).astype(np.float32)
        return latents


def fit(latents: Latents, *, chunk: int) -> ChunkNormal:
    """Return the normals with the means and covariances of some clips' latents.

    Args:
        latents: Float `[N, t, C, h, w]`.
        chunk: Steps of a chunk.

    Raises:
        InputError: the clips have less than two chunks.
    """
    clips, steps = latents.shape[:2]
    if steps < 2 * chunk:
        raise InputError(f"latents: got clips of {steps} steps, expected at least {2 * chunk}")
    count = steps // chunk
    shape = (chunk, *latents.shape[2:])
    flat = latents[:, : count * chunk].reshape(clips, count, -1).astype(np.float64)
    mean = flat.mean((0, 1))
    flat = flat - mean
    every = flat.reshape(clips * count, -1)
    within = every.T @ every / len(every) + RIDGE * np.eye(len(mean))
    before, after = (part.reshape(-1, len(mean)) for part in (flat[:, :-1], flat[:, 1:]))
    across = after.T @ before / len(before)
    follows = np.linalg.solve(within, across.T).T
    return ChunkNormal(shape, mean, _root(within), follows, _root(within - follows @ across.T))


def _root(covariance: Matrix) -> Matrix:
    """Return a matrix whose product with its transpose is a covariance; what sampling made negative is 0."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    root: Matrix = vectors * np.sqrt(np.maximum(values, 0.0))
    return root
