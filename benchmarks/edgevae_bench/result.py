"""What a benchmark found, as data: the rows of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgevae.spec import Precision
from edgevae_bench.clip import ClipFacts
from edgevae_bench.clock import Latency
from edgevae_bench.environment import Environment
from edgevae_bench.memory import ProcessFigures
from edgevae_bench.quality import Quality

SCHEMA, SCHEMA_VERSION = "edgevae-benchmark", 1

Operation = Literal["encode", "decode", "round_trip"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What was done in one sample. Two times may be divided by each other only where all of this is equal."""

    boundary: Literal["stream"]
    """Where the clock starts and stops. stream: host array in to host array out, one chunk with its state."""
    operation: Operation
    """encode: frames to latents. decode: latents to frames. round_trip: the one and then the other."""
    device: str
    """Where it ran."""
    precision: Precision
    """Of the arithmetic."""
    threads: int
    """CPU threads."""
    batch_clips: int
    """Clips side by side."""
    chunk_frames: int
    """Frames of one sample."""
    height_px: int
    """Of the frames."""
    width_px: int
    """Of the frames."""
    frames_dtype: Literal["uint8"]
    """Element type of the frames at the boundary."""
    latents_dtype: Literal["float32"]
    """Element type of the latents at the boundary."""


@dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """Time of one operation of one subject."""

    subject: str
    """Whose."""
    work: Work
    """What was done."""
    latency: Latency
    """How long one chunk took."""
    frames_per_s: float
    """Frames of a chunk divided by the median."""
    speedup_ratio: float | None
    """Median of the baseline divided by this median: above 1 is faster. None where it may not be claimed."""
    no_speedup_reason: str | None
    """Why there is no ratio."""


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """How near one subject's reconstruction is to a reference."""

    subject: str
    """Whose."""
    against: str
    """`source`, or the subject whose reconstruction is the reference."""
    quality: Quality
    """The figures."""
    latents_max_difference: float | None
    """Largest difference of a latent from the reference subject's, in unit scale; None against the source."""
    nonfinite_latents: int
    """Latent values that are NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class ProcessRow:
    """What one subject costs in a process of its own."""

    subject: str
    """Whose."""
    process: ProcessFigures
    """The figures."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What was measured."""

    name: str
    """Of the model."""
    bundle_sha256: str
    """Digest of the bundle."""
    checkpoint_sha256: str | None
    """Digest of the weights that the baseline ran; None without a baseline."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything that a run found."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`; raised when a key changes its meaning or goes."""
    created_utc: str
    """ISO 8601."""
    command: tuple[str, ...]
    """The command line."""
    environment: Environment
    """The machine and its software."""
    model: ModelFacts
    """The model."""
    clip: ClipFacts
    """The frames."""
    rounds: int
    """Samples of each latency row."""
    warm_up_rounds: int
    """Rounds that were run before and thrown away."""
    seed: int
    """Of the order within the rounds."""
    latency: tuple[LatencyRow, ...]
    """One per subject and operation."""
    quality: tuple[QualityRow, ...]
    """One per subject against the source, and one per other subject against the baseline."""
    process: tuple[ProcessRow, ...]
    """One per subject."""
    warnings: tuple[str, ...]
    """What a reader must know before believing the figures."""
