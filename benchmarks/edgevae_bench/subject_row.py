"""One subject at one case: what it is, what it costs to have, how the machine was while it ran."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgevae_bench.artefact import Artefact
from edgevae_bench.conditions import Conditions
from edgevae_bench.subjects import Subject
from edgevae_bench.work import Case

Status = Literal["measured", "missing", "failed"]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it takes to have a subject, from its own process."""

    import_ms: float
    """Time to import the library that does the arithmetic."""
    build_ms: float | None
    """Time to build what is cached afterwards: engines of TensorRT. None where nothing was built; `torch.compile`
    builds in its first call."""
    load_ms: float
    """Time to load the model after import and build, until the first call could come; with the runtime's checks of
    digests and golden vectors."""
    first_call_ms: float
    """Round trip of the first chunk."""
    rss_before_import_bytes: int | None
    """Resident memory of Python, numpy, the video reader and the clip's frames; None where there is no /proc."""
    peak_rss_bytes: int | None
    """Largest resident memory after the clip had been through once; None where there is no /proc."""
    device_peak_bytes: int | None
    """Most GPU memory that model, workspaces and buffers took, without the CUDA context; None on a CPU."""
    torch_loaded: bool
    """Whether PyTorch was in the process."""


@dataclass(frozen=True, kw_only=True)
class SubjectRow:
    """One subject at one case."""

    subject: Subject
    """What was asked for."""
    case: Case
    """Size and batch."""
    status: Status
    """missing: it cannot run here. failed: it began and did not end well; what it gave before is kept."""
    reason: str | None = None
    """Why it is missing or failed, and what mends it."""
    library_version: str | None = None
    """Of the library that does the arithmetic."""
    artefact: Artefact | None = None
    """The graphs or engines that ran."""
    cost: Cost | None = None
    """Time and memory to have it."""
    conditions: Conditions | None = None
    """Clocks, temperature and throttling while it was measured."""
    warm_up_turns: int = 0
    """Turns that were taken and thrown away."""
    is_steady: bool = False
    """Whether its times were steady after them."""
    turns: int = 0
    """Turns that were measured."""
    unmeasured: dict[str, str] = field(default_factory=dict)
    """Boundaries, and `energy`, that could not be measured, with the reason."""
