"""What may be claimed: speed-ups between equal work only, and warnings about all that makes a figure doubtful."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgevae_bench.clip import ClipFacts
from edgevae_bench.environment import Environment
from edgevae_bench.result import LatencyRow, QualityRow
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.subjects import REFERENCE
from edgevae_bench.work import Case

AGREE_DB = 40.0
"""PSNR between two reconstructions below which they do not come from one network, and no ratio is given."""

MAX_CV_RATIO = 0.1
"""Coefficient of variation above which a latency is called unsteady."""

BUSY = 0.5
"""Load average before the run above which the machine is called busy."""

MAX_STEAL_RATIO = 0.02
"""Part of the CPU time that a hypervisor may take before it is said."""

SHOWN = 5
"""Rows that a warning names."""

NO_BASELINE = "no PyTorch was measured; give the checkpoint with --against"


def with_speedups(
    rows: Sequence[LatencyRow], quality: Sequence[QualityRow]
) -> tuple[LatencyRow, ...]:
    """Return the rows with the ratios to PyTorch that may be claimed, or why there is none.

    Args:
        rows: Of all subjects.
        quality: With the rows against the reference.
    """
    return tuple(_with_speedup(row, rows, quality) for row in rows)


def _with_speedup(
    row: LatencyRow, rows: Sequence[LatencyRow], quality: Sequence[QualityRow]
) -> LatencyRow:
    baselines = [other for other in rows if other.subject.startswith("pytorch")]
    ratios, reasons = {}, list[str]()
    for base in baselines:
        if (base.work.case, base.work.boundary) != (row.work.case, row.work.boundary):
            continue
        if (base.work.operation, base.work.arrays) != (row.work.operation, row.work.arrays):
            continue
        reason = row.work.difference(base.work)
        for one in dict.fromkeys((row.subject, base.subject)):
            reason = reason or disagreement(one, row.work.case, quality)
        if reason is None:
            ratios[base.subject] = base.latency.median_ms / row.latency.median_ms
        else:
            reasons.append(f"{base.subject}: {reason}")
    why = "; ".join(reasons) if baselines else NO_BASELINE
    if baselines and not reasons and not ratios:
        why = "PyTorch has no figure for this work"
    return replace(row, speedup_ratios=ratios, no_speedup_reason=None if ratios else why)


def disagreement(subject: str, case: Case, quality: Sequence[QualityRow]) -> str | None:
    """Return why a subject's frames are not the reference's; None where they are, or it is the reference."""
    if subject == REFERENCE:
        return None
    for row in quality:
        if (row.subject, row.case, row.against) == (subject, case, REFERENCE):
            if row.nonfinite_latents:
                return f"{subject} has {row.nonfinite_latents} latents that are not finite"
            psnr = row.quality.psnr_db
            if psnr is None or psnr >= AGREE_DB:
                return None
            return f"its frames are not the reference's: {psnr:.1f} dB apart, expected at least {AGREE_DB:g}"
    return f"{subject} was not compared with {REFERENCE}"


def warnings(
    environment: Environment,
    subjects: Sequence[SubjectRow],
    latency: Sequence[LatencyRow],
    *,
    clip: ClipFacts,
    percentile: int,
) -> tuple[str, ...]:
    """Return what a reader must know before believing the figures, one sentence each.

    Args:
        environment: Before the run.
        clip: The frames.
        subjects: Of every case.
        latency: Of every subject.
        percentile: The highest that was to be more than the maximum.
    """
    found = []
    if (environment.load_average_1min or 0.0) > BUSY:
        found.append(
            f"the machine was busy before the run: load average {environment.load_average_1min} over one minute"
        )
    enlarged = dict.fromkeys(
        f"{row.case.width_px}x{row.case.height_px}"
        for row in subjects
        if row.case.width_px > clip.source_width_px or row.case.height_px > clip.source_height_px
    )
    if enlarged:
        found.append(
            f"the quality at {', '.join(enlarged)} is of frames enlarged from {clip.source_width_px}x"
            f"{clip.source_height_px}, which are easier than real ones of that size"
        )
    for row in subjects:
        found += [f"{row.subject.name} at {row.case}: {text}" for text in _doubts(row)]
    unsteady = [row for row in latency if row.latency.cv_ratio > MAX_CV_RATIO]
    if unsteady:
        each = _some([f"{_name(r)} {100 * r.latency.cv_ratio:.0f} %" for r in unsteady])
        found.append(
            f"unsteady, standard deviation above {100 * MAX_CV_RATIO:.0f} % of the mean: {each}"
        )
    # Of files there are few samples in every run; their percentiles have a mark.
    short = [
        r
        for r in latency
        if percentile in r.latency.undersampled_percentiles and r.work.boundary != "file"
    ]
    if short:
        each = _some([f"{_name(row)} ({row.latency.n})" for row in short])
        found.append(
            f"too few samples for the {percentile}th percentile, which is the maximum: {each}"
        )
    return tuple(found)


def _doubts(row: SubjectRow) -> Iterator[str]:
    if row.status == "measured" and not row.is_steady:
        yield f"its time still changed after {row.warm_up_turns} turns of warm-up"
    if row.subject.kind == "runtime" and row.cost is not None and row.cost.torch_loaded:
        yield "PyTorch was loaded in the runtime's process"
    if row.subject.backend == "onnxruntime" and (row.subject.device, row.subject.precision) == (
        "cpu",
        "fp16",
    ):
        yield "ONNX Runtime's CPU provider runs fp16 graphs in fp32 arithmetic"
    seen = row.conditions
    if seen is not None and seen.throttle_reasons:
        yield f"clocks were held down: {', '.join(seen.throttle_reasons)}"
    if seen is not None and (seen.steal_ratio or 0.0) > MAX_STEAL_RATIO:
        yield f"a hypervisor gave {100 * (seen.steal_ratio or 0.0):.0f} % of the CPU's time to others"


def _some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are: each row has its figure, a warning need not have all."""
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _name(row: LatencyRow) -> str:
    work = row.work
    return f"{row.subject} {work.case} {work.boundary}/{work.arrays} {work.operation}"
