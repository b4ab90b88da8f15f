"""One turn of a subject: the same chunks once more, its state carried on from the turn before.

    graph     the graphs alone           mark  E  mark  E  mark ...  mark  D  mark  D  mark
    call      each waited for            E  wait  E  wait ...        D  wait  D  wait
    stream    nothing waits              mark  E  mark  D  mark  E  mark  D  mark ...

Two chunks come before every turn and are thrown away: they meet caches that another process has filled, and a GPU that
has just switched to this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from edgevae.frames import Frames
from edgevae.runtime.session import Array
from edgevae_bench.place import Place
from edgevae_bench.work import Operation

Samples = dict[Operation, list[float]]
"""Milliseconds of each chunk, by operation; the round trip of a chunk is the sum of its two."""

Calls: TypeAlias = tuple[Callable[[], object], Callable[[], object]]
"""What runs the encoder and the decoder once."""

PRELUDE_CHUNKS = 2
"""Thrown away before every turn; even, see `Turns`."""


class Turns:
    """The turns of an opened subject at the boundaries call and stream.

    Args:
        codec: The subject; Any because its arrays are those of the place.
        place: Where its arrays are.
        chunks: Whole chunks `[T, H, W, 3]` or `[B, T, H, W, 3]` of one size, an even number: a runtime that swaps two
            sets of buffers meets the same pair of chunk and set again, so that it can replay what it did.
    """

    def __init__(self, codec: Any, place: Place, chunks: Sequence[Frames]) -> None:
        self._codec, self._place = codec, place
        *batch, _, self._height, self._width, _ = chunks[0].shape
        self._batch = tuple(batch)
        self._frames = [place.put(chunk) for chunk in chunks]
        self._outs: list[tuple[Array | None, Array | None]] = []
        self._kept: list[Array] = []
        self._state = codec.stream(
            height=self._height, width=self._width, batch=batch[0] if batch else 1
        )

    def first(self) -> None:
        """Encode and decode the first chunk, and wait for it."""
        self._decode(0, self._encode(0))
        self._place.wait()

    def stream(self) -> Samples:
        """Return the time of every chunk, encoded and decoded in turn."""
        place = self._place
        self._prelude()
        place.mark()
        for index in range(len(self._frames)):
            latents = self._encode(index)
            place.mark()
            self._decode(index, latents)
            place.mark()
        laps = place.laps_ms()
        return {"encode": laps[::2], "decode": laps[1::2]}

    def call(self) -> Samples:
        """Return the time of every chunk, all encoded and then all decoded, each waited for."""
        self._prelude()
        self._place.wait()
        latents: list[Array] = []
        encode = self._clocked(lambda index: latents.append(self._encode(index)))
        decode = self._clocked(lambda index: self._decode(index, latents[index]))
        return {"encode": encode, "decode": decode}

    def run(self, operation: Operation) -> int:
        """Run one operation on all chunks, wait for it, and return how many frames of all clips that were."""
        count = range(len(self._frames))
        if operation != "decode" or not self._kept:
            self._kept = []
            for index in count:
                self._kept.append(self._encode(index))
                if operation == "round_trip":
                    self._decode(index, self._kept[index])
        if operation == "decode":
            for index in count:
                self._decode(index, self._kept[index])
        self._place.wait()
        clips: int = (self._batch or (1,))[0]
        return len(count) * int(self._codec.chunk_frames) * clips

    def latents(self) -> np.ndarray:
        """Return the latents of the first chunk, in host memory."""
        return np.array(self._place.get(self._encode(0)))

    def _prelude(self) -> None:
        for index in range(PRELUDE_CHUNKS):
            self._decode(index, self._encode(index))

    def _clocked(self, work: Callable[[int], object]) -> list[float]:
        marks = [time.perf_counter_ns()]
        for index in range(len(self._frames)):
            work(index)
            self._place.wait()
            marks.append(time.perf_counter_ns())
        return [(after - before) / 1e6 for before, after in pairwise(marks)]

    def _encode(self, index: int) -> Array:
        out, _ = self._out(index)
        latents, self._state = self._codec.encode_chunk(
            self._frames[index], self._state, out=out, stream=self._place.stream
        )
        return latents

    def _decode(self, index: int, latents: Array) -> Array:
        _, out = self._out(index)
        frames, self._state = self._codec.decode_chunk(
            latents, self._state, out=out, stream=self._place.stream
        )
        return frames

    def _out(self, index: int) -> tuple[Array | None, Array | None]:
        """Return where the latents and frames of a chunk go: the same arrays in every turn."""
        while len(self._outs) <= index:
            spec, frames = self._codec.spec, self._codec.chunk_frames
            cell_px, c = spec.spatial_factor, spec.latent_channels
            steps, h, w = (
                frames // spec.temporal_factor,
                self._height // cell_px,
                self._width // cell_px,
            )
            sizes = (frames, self._height, self._width, 3)
            self._outs.append(
                (
                    self._place.empty((*self._batch, steps, c, h, w), np.dtype(np.float32)),
                    self._place.empty((*self._batch, *sizes), np.dtype(np.uint8)),
                )
            )
        return self._outs[index]


class GraphTurns:
    """The turns of a subject's two graphs by themselves.

    Args:
        place: Whose clock runs.
        calls: What runs the encoder and the decoder once, on inputs that are in place.
        chunks: How often each runs in a turn.
        within: What must be entered around a turn: a CUDA context.
    """

    def __init__(
        self,
        place: Place,
        calls: Calls,
        chunks: int,
        *,
        within: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._place, self._calls, self._chunks, self._within = place, calls, chunks, within

    def graph(self) -> Samples:
        """Return the time of every run, the encoder's first."""
        return {"encode": self._laps(self._calls[0]), "decode": self._laps(self._calls[1])}

    def _laps(self, run: Callable[[], object]) -> list[float]:
        place = self._place
        with self._within():
            for _ in range(PRELUDE_CHUNKS):
                run()
            place.mark()
            for _ in range(self._chunks):
                run()
                place.mark()
        return place.laps_ms()
