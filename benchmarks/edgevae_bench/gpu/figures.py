"""Medians and ratios of the GPU benchmark, and between what a ratio may be claimed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgevae_bench.claims import AGREE_DB
from edgevae_bench.clock import Latency, summarise
from edgevae_bench.gpu.plan import BASELINES, REFERENCE
from edgevae_bench.gpu.result import BOUNDARIES, Boundary, Found, Row
from edgevae_bench.gpu.turns import OPERATIONS


@dataclass(frozen=True, kw_only=True)
class Line:
    """One operation of one subject at one boundary."""

    subject: str
    """Whose."""
    boundary: Boundary
    """Where the clock starts and stops."""
    operation: str
    """encode or decode; round_trip is the sum of a chunk's both."""
    latency: Latency
    """How long one chunk took."""
    frames_per_s: float
    """Frames of a chunk divided by the median."""
    speedup_ratios: dict[str, float]
    """Median of a baseline divided by this median, by baseline; only between equal precision and agreeing frames."""
    overhead_ratio: float | None
    """On the device: this median divided by that of the bare engine, less one; None without one."""


def lines(found: Found) -> tuple[Line, ...]:
    """Return every line that was measured."""
    rows = {row.subject.name: row for row in found.rows}
    medians = {
        (name, boundary, operation): statistics.median(samples)
        for name, row in rows.items()
        for boundary in BOUNDARIES
        for operation, samples in _samples(row, boundary)
    }
    return tuple(
        Line(
            subject=name,
            boundary=boundary,
            operation=operation,
            latency=summarise([round(ms * 1e6) for ms in samples]),
            frames_per_s=found.setting.chunk_frames / statistics.median(samples) * 1e3,
            speedup_ratios={
                base: medians[base, boundary, operation] / medians[name, boundary, operation]
                for base in baselines(found)
                if (base, boundary, operation) in medians and may_compare(row, rows[base])
            },
            overhead_ratio=_overhead(medians, name, boundary, operation),
        )
        for boundary in BOUNDARIES
        for name, row in rows.items()
        for operation, samples in _samples(row, boundary)
    )


def baselines(found: Found) -> tuple[str, ...]:
    """Return the subjects to compare times with."""
    return (REFERENCE,) if found.setting.device == "cpu" else BASELINES


def may_compare(row: Row, base: Row) -> bool:
    """Return whether a ratio of times means something: equal precision, and frames that agree."""
    if row.subject.precision != base.subject.precision:
        return False
    parities = [r.parity for r in (row, base) if r.subject.name != REFERENCE]
    return all(p is not None and (p.psnr_db is None or p.psnr_db >= AGREE_DB) for p in parities)


def _samples(row: Row, boundary: Boundary) -> Iterator[tuple[str, Sequence[float]]]:
    """Yield the samples of each operation; those of the round trip are the sums of a chunk's both."""
    both = [row.samples_ms.get(f"{boundary} {operation}", ()) for operation in OPERATIONS]
    if all(both):
        yield from zip(OPERATIONS, both, strict=True)
        yield "round_trip", [sum(pair) for pair in zip(*both, strict=True)]


def _overhead(
    medians: dict[tuple[str, Boundary, str], float], name: str, boundary: Boundary, operation: str
) -> float | None:
    bare = medians.get((name, "bare", operation))
    return medians[name, boundary, operation] / bare - 1 if bare and boundary == "device" else None
