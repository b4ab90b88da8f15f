"""The figures that a reader wants first: of the fastest of edgevae's own backends, at the first size."""

from __future__ import annotations

from edgevae_bench.page.scale import number
from edgevae_bench.page.view import Headline
from edgevae_bench.result import LatencyRow, Result

PREFERRED = ("call", "stream", "graph", "file")
"""Boundaries, the first one that was measured counts."""


def headlines(result: Result) -> tuple[Headline, ...]:
    """Return the headlines; none where no round trip was measured."""
    row = best(result)
    if row is None:
        return ()
    found = (_speed(row), _claim(row), _quality(result, row), _memory(result, row))
    return tuple(headline for headline in (*found, _energy(result, row)) if headline is not None)


def best(result: Result) -> LatencyRow | None:
    """Return the fastest round trip at the first size of edgevae's own backends; of others only where none ran."""
    case = result.settings.cases[0]
    own = {row.subject.name for row in result.subjects if row.subject.kind == "runtime"}
    trips = [r for r in result.latency if r.work.case == case and r.work.operation == "round_trip"]
    for boundary in PREFERRED:
        rows = [row for row in trips if row.work.boundary == boundary]
        if rows:
            ours = [row for row in rows if row.subject in own] or rows
            return min(ours, key=lambda row: row.latency.median_ms)
    return None


def _speed(row: LatencyRow) -> Headline:
    work, latency = row.work, row.latency
    size = f"{work.width_px}x{work.height_px}"
    median, p99 = number(latency.median_ms), number(latency.p99_ms)
    return Headline(
        label=f"Round trip at {size}",
        figure=f"{number(row.frames_per_s)} frames/s",
        detail=f"{row.subject}, boundary {work.boundary}: median {median} ms, p99 {p99} ms "
        f"for {work.sample_frames} frames",
    )


def _claim(row: LatencyRow) -> Headline:
    label = "Against PyTorch"
    ratios = {name: ratio for name, ratio in row.speedup_ratios.items() if name != row.subject}
    if not ratios:
        return Headline(
            label=label, figure="no claim", detail=row.no_speedup_reason or "nothing to compare"
        )
    name, ratio = min(ratios.items(), key=lambda item: item[1])
    detail = f"median of {name} divided by that of {row.subject}"
    if len(ratios) > 1:
        detail += f"; the fastest of {len(ratios)} PyTorch variants"
    return Headline(label=label, figure=f"{ratio:.2f}x", detail=detail)


def _quality(result: Result, row: LatencyRow) -> Headline | None:
    for one in result.quality:
        if (one.subject, one.case, one.against) == (row.subject, row.work.case, "source"):
            q = one.quality
            figure = "identical" if q.psnr_db is None else f"{q.psnr_db:.2f} dB"
            worst = "" if q.worst_frame_psnr_db is None else f", worst {q.worst_frame_psnr_db:.2f}"
            ssim = "" if q.ssim is None else f", SSIM {q.ssim:.4f}"
            detail = f"PSNR against the source over {q.frames} frames{worst}{ssim}"
            return Headline(label="Quality", figure=figure, detail=detail)
    return None


def _memory(result: Result, row: LatencyRow) -> Headline | None:
    for one in result.subjects:
        if (one.subject.name, one.case) != (row.subject, row.work.case) or one.cost is None:
            continue
        device, host = one.cost.device_peak_bytes, one.cost.peak_rss_bytes
        torch = "with" if one.cost.torch_loaded else "without"
        if device is not None:
            figure, what = f"{number(device / 2**20)} MiB", "GPU memory"
        elif host is not None:
            figure, what = f"{number(host / 2**20)} MiB", "resident memory"
        else:
            return None
        detail = f"{what} at the peak, {torch} PyTorch in the process"
        return Headline(label="Memory", figure=figure, detail=detail)
    return None


def _energy(result: Result, row: LatencyRow) -> Headline | None:
    for one in result.energy:
        same = (one.subject, one.work.case) == (row.subject, row.work.case)
        if same and one.work.operation == "round_trip":
            detail = f"per frame, round trip, at {number(one.power_w)} W. {one.meter}"
            figure = f"{number(one.joules_per_frame)} J"
            return Headline(label="Energy", figure=figure, detail=detail)
    return None
