"""What is to be measured, and what a run gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from edgevae.errors import InputError
from edgevae_bench.latency import samples_for
from edgevae_bench.result import Gates, Result
from edgevae_bench.samples import Sample
from edgevae_bench.scoring import Shown
from edgevae_bench.work import BOUNDARIES, Boundary

Progress: TypeAlias = Callable[[str, int, int], object]
"""Told what is being done, and how many turns of how many are over."""

FEWEST_ROUNDS, FILE_ROUNDS = 10, 5
"""Of every subject, where the user names no number; turns at the boundary file at most, beside others."""

STARTS = 3
"""Processes of every subject, where the user names no number; `compare` wants more."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to measure."""

    bundle: Path
    """The folder of the model."""
    checkpoint: Path | None
    """The folder of the weights that it was exported from, for PyTorch; None for none."""
    video: Path
    """The file whose frames are used."""
    threads: int
    """CPU threads of every subject."""
    sizes_px: tuple[tuple[int, int], ...] = ()
    """(H, W) to resize the frames to; none stands for the file's own."""
    batches: tuple[int, ...] = (1,)
    """Clips side by side."""
    backends: tuple[str, ...] = ("auto",)
    """Names of `selection.BACKENDS`, `auto` for the runtime's own choice, or `all`."""
    precisions: tuple[str, ...] = ()
    """Of the arithmetic; none stands for what suits the device."""
    device: str = "auto"
    """As `edgevae.load` takes it."""
    boundaries: tuple[Boundary, ...] = BOUNDARIES
    """Where the clock starts and stops."""
    max_frames: int | None = None
    """Frames to reconstruct and compare; None for all of the clip."""
    rounds: int | None = None
    """Turns of each subject at each boundary; None for as many as the percentile needs."""
    starts: int | None = None
    """Processes of each subject, one after the other; None for `STARTS`, or as many as there are rounds."""
    percentile: int = 90
    """The highest percentile that is to be more than the maximum."""
    max_chunks: int = 8
    """Chunks of a turn, at most; even."""
    max_warm_up_turns: int = 20
    """Bound of the warm-up."""
    is_interleaved: bool | None = None
    """Whether all subjects of a case are open and take turns; None: not where GPU and CPU share their memory."""
    seed: int = 0
    """Of the order of the turns."""
    gates: Gates = field(default_factory=Gates)
    """Limits."""
    output: Path | None = None
    """Where the document goes; the samples go beside it."""
    is_resumed: bool = False
    """Whether to go on with what is in `output`."""
    pauses: tuple[tuple[str, float], ...] = ()
    """Subjects that are made slower, by which part: planted regressions, for the checks of the benchmark itself."""

    def __post_init__(self) -> None:
        for name, got, least in (("threads", self.threads, 1), ("chunks", self.max_chunks, 2)):
            if got < least:
                raise InputError(f"{name}: got {got}, expected at least {least}")
        if self.max_chunks % 2:
            raise InputError(f"chunks: got {self.max_chunks}, expected an even number")
        if self.rounds is not None and self.rounds < 1:
            raise InputError(f"rounds: got {self.rounds}, expected at least 1")
        if self.starts is not None and self.starts < 1:
            raise InputError(f"starts: got {self.starts}, expected at least 1")
        if not self.boundaries:
            raise InputError(f"boundary: got none, expected some of {', '.join(BOUNDARIES)}")
        self._require_limits()
        if self.gates.max_p99_ms is not None and "call" not in self.boundaries:
            raise InputError(
                "--max-p99-ms: is held against the boundary call, which is not measured; add it"
            )
        if self.boundaries == ("file",) and max(self.batches) > 1:
            raise InputError(
                f"--boundary file: a file is one clip, got --batch {max(self.batches)}; add a boundary or leave it out"
            )
        if self.is_resumed and self.output is None:
            raise InputError("--resume: there is nothing to go on with without --output")
        samples_for(self.percentile)  # a percentile that is not known is said now

    def _require_limits(self) -> None:
        """Refuse gates that no figure could be held against; `nan` is a number to the command line, too."""
        psnr_db, p99_ms = self.gates.min_psnr_db, self.gates.max_p99_ms
        if psnr_db is not None and not math.isfinite(psnr_db):
            raise InputError(f"--min-psnr: got {psnr_db}, expected a number of dB")
        if p99_ms is not None and not 0 < p99_ms < math.inf:
            raise InputError(f"--max-p99-ms: got {p99_ms}, expected milliseconds above 0")

    def rounds_of(self, chunks: int) -> int:
        """Return how many rounds are measured, with turns of so many chunks."""
        if self.rounds is not None:
            return self.rounds
        if self.boundaries == ("file",):
            return max(FILE_ROUNDS, self.starts or 0)
        return max(FEWEST_ROUNDS, -(-samples_for(self.percentile) // chunks), self.starts or 0)

    def file_rounds_of(self, rounds: int) -> int:
        """Return how many of the rounds have a turn at the boundary file: few, unless it is all that is wanted."""
        if "file" not in self.boundaries:
            return 0
        return rounds if self.boundaries == ("file",) else min(FILE_ROUNDS, rounds)

    def starts_of(self, rounds: int) -> int:
        """Return how many processes of each subject share that many rounds.

        Raises:
            InputError: the user wants more of them than rounds.
        """
        if self.starts is not None and self.starts > rounds:
            raise InputError(
                f"starts: got {self.starts} for {rounds} rounds, expected at most one for each; give more --rounds"
            )
        return min(STARTS, rounds) if self.starts is None else self.starts


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run gives."""

    result: Result
    """For the report."""
    shown: tuple[Shown, ...]
    """Frames for the picture, reconstructed by `shown_subject` at the first case; none where its turns were over."""
    shown_subject: str
    """The runtime's name."""
    samples: tuple[Sample, ...]
    """Of all latencies."""
