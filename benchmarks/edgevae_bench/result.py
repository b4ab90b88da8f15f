"""What a benchmark found, as data: the rows of the report, and the schema of its JSON document.

    Result -- environment, model, clip, settings, ceilings
          +-- subjects   one per subject and case: what it is, what it costs to have, how it was while it ran
          +-- latency    one per subject, case, boundary and operation
          +-- quality    one per subject and case, against the source and against the reference
          +-- energy     one per subject, case and operation, where there is a meter
          +-- verdicts   one per row and gate

`benchmark.schema.json` is written from these classes by `python -m edgevae_bench.json_schema`.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgevae_bench.clip import ClipFacts
from edgevae_bench.environment import Environment
from edgevae_bench.latency import Latency
from edgevae_bench.quality import Quality
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.work import Boundary, Case, Work

SCHEMA, SCHEMA_VERSION = "edgevae-benchmark", 2


@dataclass(frozen=True, kw_only=True)
class LatencyRow:
    """Time of one operation of one subject at one boundary."""

    subject: str
    """Whose."""
    work: Work
    """What was done in one sample."""
    latency: Latency
    """How long one sample took."""
    frames_per_s: float
    """Frames of all samples divided by their time, over all clips of the batch."""
    megapixels_per_s: float
    """`frames_per_s` times the pixels of a frame, in millions."""
    realtime_ratio: float | None
    """`frames_per_s` divided by the clip's frame rate times the batch: above 1 keeps up. None for a still image."""
    speedup_ratios: dict[str, float]
    """Median of a PyTorch subject divided by this median, by subject: above 1 is faster. Only between equal work and
    frames that agree."""
    no_speedup_reason: str | None
    """Why there is no ratio to the reference; None where there is one."""
    roofline_ratio: float | None
    """Least time that the ceilings of this machine allow, divided by the median; at the boundary graph only."""


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """How near one subject's reconstruction is to a reference."""

    subject: str
    """Whose."""
    case: Case
    """Size and batch; the first clip of the batch is compared."""
    against: str
    """`source`, or the subject whose reconstruction is the reference."""
    quality: Quality
    """The figures."""
    lpips: float | None
    """Mean LPIPS (AlexNet), 0 is equal; None where it is not available."""
    vmaf: float | None
    """Mean VMAF, 0..100; None where it is not available."""
    unavailable: dict[str, str]
    """Metrics that are not available, with the reason."""
    latents_max_difference: float | None
    """Largest difference of a latent from the reference subject's, in unit scale; None against the source."""
    nonfinite_latents: int
    """Latent values that are NaN or infinite; they were decoded as 0."""
    latents_bits_per_pixel: float
    """Bits of the latents per pixel of the frames, as latents files store them (float16, not compressed)."""


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """Energy of one operation of one subject, run without a pause."""

    subject: str
    """Whose."""
    work: Work
    """What was done."""
    joules_per_frame: float
    """Energy of the meter divided by frames; what the machine takes when idle is in it."""
    power_w: float
    """Mean power meanwhile."""
    idle_power_w: float | None
    """Mean power of the same meter before, with the subject open and idle."""
    seconds: float
    """How long it ran."""
    meter: str
    """What was read, and what of the machine it covers."""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The most that this machine was seen to do in one precision, measured before the subjects."""

    device: str
    """`cpu` or `cuda:N`."""
    precision: str
    """Of the arithmetic."""
    compute_gflop_per_s: float | None
    """Attained by the best of the kernels that were tried; None where none could be."""
    compute_kernel: str
    """Which kernel that was, or why there is none."""
    bandwidth_gb_per_s: float | None
    """Bytes read and written by a large copy, per second; None where it could not be measured."""
    bandwidth_kernel: str
    """How it was copied, or why not."""


@dataclass(frozen=True, kw_only=True)
class Gates:
    """Limits that the user set; a row that misses one makes the exit code 3."""

    min_psnr_db: float | None = None
    """Least PSNR of a reconstruction against the source."""
    max_p99_ms: float | None = None
    """Longest 99th percentile of a call, of each operation, with arrays on the host."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether one row keeps one gate."""

    subject: str
    """Whose."""
    case: Case
    """Size and batch."""
    gate: str
    """`min_psnr_db`, `max_p99_ms`, or `finite_latents`, which needs no limit of the user's."""
    what: str
    """What was held against it, in words."""
    limit: float
    """The gate."""
    value: float | None
    """What was found; None where frames are equal, whose PSNR is infinite."""
    passed: bool
    """Whether it is kept."""
    decides: bool
    """Whether it makes the exit code: only rows of edgevae's own backends do, PyTorch and peers are to compare with."""
    note: str | None = None
    """What makes the verdict doubtful."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What was measured."""

    name: str
    """Of the model."""
    bundle_sha256: str
    """Digest of the bundle."""
    checkpoint_sha256: str | None
    """Digest of the weights that PyTorch ran; None without PyTorch."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How it was measured; a run that was broken off goes on only where all of it is the same."""

    cases: tuple[Case, ...]
    """Sizes and batches."""
    subjects: tuple[str, ...]
    """Names of the subjects of each case, in order."""
    boundaries: tuple[Boundary, ...]
    """Where the clock was to start and stop."""
    device: str
    """`cpu` or `cuda:N`."""
    threads: int
    """CPU threads of every subject."""
    chunks: int
    """Chunks of one turn, each a sample."""
    rounds: int
    """Turns of every subject at each boundary."""
    file_rounds: int
    """Turns at the boundary file."""
    percentile: int
    """The percentile that the number of rounds was chosen for."""
    seed: int
    """Of the order in which subjects take turns."""
    is_interleaved: bool
    """Whether the subjects took turns; else one ran after the other, each alone in memory."""
    quality_frames: int | None
    """Frames to compare; None for all of the clip."""
    gates: Gates
    """Limits that the user set."""
    starts: int = 1
    """Processes of every subject, one after the other, each of which takes its share of the rounds."""

    def rounds_of(self, start: int) -> range:
        """Return the rounds that are the share of a start."""
        return range(self.rounds * start // self.starts, self.rounds * (start + 1) // self.starts)

    def has_file_turn(self, number: int) -> bool:
        """Return whether a round has a turn at the boundary file: they are spread evenly over the run."""
        count = self.file_rounds
        return bool(count) and (number * count) % self.rounds < count


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything that a run found."""

    schema: str
    """`SCHEMA`."""
    schema_version: int
    """`SCHEMA_VERSION`; raised when a key changes its meaning or goes."""
    created_utc: str
    """When it began; ISO 8601."""
    command: tuple[str, ...]
    """The command line."""
    is_complete: bool
    """Whether every turn was taken; false while it runs, and where it was broken off."""
    samples_file: str | None
    """Name of the JSONL file beside the document with every sample; None where none is kept."""
    environment: Environment
    """The machine and its software."""
    model: ModelFacts
    """The model."""
    clip: ClipFacts
    """The frames."""
    settings: Settings
    """How it was measured."""
    ceilings: tuple[Ceiling, ...]
    """What the machine can do."""
    subjects: tuple[SubjectRow, ...]
    """One per subject and case."""
    latency: tuple[LatencyRow, ...]
    """One per subject, case, boundary and operation."""
    quality: tuple[QualityRow, ...]
    """One per subject and case against the source, and one more for each but the reference against that."""
    energy: tuple[EnergyRow, ...]
    """Where there is a meter."""
    verdicts: tuple[Verdict, ...]
    """One per row and gate."""
    warnings: tuple[str, ...]
    """What a reader must know before believing the figures."""
