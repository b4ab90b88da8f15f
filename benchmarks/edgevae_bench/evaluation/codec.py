"""What an evaluation needs of a model, and a clip streamed through several at once, scored while it streams by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.frames import Frames, Latents
from edgevae.spec import VaeSpec
from edgevae_bench.evaluation.result import Score, score_of
from edgevae_bench.quality import FrameScore, Pair, score_frames, summarise
from edgevae_bench.sharpness import MIN_SIDE_PX, Powers, band_powers, sharpness_db

State = Any  # of a model's own: it goes nowhere but back into it


class Codec(Protocol):
    """A model that encodes and decodes chunk by chunk; `edgevae.Vae` is one. Arrays are in host memory."""

    @property
    def spec(self) -> VaeSpec:
        """Factors, state, halo and normalisation."""

    @property
    def chunk_frames(self) -> int:
        """T: the frames that one call takes."""

    def stream(self, *, height: int, width: int, batch: int = 1) -> State:
        """Return the state of a stream at its first frame; height and width in pixels."""

    def encode_chunk(self, frames: Frames, state: State) -> tuple[Latents, State]:
        """Return latents float32 `[t, C, h, w]` of frames uint8 `[T, H, W, 3]`, and the next state."""

    def decode_chunk(self, latents: Latents, state: State) -> tuple[Frames, State]:
        """Return frames uint8 `[T, H, W, 3]` of latents, and the next state."""


@dataclass(frozen=True)
class Tally:
    """Scores of a clip against its source so far; the next one is returned."""

    scores: tuple[FrameScore, ...] = ()
    """One a frame."""
    previous: Pair | None = None
    """The last frames of both."""
    powers: tuple[Powers, Powers] | None = None
    """Of the source and of what was made of it (`sharpness.band_powers`); None where frames are too small."""

    def add(self, source: Frames, made: Frames) -> Tally:
        """Return the tally with another part of the clip, `[n, H, W, 3]` on both sides."""
        scores, previous = score_frames(source, made, previous=self.previous)
        powers = self.powers
        if min(source.shape[1:3]) >= MIN_SIDE_PX:
            now = band_powers(source), band_powers(made)
            powers = now if powers is None else (powers[0] + now[0], powers[1] + now[1])
        return Tally((*self.scores, *scores), previous, powers)

    def score(self, *, period: int) -> Score:
        """Return the score of all parts.

        Args:
            period: Frames of a latent step: a chunk boundary lies before each frame whose index is a multiple of it.
        """
        sharpness = None if self.powers is None else sharpness_db(*self.powers)
        return score_of(summarise(self.scores, chunk_frames=period), sharpness_db=sharpness)


def encode(codec: Codec, chunks: Iterable[Frames]) -> Latents:
    """Return the latents `[t, C, h, w]` of a whole clip.

    Raises:
        EdgeVaeError: not all of them are finite.
    """
    parts, state = list[Latents](), None
    for chunk in chunks:
        if state is None:
            state = codec.stream(height=chunk.shape[1], width=chunk.shape[2])
        latents, state = codec.encode_chunk(chunk, state)
        parts.append(_require_finite("model", latents))
    return np.concatenate(parts)


def score_clip(
    codecs: Mapping[str, Codec],
    chunks: Iterable[Frames],
    *,
    workers: int,
    on_chunk: Callable[[Frames, Mapping[str, Frames]], object],
) -> dict[str, Tally]:
    """Stream a clip through every codec and return the scores by name; only they grow with the clip.

    Args:
        codecs: By name.
        chunks: `[n, H, W, 3]`; the last one may be short.
        workers: Threads that compare; the codecs themselves run one after the other.
        on_chunk: Called with each chunk and what each codec made of it.

    Raises:
        EdgeVaeError: a codec's latents are not all finite.
    """
    tallies, states = dict.fromkeys(codecs, Tally()), dict[str, State]()
    with ThreadPoolExecutor(workers) as pool:
        for source in chunks:
            made = {}
            for name, codec in codecs.items():
                if name not in states:
                    states[name] = codec.stream(height=source.shape[1], width=source.shape[2])
                latents, state = codec.encode_chunk(source, states[name])
                frames, states[name] = codec.decode_chunk(_require_finite(name, latents), state)
                made[name] = frames[: len(source)]
            jobs = {name: pool.submit(tallies[name].add, source, made[name]) for name in made}
            tallies = {name: job.result() for name, job in jobs.items()}
            on_chunk(source, made)
    return tallies


def _require_finite(name: str, latents: Latents) -> Latents:
    bad = latents.size - int(np.isfinite(latents).sum())
    if bad:
        raise EdgeVaeError(
            f"{name}: {bad} of {latents.size} latents of a chunk are NaN or infinite; export with another precision"
        )
    return latents
