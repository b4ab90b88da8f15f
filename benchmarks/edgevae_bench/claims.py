"""What may be claimed: speed-ups between equal work only, and warnings about all that makes a figure doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.errors import IncompatibleError, InputError
from edgevae.files import sha256
from edgevae_bench.clock import Latency, WarmUp
from edgevae_bench.environment import Environment
from edgevae_bench.result import LatencyRow, Operation, ProcessRow, QualityRow, Work
from edgevae_bench.subjects import BASELINE, AnyCodec, Subject

AGREE_DB = 40.0
"""PSNR between two reconstructions below which they do not come from one network, and no ratio is given."""

MAX_CV_RATIO = 0.1
"""Coefficient of variation above which a latency is called unsteady."""

BUSY = 0.5
"""Load average before the run above which the machine is called busy."""


def difference(work: Work, other: Work) -> str | None:
    """Return the first thing in which two pieces of work differ; None where a ratio of their times means something."""
    for field in fields(Work):
        mine, theirs = getattr(work, field.name), getattr(other, field.name)
        if mine != theirs:
            return f"{field.name} is {mine}, the baseline's is {theirs}"
    return None


def speedup(
    row: LatencyRow, baseline: LatencyRow | None, *, agreement_db: float | None
) -> LatencyRow:
    """Return the row with its ratio to the baseline, or with the reason why there is none.

    Args:
        row: Of a subject.
        baseline: Of the same operation; None where no baseline was measured.
        agreement_db: PSNR between the two reconstructions; None for the baseline itself, infinite where they are equal.
    """
    if baseline is None:
        return replace(
            row, no_speedup_reason="no PyTorch baseline was measured; give one with --against"
        )
    reason = difference(row.work, baseline.work)
    if reason is None and agreement_db is not None and not agreement_db >= AGREE_DB:
        reason = f"its frames are not the baseline's: {agreement_db:.1f} dB apart, expected at least {AGREE_DB:g}"
    if reason is not None:
        return replace(row, no_speedup_reason=reason)
    return replace(row, speedup_ratio=baseline.latency.median_ms / row.latency.median_ms)


def latency_rows(
    subjects: Sequence[Subject],
    latencies: Mapping[str, Mapping[Operation, Latency]],
    quality: Sequence[QualityRow],
    *,
    size_px: tuple[int, int],
) -> tuple[LatencyRow, ...]:
    """Return the rows, operation by operation, with the ratios that may be claimed.

    Args:
        subjects: All that were measured.
        latencies: By subject and operation.
        quality: With the rows against the baseline.
        size_px: (H, W) of the frames.
    """
    agreement = {row.subject: row.quality.psnr_db for row in quality if row.against == BASELINE}
    rows = {
        (s.name, op): _row(s, op, latency, size_px)
        for s in subjects
        for op, latency in latencies[s.name].items()
    }
    operations = dict.fromkeys(op for _, op in rows)
    return tuple(
        speedup(rows[s.name, op], rows.get((BASELINE, op)), agreement_db=agreement.get(s.name))
        for op in operations
        for s in subjects
    )


def require_source(bundle: Path, checkpoint: Path) -> str:
    """Return the digest of the checkpoint's weights if the bundle was exported from them.

    Raises:
        InputError: the checkpoint has no weights file.
        IncompatibleError: the bundle was exported from other weights: their times and frames are not comparable.
    """
    weights = checkpoint / "model.safetensors"
    if not weights.is_file():
        raise InputError(
            f"{checkpoint}: no {weights.name} in it; expected the checkpoint that the bundle was exported from"
        )
    found, expected = sha256(weights.read_bytes()), Bundle.open(bundle).manifest.checkpoint_sha256
    if found != expected:
        raise IncompatibleError(
            f"{checkpoint}: weights have sha256 {found[:12]}..., the bundle was exported from {expected[:12]}...; "
            "give that checkpoint to --against, or export this one"
        )
    return found


def require_same_spec(codecs: Mapping[str, AnyCodec]) -> None:
    """Return if all subjects have the same factors, state and normalisation.

    Raises:
        IncompatibleError: one has others, though its weights are the same: its `config.json` was changed.
    """
    (first, reference), *others = codecs.items()
    for name, codec in others:
        if codec.spec != reference.spec:
            raise IncompatibleError(
                f"{name}: factors, state or latent normalisation are not those of {first}; export the checkpoint again"
            )


def warnings(
    environment: Environment,
    warm: WarmUp,
    latency: Sequence[LatencyRow],
    processes: Sequence[ProcessRow],
    *,
    runtime: str,
) -> tuple[str, ...]:
    """Return what a reader must know before believing the figures, one sentence each."""
    found = []
    if (environment.load_average_1min or 0.0) > BUSY:
        found.append(
            f"the machine was busy before the run: load average {environment.load_average_1min} over one minute"
        )
    if warm.unsteady:
        found.append(
            f"after {warm.rounds} rounds of warm-up these still changed: {', '.join(warm.unsteady)}"
        )
    unsteady = [row for row in latency if row.latency.cv_ratio > MAX_CV_RATIO]
    if unsteady:
        each = ", ".join(
            f"{row.subject} {row.work.operation} {100 * row.latency.cv_ratio:.0f} %"
            for row in unsteady
        )
        found.append(
            f"unsteady, standard deviation above {100 * MAX_CV_RATIO:.0f} % of the mean: {each}"
        )
    for process in processes:
        if process.process.peak_rss_bytes is None:
            found.append(
                f"{process.subject}: no peak memory, this system has no /proc/self/status with VmHWM"
            )
        if process.subject == runtime and process.process.torch_loaded:
            found.append(f"{process.subject}: PyTorch was loaded in the runtime's process")
    return tuple(found)


def _row(
    subject: Subject, operation: Operation, latency: Latency, size_px: tuple[int, int]
) -> LatencyRow:
    work = Work(
        boundary="stream",
        operation=operation,
        device=subject.device,
        precision=subject.precision,
        threads=subject.threads,
        batch_clips=1,
        chunk_frames=subject.chunk_frames,
        height_px=size_px[0],
        width_px=size_px[1],
        frames_dtype="uint8",
        latents_dtype="float32",
    )
    return LatencyRow(
        subject=subject.name,
        work=work,
        latency=latency,
        frames_per_s=subject.chunk_frames / latency.median_ms * 1e3,
        speedup_ratio=None,
        no_speedup_reason=None,
    )
