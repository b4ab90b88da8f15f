"""Every figure of a result as text in tables: latency, quality, energy, subjects, graphs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Generic, TypeVar

from edgevae_bench.conditions import Conditions
from edgevae_bench.page.scale import number
from edgevae_bench.page.view import Table
from edgevae_bench.result import EnergyRow, LatencyRow, QualityRow, Result
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.work import Case

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """A column of a table."""

    name: str
    """With its unit."""
    cell: Callable[[RowT], str]
    """The text in a row."""


def tables(result: Result) -> tuple[Table, ...]:
    """Return the tables that have rows."""
    found = (
        _latency(result),
        _table("Quality", _QUALITY, result.quality, text=3),
        _table("Energy", _ENERGY, result.energy, text=3),
        _table("Subjects while they were measured", _SUBJECT, result.subjects, text=3),
        _graphs(result),
    )
    return tuple(table for table in found if table.rows)


def _table(
    caption: str, columns: tuple[Column[RowT], ...], rows: tuple[RowT, ...], *, text: int
) -> Table:
    return Table(
        caption=caption,
        header=tuple(column.name for column in columns),
        rows=tuple(tuple(column.cell(row) for column in columns) for row in rows),
        text_columns=text,
    )


def _latency(result: Result) -> Table:
    baselines = dict.fromkeys(name for row in result.latency for name in row.speedup_ratios)
    ratios: tuple[Column[LatencyRow], ...] = tuple(
        Column(f"over {name}", functools.partial(_speedup, baseline=name)) for name in baselines
    )
    starred = any(row.latency.undersampled_percentiles for row in result.latency)
    note = "; * too few samples for this percentile: none lies beyond it" if starred else ""
    caption = f"Latency in ms, nothing trimmed; over: median of a baseline / this median{note}"
    return _table(caption, (*_LATENCY, *ratios), result.latency, text=6)


def _graphs(result: Result) -> Table:
    rows = []
    for row in result.subjects:
        for graph in row.artefact.graphs if row.artefact else ():
            layers = ", ".join(f"{kind} {count}" for kind, count in graph.layer_types.items())
            digests = (
                graph.sha256[:12],
                "-" if graph.plan_sha256 is None else graph.plan_sha256[:12],
            )
            work = (_of(graph.gflop, 2), _of(_mega(graph.least_bytes), 1))
            shape = (graph.profile or "-", layers or "-")
            rows.append((row.subject.name, _case(row.case), graph.role, *shape, *digests, *work))
    header = (
        "subject",
        "size",
        "graph",
        "profile",
        "layers",
        "sha256",
        "plan sha256",
        "GFLOP",
        "least MB",
    )
    return Table(caption="Graphs that ran", header=header, rows=tuple(rows), text_columns=7)


def _percentile(percent: int) -> Column[LatencyRow]:
    def cell(row: LatencyRow) -> str:
        few = percent in row.latency.undersampled_percentiles
        value: float = getattr(row.latency, f"p{percent}_ms")
        return number(value) + ("*" if few else "")

    return Column(f"p{percent}", cell)


def _case(case: Case) -> str:
    batch = f", batch {case.batch_clips}" if case.batch_clips != 1 else ""
    return f"{case.width_px}x{case.height_px}{batch}"


def _of(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _speedup(row: LatencyRow, *, baseline: str) -> str:
    return _times(row.speedup_ratios.get(baseline))


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f} %"


def _mega(size: int | None) -> float | None:
    return None if size is None else size / 1e6


def _told(value: object) -> str:
    """Return a value of the conditions for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return number(value) if isinstance(value, float) else str(value)


def _condition(name: str) -> Column[SubjectRow]:
    def cell(row: SubjectRow) -> str:
        return "-" if row.conditions is None else _told(getattr(row.conditions, name))

    return Column(name.replace("_", " "), cell)


_LATENCY: tuple[Column[LatencyRow], ...] = (
    Column("subject", lambda row: row.subject),
    Column("size", lambda row: _case(row.work.case)),
    Column("boundary", lambda row: row.work.boundary),
    Column("operation", lambda row: row.work.operation.replace("_", " ")),
    Column("arrays", lambda row: row.work.arrays),
    Column("precision", lambda row: row.work.precision),
    Column("frames", lambda row: str(row.work.sample_frames)),
    Column("n", lambda row: str(row.latency.n)),
    Column("median", lambda row: number(row.latency.median_ms)),
    Column("mean", lambda row: number(row.latency.mean_ms)),
    Column("std", lambda row: number(row.latency.std_ms)),
    Column("cv", lambda row: _share(row.latency.cv_ratio)),
    Column("min", lambda row: number(row.latency.min_ms)),
    *map(_percentile, (50, 90, 95, 99)),
    Column("max", lambda row: number(row.latency.max_ms)),
    Column("frames/s", lambda row: number(row.frames_per_s)),
    Column("Mpixel/s", lambda row: number(row.megapixels_per_s)),
    Column("real time", lambda row: _times(row.realtime_ratio)),
    Column("of ceiling", lambda row: _share(row.roofline_ratio)),
)

_QUALITY: tuple[Column[QualityRow], ...] = (
    Column("subject", lambda row: row.subject),
    Column("size", lambda row: _case(row.case)),
    Column("against", lambda row: row.against),
    Column("frames", lambda row: str(row.quality.frames)),
    Column("PSNR dB", lambda row: "∞" if row.quality.mse == 0 else _of(row.quality.psnr_db, 2)),
    Column("frame mean", lambda row: _of(row.quality.psnr_frame_mean_db, 2)),
    Column("worst", lambda row: _of(row.quality.worst_frame_psnr_db, 2)),
    Column("worst frame", lambda row: str(row.quality.worst_frame)),
    Column("SSIM", lambda row: _of(row.quality.ssim, 4)),
    Column("MS-SSIM", lambda row: _of(row.quality.ms_ssim, 4)),
    Column("LPIPS", lambda row: _of(row.lpips, 4)),
    Column("VMAF", lambda row: _of(row.vmaf, 1)),
    Column("motion PSNR", lambda row: _of(row.quality.motion_psnr_db, 2)),
    Column("boundary flicker", lambda row: _of(row.quality.boundary_flicker_ratio, 3)),
    Column("max levels", lambda row: str(row.quality.max_levels)),
    Column(
        "latents apart",
        lambda row: (
            "-" if row.latents_max_difference is None else f"{row.latents_max_difference:.1e}"
        ),
    ),
    Column("NaN", lambda row: str(row.nonfinite_latents)),
    Column("bits/pixel", lambda row: _of(row.latents_bits_per_pixel, 3)),
)

_ENERGY: tuple[Column[EnergyRow], ...] = (
    Column("subject", lambda row: row.subject),
    Column("size", lambda row: _case(row.work.case)),
    Column("operation", lambda row: row.work.operation.replace("_", " ")),
    Column("J/frame", lambda row: number(row.joules_per_frame)),
    Column("W", lambda row: number(row.power_w)),
    Column("idle W", lambda row: "-" if row.idle_power_w is None else number(row.idle_power_w)),
    Column("seconds", lambda row: number(row.seconds)),
)

_SUBJECT: tuple[Column[SubjectRow], ...] = (
    Column("subject", lambda row: row.subject.name),
    Column("size", lambda row: _case(row.case)),
    Column("status", lambda row: row.status),
    Column("library", lambda row: row.library_version or "-"),
    Column("turns", lambda row: str(row.turns)),
    Column("warm-up turns", lambda row: str(row.warm_up_turns)),
    Column("steady", lambda row: "yes" if row.is_steady else "no"),
    *(_condition(field.name) for field in fields(Conditions)),
)
