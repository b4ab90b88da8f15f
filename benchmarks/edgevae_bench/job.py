"""What the process of a subject is told to open, and what it tells of that."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields

import numpy as np

from edgevae.errors import InputError
from edgevae.frames import Frames
from edgevae_bench.clip import Clip, parts
from edgevae_bench.subject_row import Cost
from edgevae_bench.subjects import Subject
from edgevae_bench.work import Boundary, Case

WORKING = {"working": True}
"""What a process says now and then before it answers."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process opens."""

    subject: Subject
    """The subject."""
    case: Case
    """Size and batch."""
    clip: Clip
    """The frames, of the case's size."""
    frames_per_s: float | None
    """Of the clip; None for a still image."""
    chunks: int
    """How many chunks the clock runs over."""
    boundaries: tuple[Boundary, ...]
    """What is to be timed."""
    folder: str
    """Where its files go."""
    pause_ratio: float = 0.0
    """A pause after every call, as part of its time: a planted regression, for the checks of the benchmark itself."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What opening a subject took; the fields are those of `subject_row.Cost`."""

    library_version: str
    import_ms: float
    load_ms: float
    first_call_ms: float
    rss_before_import_bytes: int | None
    peak_rss_bytes: int | None
    device_peak_bytes: int | None
    torch_loaded: bool
    unmeasured: dict[str, str]
    """Boundaries that cannot be timed, with the reason."""

    def cost(self, *, build_ms: float | None) -> Cost:
        """Return it as the result has it.

        Args:
            build_ms: What building engines took.
        """
        own = {f.name: getattr(self, f.name) for f in fields(Cost) if f.name != "build_ms"}
        return Cost(**own, build_ms=build_ms)


def timed_chunks(job: Job) -> list[Frames]:
    """Return the chunks that the clock runs over, `[T, H, W, 3]`, or `[B, T, H, W, 3]` where clip b begins b chunks
    later.

    Raises:
        InputError: the clip is shorter than one chunk. One that is shorter than a turn begins again.
    """
    frames = job.subject.chunk_frames
    read = itertools.islice(parts(job.clip, chunk_frames=frames), job.chunks)
    whole = [chunk for chunk in read if len(chunk) == frames]
    if not whole:
        raise InputError(
            f"{job.clip.path}: fewer than the {frames} frames of one chunk; give a longer clip"
        )
    whole = [whole[index % len(whole)] for index in range(job.chunks)]
    batch = job.case.batch_clips
    if batch == 1:
        return whole
    return [
        np.stack([whole[(index + b) % len(whole)] for b in range(batch)])
        for index in range(len(whole))
    ]
