"""What each subject makes of a clip, compared with the source and with the baseline while the clip streams by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.frames import Frames, Latents
from edgevae_bench.quality import FrameScore, Pair, Quality, psnr_db, score_frames, summarise
from edgevae_bench.subjects import AnyCodec

SOURCE = "source"
"""The reference that is not a subject: the frames that went in."""


@dataclass(frozen=True)
class Shown:
    """A frame for the picture."""

    title: str
    """Why it is shown."""
    index: int
    """Its number in the clip."""
    psnr_db: float
    """Of the reconstruction."""
    source: Frames
    """`[H, W, 3]`."""
    reconstruction: Frames
    """`[H, W, 3]`."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One subject's reconstruction against a reference, while the clip streams by; the next one is returned."""

    scores: tuple[FrameScore, ...] = ()
    """One per frame so far."""
    previous: Pair | None = None
    """The last frames."""
    latents_max_difference: float = 0.0
    """From the reference's latents, where it has any."""

    def quality(self, *, chunk_frames: int) -> Quality:
        """Return the figures of the clip."""
        return summarise(self.scores, chunk_frames=chunk_frames)


@dataclass(frozen=True)
class Streamed:
    """What one subject made of a chunk."""

    latents: Latents
    frames: Frames
    state: Any  # Any: a state of the subject's own, see subjects.AnyCodec


def compare_subjects(
    codecs: Mapping[str, AnyCodec],
    chunks: Iterable[Frames],
    *,
    baseline: str | None,
    workers: int = 1,
    on_chunk: Callable[[Frames, Mapping[str, Frames]], object] = lambda source, frames: None,
) -> dict[tuple[str, str], Comparison]:
    """Stream a clip through every subject and return the comparisons by (subject, reference).

    The reference is `SOURCE`, and for all but the baseline the baseline too. Only the scores grow with the clip.

    Args:
        codecs: By name, opened.
        chunks: `[n, H, W, 3]`; the last one may be short.
        baseline: Name of the subject that is a reference; None for none.
        workers: Threads that compare; the subjects themselves run one after the other.
        on_chunk: Called with each chunk and what each subject made of it.

    Raises:
        EdgeVaeError: a subject's latents are not all finite.
    """
    against: dict[tuple[str, str], Comparison] = {(name, SOURCE): Comparison() for name in codecs}
    if baseline is not None:
        against |= {(name, baseline): Comparison() for name in codecs if name != baseline}
    made: dict[str, Streamed] = {}
    with ThreadPoolExecutor(workers) as pool:
        for source in chunks:
            made = {
                name: _stream(name, codec, source, made.get(name)) for name, codec in codecs.items()
            }
            jobs = {
                (name, reference): pool.submit(
                    _add, comparison, made[name], source, made.get(reference)
                )
                for (name, reference), comparison in against.items()
            }
            against = {names: job.result() for names, job in jobs.items()}
            on_chunk(source, {name: streamed.frames for name, streamed in made.items()})
    return against


def pick_shown(
    shown: Sequence[Shown], source: Frames, frames: Frames, *, first_index: int
) -> tuple[Shown, ...]:
    """Return the first, the worst and the last frame so far, given those before this chunk.

    Args:
        shown: What the call before returned; empty at the start.
        source: `[n, H, W, 3]`.
        frames: The reconstruction, of the same shape.
        first_index: Number of the chunk's first frame in the clip.
    """
    mse = np.square(frames.astype(np.float32) - source).mean(axis=(1, 2, 3))
    here = [
        _shown("", first_index + i, float(mse[i]), source[i], frames[i]) for i in range(len(source))
    ]
    worst = min([*shown[1:2], *here], key=lambda one: one.psnr_db)
    titled = zip(
        ("first", "worst", "last"), (shown[0] if shown else here[0], worst, here[-1]), strict=True
    )
    return tuple(dataclasses.replace(one, title=title) for title, one in titled)


def _shown(title: str, index: int, mse: float, source: Frames, frames: Frames) -> Shown:
    return Shown(title, index, psnr_db(mse), source.copy(), frames.copy())


def _stream(name: str, codec: AnyCodec, source: Frames, before: Streamed | None) -> Streamed:
    state = (
        codec.stream(height=source.shape[1], width=source.shape[2])
        if before is None
        else before.state
    )
    latents, state = codec.encode_chunk(source, state)
    bad = latents.size - int(np.isfinite(latents).sum())
    if bad:
        raise EdgeVaeError(
            f"{name}: {bad} of {latents.size} latents of a chunk are NaN or infinite; export with another precision"
        )
    frames, state = codec.decode_chunk(latents, state)
    return Streamed(latents, frames[: len(source)], state)


def _add(
    comparison: Comparison, made: Streamed, source: Frames, other: Streamed | None
) -> Comparison:
    """Return the comparison with one chunk more: against what another subject made of it, or against the source."""
    reference = source if other is None else other.frames
    scores, previous = score_frames(reference, made.frames, previous=comparison.previous)
    apart = 0.0 if other is None else float(np.abs(made.latents - other.latents).max())
    return Comparison(
        scores=(*comparison.scores, *scores),
        previous=previous,
        latents_max_difference=max(comparison.latents_max_difference, apart),
    )
