"""What the GPU benchmark found, as data; what is written after every round and read again to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgevae.cuda.probe import Gpu
from edgevae_bench.environment import Environment
from edgevae_bench.subjects import Subject

SCHEMA, SCHEMA_VERSION = "edgevae-gpu-benchmark", 1

Boundary = Literal["call", "device", "bare"]
"""call: numpy in, numpy out. device: arrays on the device, no copy. bare: the engine by itself, on the device."""

BOUNDARIES: tuple[Boundary, ...] = ("device", "call", "bare")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a subject is and takes, from its own process."""

    library_version: str
    """Of the library that does the arithmetic."""
    load_ms: float
    """Time to open it, library imported; with engines in the cache, else with their build."""
    device_peak_bytes: int | None
    """Most device memory that model, workspaces and buffers took, without the CUDA context; None on a CPU."""
    host_peak_bytes: int | None
    """Largest resident memory of the process; None where there is no /proc."""
    torch_loaded: bool
    """Whether PyTorch was in the process."""
    boundaries: tuple[str, ...]
    """Where it can be timed."""
    no_bare_reason: str | None = None
    """On TensorRT: why its bare engine cannot be timed."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far a subject's round trip is from that of PyTorch fp32, on the timed frames."""

    psnr_db: float | None
    """PSNR of the frames; None where they are equal."""
    max_levels: int
    """Largest difference of a value, 0..255."""
    latents_max_difference: float
    """Largest difference of a latent, in unit scale."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject."""

    subject: Subject
    """What was asked for."""
    status: Literal["measured", "missing", "failed"]
    """missing: it cannot run here. failed: it began and did not end well; what it gave before is kept."""
    reason: str | None = None
    """Why it is missing or failed, and what mends it."""
    facts: Facts | None = None
    """None where it is missing or failed before."""
    parity: Parity | None = None
    """None for the reference itself, and without it."""
    warm_up_turns: int = 0
    """Turns that were taken and thrown away."""
    is_steady: bool = False
    """Whether its times were steady after them."""
    samples_ms: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Time of every chunk by boundary and operation: `device encode`."""

    def turns(self, chunks: int) -> int:
        """Return how many turns of so many chunks it has taken."""
        return len(self.samples_ms.get("device encode", ())) // chunks


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured on what; a run that was broken off goes on only where all of it is the same."""

    model: str
    """Name of the model."""
    bundle_sha256: str
    """Its digest."""
    checkpoint_sha256: str | None
    """Digest of the weights that PyTorch runs; None without PyTorch."""
    clip: str
    """Name of the video file."""
    height_px: int
    """Of the frames."""
    width_px: int
    """Of the frames."""
    chunk_frames: int
    """Frames of a call."""
    chunks: int
    """Calls of a turn."""
    device: str
    """`cpu` or `cuda:N`."""
    gpu: Gpu | None
    """The GPU; None on a CPU."""
    subjects: tuple[str, ...]
    """Names of what was asked for."""
    interleaved: bool
    """Whether the subjects took turns; else one ran after the other, each alone in memory."""
    seed: int
    """Of the order of the turns."""
    environment: Environment
    """The machine and its software."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that a run found so far."""

    created_utc: str
    """When it began; ISO 8601."""
    is_complete: bool
    """Whether all rounds were run."""
    rounds: int
    """Turns that every subject was to take at each boundary."""
    setting: Setting
    """What was measured on what."""
    rows: tuple[Row, ...]
    """One per subject; the reference first."""
