"""Where generated clips are, and the noise that they come from: a function of seed, clip and chunk, nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Latents
from edgevae.runtime.session import SessionState
from edgevae.spec import GraphSpec

MOST_PX = 4096
"""Of a side: as far as the graph of a generator that takes noise itself counts (`edgevae.nn.generator_graph`), and a
limit on what a bundle of somebody else may ask of the memory."""


@dataclass(frozen=True, kw_only=True)
class GeneratorState:
    """Where a stream of clips is: passed in and returned; on a GPU it goes into one call."""

    count: int
    """Clips that run side by side."""
    size: tuple[int, int]
    """Height and width of the frames, in pixels."""
    seed: int
    """Decides the noise."""
    temperature: float
    """Factor on the noise."""
    chunk: int
    """Which chunk comes next."""
    prior: SessionState | None
    """What the prior remembers; None where there is no prior."""
    decoder: SessionState
    """Caches of the decoder."""

    def noise(self, decoder: GraphSpec) -> Latents:
        """Return the noise of the next chunk, float32 `[count, t, C, h, w]`, for the latents that a decoder takes."""
        height, width = self.size
        shape = decoder.data.resolve({"batch": 1, "height": height, "width": width})
        clips = [
            np.random.default_rng([self.seed, clip, self.chunk]).standard_normal(
                shape, dtype=np.float32
            )
            for clip in range(self.count)
        ]
        noise: Latents = np.stack(clips) * np.float32(self.temperature)
        return noise


def check_numbers(*, count: int, seed: int, temperature: float) -> None:
    """Refuse numbers that no stream can have.

    Raises:
        InputError: a count below 1, a seed below 0, or a temperature that is negative or not finite.
    """
    for name, value, least in (("count", count, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}: got {value}, expected at least {least}")
    if not 0.0 <= temperature < math.inf:
        raise InputError(f"temperature: got {temperature}, expected a finite number from 0 on")


def check_size(size: tuple[int, int], *, cell_px: int) -> None:
    """Refuse a height and width that no pictures of a model can have.

    Raises:
        InputError: they are not whole cells, or more than `MOST_PX`.
    """
    if min(size) < 1 or any(side % cell_px for side in size):
        raise InputError(
            f"size: got {size[1]}x{size[0]}, expected width and height in multiples of {cell_px}, whole cells"
        )
    if max(size) > MOST_PX:
        raise InputError(
            f"size: got {size[1]}x{size[0]}, expected at most {MOST_PX} a side; give a smaller one"
        )
