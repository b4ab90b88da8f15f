"""One turn of a subject: the same chunks streamed once more, its state carried on from the turn before.

call      numpy in, numpy out          clock of the host; a call returns when its result is there
device    the place's arrays in, out   marks between the calls, nothing waits until the turn is over:

    mark  encode 0  mark  decode 0  mark  encode 1  mark  decode 1  mark ...
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgevae.frames import Frames
from edgevae.runtime.session import Array
from edgevae_bench.gpu.place import HostPlace, Place

OPERATIONS = ("encode", "decode")

Samples = dict[str, list[float]]
"""Milliseconds of each chunk, by operation."""


class Turns:
    """The turns of an opened subject at one boundary.

    Args:
        codec: The subject; Any because its arrays are those of the place.
        place: Where its arrays are.
        chunks: Whole chunks `[T, H, W, 3]` of one size, an even number: a runtime that swaps two sets of buffers meets
            the same pair of chunk and set again, so that it can replay what it did.
    """

    def __init__(self, codec: Any, place: Place, chunks: Sequence[Frames]) -> None:
        self._codec, self._place = codec, place
        _, self._height, self._width, _ = chunks[0].shape
        self._frames = [place.put(chunk) for chunk in chunks]
        self._outs: list[tuple[Array | None, Array | None]] = []
        self._state = self._start()

    def turn(self) -> Samples:
        """Return the time of every chunk, encoded and decoded."""
        place = self._place
        place.mark()
        for index in range(len(self._frames)):
            latents, self._state = self._encode(index, self._state)
            place.mark()
            _, self._state = self._decode(index, latents, self._state)
            place.mark()
        laps = place.laps_ms()
        return {"encode": laps[::2], "decode": laps[1::2]}

    def once(self) -> tuple[np.ndarray, np.ndarray]:
        """Return latents `[t, C, h, w]` and frames `[T, H, W, 3]` of the chunks, streamed from a new start."""
        latents, frames, state = [], [], self._start()
        for index in range(len(self._frames)):
            z, state = self._encode(index, state)
            y, state = self._decode(index, z, state)
            latents.append(self._place.get(z).copy())
            frames.append(self._place.get(y).copy())
        return np.concatenate(latents), np.concatenate(frames)

    def _start(self) -> Any:  # Any: the codec's own
        return self._codec.stream(height=self._height, width=self._width)

    def _encode(self, index: int, state: Any) -> tuple[Array, Any]:  # Any: the codec's own
        out, _ = self._out(index)
        result: tuple[Array, Any] = self._codec.encode_chunk(
            self._frames[index], state, out=out, stream=self._place.stream
        )
        return result

    def _decode(self, index: int, latents: Array, state: Any) -> tuple[Array, Any]:  # Any: likewise
        _, out = self._out(index)
        result: tuple[Array, Any] = self._codec.decode_chunk(
            latents, state, out=out, stream=self._place.stream
        )
        return result

    def _out(self, index: int) -> tuple[Array | None, Array | None]:
        """Return where the latents and frames of a chunk go: the same arrays in every turn."""
        while len(self._outs) <= index:
            spec, frames = self._codec.spec, self._codec.chunk_frames
            cell_px, c = spec.spatial_factor, spec.latent_channels
            cells = (self._height // cell_px, self._width // cell_px)
            latents = (frames // spec.temporal_factor, c, *cells)
            self._outs.append(
                (
                    self._place.empty(latents, np.dtype(np.float32)),
                    self._place.empty((frames, self._height, self._width, 3), np.dtype(np.uint8)),
                )
            )
        return self._outs[index]


class CallPlace(HostPlace):
    """Host memory in which every call makes a new result, as most callers have it."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> None:  # type: ignore[override]  # None: the subject's own
        """Return None."""
