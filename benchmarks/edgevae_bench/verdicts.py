"""Rows held against gates: what the user set, and that latents are finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgevae.errors import GateError
from edgevae_bench.result import Gates, LatencyRow, QualityRow, Result, Verdict
from edgevae_bench.scoring import SOURCE
from edgevae_bench.subject_row import SubjectRow


def judge(
    gates: Gates,
    subjects: Sequence[SubjectRow],
    latency: Sequence[LatencyRow],
    quality: Sequence[QualityRow],
) -> tuple[Verdict, ...]:
    """Return a verdict for every row and gate; those of the runtime's own backends decide."""
    own = {row.subject.name for row in subjects if row.subject.kind == "runtime"}
    return (
        *_of_quality(gates, quality, own),
        *_of_latency(gates, latency, own),
    )


def require_passed(result: Result) -> None:
    """Return if every verdict that decides is good.

    Raises:
        GateError: one is not; with each.
    """
    missed = [v for v in result.verdicts if v.decides and not v.passed]
    if missed:
        each = "; ".join(
            f"{v.subject} at {v.case}: {v.what} {_number(v.value)}, gate {v.gate} {v.limit:g}"
            for v in missed
        )
        raise GateError(f"benchmark: {len(missed)} of {len(result.verdicts)} gates missed: {each}")


def _of_quality(gates: Gates, quality: Sequence[QualityRow], own: set[str]) -> Iterator[Verdict]:
    for row in quality:
        if row.against != SOURCE:
            continue
        yield Verdict(
            subject=row.subject,
            case=row.case,
            gate="finite_latents",
            what="latents that are NaN or infinite",
            limit=0,
            value=row.nonfinite_latents,
            passed=row.nonfinite_latents == 0,
            decides=row.subject in own,
        )
        if gates.min_psnr_db is not None:
            psnr = row.quality.psnr_db
            yield Verdict(
                subject=row.subject,
                case=row.case,
                gate="min_psnr_db",
                what="PSNR against the source",
                limit=gates.min_psnr_db,
                value=psnr,
                passed=psnr is None or psnr >= gates.min_psnr_db,
                decides=row.subject in own,
            )


def _of_latency(gates: Gates, latency: Sequence[LatencyRow], own: set[str]) -> Iterator[Verdict]:
    if gates.max_p99_ms is None:
        return
    for row in latency:
        work, time = row.work, row.latency
        if (work.boundary, work.arrays) != ("call", "host") or work.operation == "round_trip":
            continue
        few = 99 in time.undersampled_percentiles
        yield Verdict(
            subject=row.subject,
            case=work.case,
            gate="max_p99_ms",
            what=f"p99 of {work.operation}",
            limit=gates.max_p99_ms,
            value=time.p99_ms,
            passed=time.p99_ms <= gates.max_p99_ms,
            decides=row.subject in own,
            note=f"only {time.n} samples, so that it is the longest" if few else None,
        )


def _number(value: float | None) -> str:
    return "of equal frames" if value is None else f"{value:.4g}"
