"""The report: tables for people, and one JSON document for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from edgevae.files import write_atomically
from edgevae.strict import to_dict
from edgevae_bench.result import LatencyRow, ProcessRow, QualityRow, Result, Work

DIGITS = 6
"""Significant digits of a number in the JSON document."""

LONG_KEYS = ("samples_ms", "frames_psnr_db")
"""Lists with an entry per sample or frame, which are in the file and not in the line on stdout."""


def to_text(result: Result) -> str:
    """Return the tables."""
    clip, machine = result.clip, result.environment
    versions = ", ".join(
        f"{name} {version}" for name, version in machine.package_versions.items() if version
    )
    resized = (clip.height_px, clip.width_px) != (clip.source_height_px, clip.source_width_px)
    size = f"{clip.width_px}x{clip.height_px}"
    lines = [
        f"model    {result.model.name}, bundle sha256 {result.model.bundle_sha256[:12]}",
        f"clip     {clip.name}, {size}"
        + (f" resized from {clip.source_width_px}x{clip.source_height_px}" if resized else "")
        + f"; timed on the first {clip.timed_frames} frames, compared on the first {clip.quality_frames}",
        f"machine  {machine.cpu_name}, {machine.physical_cores} cores, {machine.ram_bytes / 2**30:.1f} GiB, "
        f"{machine.os_name}",
        f"         Python {machine.python_version}, edgevae {machine.edgevae_version}, {versions}",
        f"method   {result.warm_up_rounds} rounds to warm up, then {result.rounds} rounds interleaved, nothing trimmed",
        "",
        *_latency_table(result.latency),
        "",
        *_process_table(result.process),
        "",
        *_quality_table(result.quality),
    ]
    if result.warnings:
        lines += ["", *(f"warning: {warning}" for warning in result.warnings)]
    return "\n".join(lines)


def to_document(result: Result, *, long: bool) -> dict[str, Any]:
    """Return the result as JSON-like data: units in the keys, six significant digits, null for what is not finite.

    Args:
        result: What was found.
        long: With a number for every sample and frame.
    """
    document: dict[str, Any] = plain(to_dict(result), long=long)
    for row, source in zip(document["latency"], result.latency, strict=True):
        row["latency"]["cv_ratio"] = plain(source.latency.cv_ratio, long=long)
    return document


def to_line(result: Result) -> str:
    """Return the JSON document on one line, without the long lists."""
    return json.dumps(to_document(result, long=False), allow_nan=False)


def write_json(result: Result, path: Path) -> None:
    """Write the JSON document with the long lists; the file is whole or absent."""
    write_atomically(
        path,
        (json.dumps(to_document(result, long=True), allow_nan=False, indent=1) + "\n").encode(),
    )


def plain(value: Any, *, long: bool) -> Any:  # Any: JSON-like
    """Return JSON-like data with six significant digits, null for what is not finite, and `LONG_KEYS` where `long`."""
    if isinstance(value, dict):
        return {
            key: plain(item, long=long)
            for key, item in value.items()
            if long or key not in LONG_KEYS
        }
    if isinstance(value, list):
        return [plain(item, long=long) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _latency_table(rows: Sequence[LatencyRow]) -> list[str]:
    header = (
        *("work", "subject", "prec", "median ms", "mean", "std", "min", "p50", "p90", "p99", "max"),
        *("frames/s", "speed"),
    )
    title = (
        f"Latency per chunk, boundary {rows[0].work.boundary}: host arrays in and out, state carried on. "
        "speed: median of pytorch_eager / this median."
    )
    starred = any(row.latency.undersampled_percentiles for row in rows)
    notes = ["* too few samples for this percentile: none lies beyond it"] if starred else []
    for row in rows:
        reason = f"no speed-up for {row.subject}: {row.no_speedup_reason}"
        if row.no_speedup_reason and reason not in notes:
            notes.append(reason)
    return [title, *columns(header, map(_latency_cells, rows), left=3), *notes]


def _latency_cells(row: LatencyRow) -> tuple[str, ...]:
    time = row.latency
    marks = {p: "*" if p in time.undersampled_percentiles else "" for p in (50, 90, 99)}
    return (
        _work(row.work),
        row.subject,
        row.work.precision,
        *(f"{ms:.1f}" for ms in (time.median_ms, time.mean_ms, time.std_ms, time.min_ms)),
        f"{time.p50_ms:.1f}{marks[50]}",
        f"{time.p90_ms:.1f}{marks[90]}",
        f"{time.p99_ms:.1f}{marks[99]}",
        f"{time.max_ms:.1f}",
        f"{row.frames_per_s:.1f}",
        "-" if row.speedup_ratio is None else f"{row.speedup_ratio:.2f}x",
    )


def _work(work: Work) -> str:
    shape = f"{work.batch_clips}x{work.chunk_frames}x{work.height_px}x{work.width_px}"
    return f"{work.operation} {shape} {work.device}/{work.threads}t"


def _process_table(rows: Sequence[ProcessRow]) -> list[str]:
    header = (
        "subject",
        "import ms",
        "load ms",
        "first chunk ms",
        "start MiB",
        "peak RSS MiB",
        "PyTorch in process",
    )
    body = [
        (
            row.subject,
            f"{row.process.import_ms:.0f}",
            f"{row.process.load_ms:.0f}",
            f"{row.process.first_chunk_ms:.1f}",
            _mib(row.process.rss_before_import_bytes),
            _mib(row.process.peak_rss_bytes),
            "yes" if row.process.torch_loaded else "no",
        )
        for row in rows
    ]
    return [
        "Each subject in a process of its own: load, then encode and decode the clip.",
        *columns(header, body, left=1),
    ]


def _quality_table(rows: Sequence[QualityRow]) -> list[str]:
    header = (
        *("subject", "against", "PSNR dB", "frame mean", "worst (frame)", "SSIM", "MS-SSIM"),
        *("motion PSNR", "boundary flicker", "max levels", "max latent diff"),
    )
    body = []
    for row in rows:
        q = row.quality
        body.append(
            (
                row.subject,
                row.against,
                _number(q.psnr_db, 2),
                _number(q.psnr_frame_mean_db, 2),
                f"{_number(q.worst_frame_psnr_db, 2)} ({q.worst_frame})",
                _number(q.ssim, 4),
                _number(q.ms_ssim, 4),
                _number(q.motion_psnr_db, 2),
                _number(q.boundary_flicker_ratio, 3),
                str(q.max_levels),
                "-" if row.latents_max_difference is None else f"{row.latents_max_difference:.1e}",
            )
        )
    return ["Quality of the reconstruction (RGB, 8 bit).", *columns(header, body, left=2)]


def _mib(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 2**20:.0f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def columns(header: Sequence[str], body: Iterable[Sequence[str]], *, left: int) -> list[str]:
    """Return aligned lines; the first `left` columns are text, the others numbers."""
    table = [header, *body]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
