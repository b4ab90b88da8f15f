"""What a subject costs, as bars: memory, start, energy, and the share of the machine's ceiling that it reaches."""

from __future__ import annotations

from collections.abc import Sequence

from edgevae_bench.page.view import Bar, BarChart, Part
from edgevae_bench.result import EnergyRow, Result
from edgevae_bench.subject_row import Cost, SubjectRow
from edgevae_bench.work import Case

MIB = 2**20


def bar_charts(result: Result, case: Case) -> tuple[BarChart, ...]:
    """Return the charts of one case; one without any figure has only the reasons in its bars."""
    rows = [row for row in result.subjects if row.case == case and row.cost is not None]
    charts = (
        BarChart(
            title="Memory",
            text="Peak of a process of its own, after the clip had been through once.",
            unit="MiB",
            bars=tuple(map(_memory, rows)),
        ),
        BarChart(
            title="GPU memory",
            text="Model, workspaces and buffers, without the CUDA context.",
            unit="MiB",
            bars=tuple(_device_memory(row) for row in rows if row.subject.device != "cpu"),
        ),
        BarChart(
            title="Start",
            text="Until the first chunk is done, in a new process.",
            unit="ms",
            bars=tuple(map(_start, rows)),
        ),
        _energy(result, case),
        _roofline(result, case),
    )
    return tuple(chart for chart in charts if chart.bars)


def _memory(row: SubjectRow) -> Bar:
    cost = _cost(row)
    before, peak = cost.rss_before_import_bytes, cost.peak_rss_bytes
    if before is None or peak is None:
        return Bar(subject=row.subject.name, parts=(), note="this system does not tell")
    parts = (("the model and its library", peak - before), ("Python and the clip", before))
    return Bar(
        subject=row.subject.name,
        parts=tuple(Part(label=label, value=size / MIB) for label, size in parts),
    )


def _device_memory(row: SubjectRow) -> Bar:
    size = _cost(row).device_peak_bytes
    if size is None:
        return Bar(subject=row.subject.name, parts=(), note="not known")
    return Bar(subject=row.subject.name, parts=(Part(label="peak", value=size / MIB),))


def _start(row: SubjectRow) -> Bar:
    cost = _cost(row)
    parts = {"first call": cost.first_call_ms, "load": cost.load_ms, "import": cost.import_ms}
    built = f"built in {cost.build_ms / 1e3:.1f} s before, once" if cost.build_ms else ""
    return Bar(
        subject=row.subject.name,
        parts=tuple(Part(label=label, value=ms) for label, ms in parts.items()),
        note=built,
    )


def _energy(result: Result, case: Case) -> BarChart:
    rows = [row for row in result.energy if row.work.case == case]
    reasons = {
        row.subject.name: row.unmeasured["energy"]
        for row in result.subjects
        if row.case == case and "energy" in row.unmeasured
    }
    measured = dict.fromkeys(row.subject for row in rows)
    bars = [Bar(subject=name, parts=_joules(name, rows)) for name in measured]
    bars += [
        Bar(subject=name, parts=(), note=reason)
        for name, reason in reasons.items()
        if name not in measured
    ]
    meters = "; ".join(dict.fromkeys(row.meter for row in rows))
    text = f"For each frame, with what the machine takes when idle. Meter: {meters}."
    return BarChart(title="Energy", text=text, unit="J per frame", bars=tuple(bars))


def _joules(subject: str, rows: Sequence[EnergyRow]) -> tuple[Part, ...]:
    """Return the round trip where it was measured, else the operations that were."""
    mine = {row.work.operation: row.joules_per_frame for row in rows if row.subject == subject}
    if "round_trip" in mine:
        return (Part(label="round trip", value=mine["round_trip"]),)
    return tuple(Part(label=operation, value=joules) for operation, joules in mine.items())


def _roofline(result: Result, case: Case) -> BarChart:
    reached = {
        row.subject: row.roofline_ratio
        for row in result.latency
        if row.work.case == case
        and row.work.operation == "round_trip"
        and row.roofline_ratio is not None
    }
    bars = (
        Bar(subject=name, parts=(Part(label="reached", value=100 * ratio),))
        for name, ratio in reached.items()
    )
    return BarChart(
        title="Share of the machine's ceiling",
        text="Least time that the arithmetic and bandwidth measured on the spot allow, over the graphs' median.",
        unit="%",
        bars=tuple(bars),
    )


def _cost(row: SubjectRow) -> Cost:
    assert row.cost is not None, "bar_charts takes only rows that have one"
    return row.cost
