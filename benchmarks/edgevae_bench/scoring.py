"""What each subject makes of a clip, compared with the source and with the reference subject, chunk by chunk."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.frames import Frames
from edgevae.spec import VaeSpec
from edgevae_bench import perceptual
from edgevae_bench.clip import Clip, parts
from edgevae_bench.quality import FrameScore, Pair, psnr_db, score_frames, summarise
from edgevae_bench.result import QualityRow
from edgevae_bench.work import Case

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
    """Of the reconstruction; infinite where it is equal."""
    source: Frames
    """`[H, W, 3]`."""
    reconstruction: Frames
    """`[H, W, 3]`."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """What a subject made of a clip: `frames-N.npy` and `latents-N.npy` of every chunk, from 1 on, in a folder."""

    folder: Path
    """Where they are."""
    chunks: int
    """How many."""
    nonfinite_latents: int
    """Latent values that were NaN or infinite."""

    def files(self, kind: str) -> list[Path]:
        """Return the files of `frames` or `latents`, in order."""
        return [self.folder / f"{kind}-{number}.npy" for number in range(1, self.chunks + 1)]

    def frames(self) -> Iterator[Frames]:
        """Yield the frames of each chunk `[n, H, W, 3]`, in order."""
        return map(np.load, self.files("frames"))

    def remove(self) -> None:
        """Remove the files."""
        for path in (*self.files("frames"), *self.files("latents")):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A subject's rows, and frames for the picture."""

    rows: tuple[QualityRow, ...]
    """Against the source, and against the reference where there is one."""
    shown: tuple[Shown, ...]
    """The first, the worst and the last frame against the source."""
    notes: tuple[str, ...]
    """What the video reader assumed or lost."""


def score(
    subject: str,
    made: Reconstruction,
    *,
    clip: Clip,
    case: Case,
    spec: VaeSpec,
    chunk_frames: int,
    reference: tuple[str, Reconstruction] | None,
    workers: int,
) -> Scored:
    """Return how near a reconstruction is to the source and to the reference's; memory does not grow with the clip.

    Args:
        subject: Whose.
        made: What it made.
        clip: What it was made from.
        case: Size and batch.
        spec: Of the model.
        chunk_frames: Frames of one chunk.
        reference: Name and reconstruction of the subject to compare with; None for none.
        workers: Threads that compare.
    """
    notes: list[str] = []
    shown: tuple[Shown, ...] = ()
    tallies = {SOURCE: _Tally()} | ({} if reference is None else {reference[0]: _Tally()})
    first = 0
    with ThreadPoolExecutor(workers) as pool:
        sources = parts(clip, chunk_frames=chunk_frames, notes=notes)
        for number, source in enumerate(sources, start=1):
            frames = np.load(made.folder / f"frames-{number}.npy")
            others = {SOURCE: source}
            if reference is not None:
                others[reference[0]] = np.load(reference[1].folder / f"frames-{number}.npy")
            jobs = {n: pool.submit(tallies[n].added, other, frames) for n, other in others.items()}
            tallies = {name: job.result() for name, job in jobs.items()}
            shown = pick_shown(shown, source, frames, first_index=first)
            first += len(source)
    apart = None if reference is None else _latents_apart(made, reference[1])
    rows = tuple(
        _row(subject, name, tally, made, case, spec, None if name == SOURCE else apart)
        for name, tally in tallies.items()
    )
    against: dict[str, Iterable[Frames]] = {SOURCE: parts(clip, chunk_frames=chunk_frames)}
    if reference is not None:
        against[reference[0]] = reference[1].frames()
    scored = (_with_vmaf(row, against[row.against], made) for row in rows)
    return Scored(rows=tuple(scored), shown=shown, notes=tuple(notes))


@dataclass(frozen=True)
class _Tally:
    """Scores of a clip so far; the next one is returned."""

    scores: tuple[FrameScore, ...] = ()
    previous: Pair | None = None
    lpips: tuple[float, ...] = ()

    def added(self, reference: Frames, other: Frames) -> _Tally:
        scores, previous = score_frames(reference, other, previous=self.previous)
        measure = perceptual.lpips_at(*reference.shape[1:3])
        lpips = () if isinstance(measure, str) else measure(reference, other)
        return _Tally((*self.scores, *scores), previous, (*self.lpips, *lpips))


def _row(
    subject: str,
    against: str,
    tally: _Tally,
    made: Reconstruction,
    case: Case,
    spec: VaeSpec,
    apart: float | None,
) -> QualityRow:
    lpips = perceptual.lpips_at(case.height_px, case.width_px)
    pixels = spec.temporal_factor * spec.spatial_factor**2
    return QualityRow(
        subject=subject,
        case=case,
        against=against,
        quality=summarise(tally.scores, chunk_frames=spec.temporal_factor),
        lpips=statistics.fmean(tally.lpips) if tally.lpips else None,
        vmaf=None,
        unavailable={"lpips": lpips} if isinstance(lpips, str) else {},
        latents_max_difference=apart,
        nonfinite_latents=made.nonfinite_latents,
        latents_bits_per_pixel=16 * spec.latent_channels / pixels,
    )


def _with_vmaf(row: QualityRow, reference: Iterable[Frames], made: Reconstruction) -> QualityRow:
    """Return a row with its VMAF, or with the reason why there is none."""
    _, why = perceptual.ffmpeg_with_vmaf()
    if why is not None:
        return dataclasses.replace(row, unavailable=row.unavailable | {"vmaf": why})
    try:
        value = perceptual.vmaf(reference, made.frames(), folder=made.folder)
    except EdgeVaeError as error:  # one figure is missing, not the subject
        return dataclasses.replace(row, unavailable=row.unavailable | {"vmaf": str(error)})
    return dataclasses.replace(row, vmaf=value)


def _latents_apart(made: Reconstruction, other: Reconstruction) -> float:
    def each() -> Iterator[float]:
        for one, two in zip(made.files("latents"), other.files("latents"), strict=True):
            yield float(np.abs(np.load(one) - np.load(two)).max())

    return max(each())


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
