"""The report for people: tables of a result, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from edgevae_bench.result import LatencyRow, QualityRow, Result
from edgevae_bench.subject_row import SubjectRow
from edgevae_bench.subjects import REFERENCE
from edgevae_bench.work import Boundary, Case

TITLES: dict[Boundary, str] = {
    "graph": "graph: the graphs alone, inputs in place; ms of a chunk",
    "call": "call: arrays in, arrays out, each call waited for; ms of a chunk",
    "stream": "stream: chunk by chunk with its state, encode and decode in turn; ms of a chunk",
    "file": "file: file in, file out, with the video codec; ms of the file",
}


def to_text(result: Result) -> str:
    """Return the tables."""
    lines = [*_head(result)]
    for case in result.settings.cases:
        lines += ["", f"== {case.width_px}x{case.height_px}, batch {case.batch_clips} =="]
        lines += _latency(result, case)
        lines += ["", *_costs([row for row in result.subjects if row.case == case])]
        lines += ["", *_quality([row for row in result.quality if row.case == case])]
        lines += _energy(result, case)
        lines += [
            f"{row.status}: {row.subject.name}: {row.reason}"
            for row in result.subjects
            if row.case == case and row.reason
        ]
    lines += _ceilings(result)
    lines += [
        f"gate {verdict.gate} {verdict.limit:g}: {verdict.subject} at {verdict.case}: {verdict.what} "
        f"{_number(verdict.value, 2)}: {'kept' if verdict.passed else 'MISSED'}"
        + ("" if verdict.note is None else f" ({verdict.note})")
        for verdict in result.verdicts
        if verdict.gate != "finite_latents" or not verdict.passed
    ]
    if result.warnings:
        lines += ["", *(f"warning: {warning}" for warning in result.warnings)]
    return "\n".join(lines)


def _head(result: Result) -> Iterator[str]:
    clip, machine, settings = result.clip, result.environment, result.settings
    versions = ", ".join(
        f"{name} {version}" for name, version in machine.package_versions.items() if version
    )
    yield f"model    {result.model.name}, bundle sha256 {result.model.bundle_sha256[:12]}"
    rate = "" if clip.frames_per_s is None else f", {clip.frames_per_s:g} frames/s"
    yield f"clip     {clip.name}, {clip.source_width_px}x{clip.source_height_px}{rate}"
    yield (
        f"machine  {machine.cpu_name}, {machine.physical_cores} cores, {machine.ram_bytes / 2**30:.1f} GiB, "
        f"{machine.os_name}"
    )
    if machine.gpu is not None:
        gpu = machine.gpu
        yield f"         {gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, driver {gpu.driver or 'unknown'}"
    yield f"         Python {machine.python_version}, edgevae {machine.edgevae_version}, {versions}"
    turns = "in turns" if settings.is_interleaved else "one after the other"
    yield (
        f"method   {settings.device}, {settings.threads} threads, {settings.rounds} rounds of "
        f"{settings.chunks} chunks in {settings.starts} starts, {turns}, nothing trimmed"
        + ("" if result.is_complete else "; BROKEN OFF: go on with --resume")
    )


def _latency(result: Result, case: Case) -> Iterator[str]:
    rows = [row for row in result.latency if row.work.case == case]
    for boundary, title in TITLES.items():
        here = [row for row in rows if row.work.boundary == boundary]
        for arrays in dict.fromkeys(row.work.arrays for row in here):
            yield ""
            yield f"{title}; arrays: {arrays}. cv: standard deviation / mean. vs: median of {REFERENCE} / median."
            header = ("work", "subject", "n", "median", "cv", "p50", "p90", "p95", "p99", "max")
            end = ("frames/s", "MP/s", "x real", "vs", "roof")
            body = [_latency_cells(row) for row in here if row.work.arrays == arrays]
            yield from columns((*header, *end), body, left=2)
    if any(row.latency.undersampled_percentiles for row in rows):
        yield "* too few samples for this percentile: none lies beyond it"
    reasons = {
        f"no ratio for {r.subject}: {r.no_speedup_reason}": 0 for r in rows if r.no_speedup_reason
    }
    yield from reasons


def _latency_cells(row: LatencyRow) -> tuple[str, ...]:
    time, few = row.latency, row.latency.undersampled_percentiles
    percentiles = {50: time.p50_ms, 90: time.p90_ms, 95: time.p95_ms, 99: time.p99_ms}
    ratio = row.speedup_ratios.get(REFERENCE)
    if ratio is None:  # of a GPU: against the fastest PyTorch of equal precision
        ratio = min(row.speedup_ratios.values(), default=None)
    return (
        row.work.operation,
        row.subject,
        str(time.n),
        _ms(time.median_ms),
        f"{100 * time.cv_ratio:.0f}%",
        *(f"{_ms(value)}{'*' if p in few else ''}" for p, value in percentiles.items()),
        _ms(time.max_ms),
        f"{row.frames_per_s:.1f}",
        f"{row.megapixels_per_s:.1f}",
        _number(row.realtime_ratio, 2),
        "-" if ratio is None else f"{ratio:.2f}x",
        "-" if row.roofline_ratio is None else f"{100 * row.roofline_ratio:.0f}%",
    )


def _costs(rows: Sequence[SubjectRow]) -> list[str]:
    header = ("subject", "library", "import ms", "build s", "load ms", "first call ms")
    more = ("start MiB", "peak RSS MiB", "GPU MiB", "MHz", "PyTorch in process")
    body = []
    for row in rows:
        if row.cost is None:
            continue
        cost, seen = row.cost, row.conditions
        body.append(
            (
                row.subject.name,
                f"{row.subject.library} {row.library_version}",
                f"{cost.import_ms:.0f}",
                "-" if cost.build_ms is None else f"{cost.build_ms / 1e3:.1f}",
                f"{cost.load_ms:.0f}",
                f"{cost.first_call_ms:.1f}",
                _mib(cost.rss_before_import_bytes),
                _mib(cost.peak_rss_bytes),
                _mib(cost.device_peak_bytes),
                _number(None if seen is None else seen.clock_median_mhz, 0),
                "yes" if cost.torch_loaded else "no",
            )
        )
    title = "Each subject in a process of its own: what it takes to have it."
    return [title, *columns((*header, *more), body, left=2)]


def _quality(rows: Sequence[QualityRow]) -> list[str]:
    header = (
        *(
            "subject",
            "against",
            "PSNR dB",
            "frame mean",
            "worst (frame)",
            "SSIM",
            "MS-SSIM",
            "LPIPS",
            "VMAF",
        ),
        *("motion PSNR", "boundary flicker", "max levels", "max latent diff", "NaN", "bpp"),
    )
    body = []
    for row in rows:
        q = row.quality
        body.append(
            (
                row.subject,
                row.against,
                "equal" if q.psnr_db is None else _number(q.psnr_db, 2),
                _number(q.psnr_frame_mean_db, 2),
                f"{_number(q.worst_frame_psnr_db, 2)} ({q.worst_frame})",
                _number(q.ssim, 4),
                _number(q.ms_ssim, 4),
                _number(row.lpips, 4),
                _number(row.vmaf, 1),
                _number(q.motion_psnr_db, 2),
                _number(q.boundary_flicker_ratio, 3),
                str(q.max_levels),
                "-" if row.latents_max_difference is None else f"{row.latents_max_difference:.1e}",
                str(row.nonfinite_latents),
                f"{row.latents_bits_per_pixel:.2f}",
            )
        )
    missing = {
        f"{name} not available: {why}": 0 for row in rows for name, why in row.unavailable.items()
    }
    return ["Quality of the reconstruction (RGB, 8 bit).", *columns(header, body, left=2), *missing]


def _energy(result: Result, case: Case) -> Iterator[str]:
    rows = [row for row in result.energy if row.work.case == case]
    if rows:
        yield ""
        yield f"Energy, {rows[0].meter}; what the machine takes when idle is in it."
        header = ("work", "subject", "J/frame", "W", "idle W")
        body = [
            (
                row.work.operation,
                row.subject,
                f"{row.joules_per_frame:.4g}",
                f"{row.power_w:.1f}",
                _number(row.idle_power_w, 1),
            )
            for row in rows
        ]
        yield from columns(header, body, left=2)
    else:
        reasons = {r.unmeasured["energy"] for r in result.subjects if "energy" in r.unmeasured}
        yield from (f"energy: {reason}" for reason in sorted(reasons))


def _ceilings(result: Result) -> Iterator[str]:
    for one in result.ceilings:
        compute, memory = _number(one.compute_gflop_per_s, 0), _number(one.bandwidth_gb_per_s, 1)
        yield ""
        yield (
            f"ceiling {one.precision} on {one.device}: {compute} GFLOP/s ({one.compute_kernel}), {memory} GB/s "
            f"({one.bandwidth_kernel}); roof: least time these allow / median"
        )


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


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
