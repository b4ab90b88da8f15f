"""Latency as it was measured: every sample a dot, in the order of the measurement, so that a drift can be seen.

onnxruntime_fp32                  median 70.8 ms
|      . |.                             |         first sample at the top
|     .  |  .                           |
|        |.                             | p99
|      . |    .                         |         last sample at the bottom
0        50         100        150   200 ms
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from edgevae_bench.page.charts.chart import Chart
from edgevae_bench.page.drawing import (
    UNITS,
    Attributes,
    across,
    add,
    canvas,
    colour,
    inside,
    markup,
    percent,
    stretched,
)
from edgevae_bench.page.scale import Scale, fit, number
from edgevae_bench.page.view import Contest, Table, Times

ROW_PX, LABEL_PX, BAND_PX, AXIS_PX = 66, 18, 38, 22
"""Height of a row, of the label in it and of the dots under the label; height of the axis."""

MAX_DOTS = 3000
"""Dots of one row; of more samples every second, third, ... is drawn, and always the shortest and the longest."""


def chart(contest: Contest, subjects: tuple[str, ...]) -> Chart:
    """Return the samples of each subject as a row of dots over one axis.

    Args:
        contest: At least one row.
        subjects: All subjects of the page, for the colours.
    """
    scale = axis(contest)
    bottom = ROW_PX * len(contest.rows)
    told = "; ".join(f"{row.subject}: median {number(row.median_ms)} ms" for row in contest.rows)
    root = canvas(
        bottom + AXIS_PX, title=f"Latency, {contest.boundary}, {contest.title}", description=told
    )
    across(root, scale, top_px=LABEL_PX, bottom_px=bottom, unit="ms")
    for index, row in enumerate(contest.rows):
        _row(root, row, scale, top_px=ROW_PX * index, classes=colour(subjects, row.subject))
    thinned = [row.subject for row in contest.rows if len(row.samples_ms) > MAX_DOTS]
    notes = [scale.remark, "not every sample drawn: " + ", ".join(thinned) if thinned else ""]
    return Chart(
        drawing=markup(root), table=table(contest), notes=tuple(note for note in notes if note)
    )


def axis(contest: Contest) -> Scale:
    """Return the scale that holds every sample of every row."""
    values = (v for row in contest.rows for v in (*row.samples_ms, row.median_ms, row.p99_ms))
    return fit(values, ticks=4)


def table(contest: Contest) -> Table:
    """Return the numbers behind the drawing."""
    return Table(
        caption=f"Latency, {contest.boundary}, {contest.title}",
        header=("subject", "samples", "min ms", "median ms", "p99 ms", "max ms"),
        rows=tuple(
            (
                row.subject,
                str(len(row.samples_ms)) if row.samples_ms else "-",
                number(min(row.samples_ms)) if row.samples_ms else "-",
                number(row.median_ms),
                number(row.p99_ms) + ("*" if row.few_for_p99 else ""),
                number(max(row.samples_ms)) if row.samples_ms else "-",
            )
            for row in contest.rows
        ),
    )


def _row(root: Element, row: Times, scale: Scale, *, top_px: float, classes: str) -> None:
    band = top_px + LABEL_PX + 3
    median, p99 = f"{number(row.median_ms)} ms", f"{number(row.p99_ms)} ms"
    add(root, "text", {"class": "name", "x": 0, "y": top_px + 14}, text=row.subject)
    value: Attributes = {"class": "value", "x": "100%", "y": top_px + 14, "text-anchor": "end"}
    add(root, "text", value, text=median)
    tip = f"{row.subject}: median {median}, p99 {p99}, {len(row.samples_ms)} samples"
    place: Attributes = {"class": "band", "x": 0, "y": band, "width": "100%", "height": BAND_PX}
    add(root, "rect", place, tip=tip)
    part = stretched(root, top_px=band, height_px=BAND_PX)
    add(part, "path", {"class": f"dots {classes}", "d": _dots(row.samples_ms, scale)})
    for name, value_ms in (("p99", row.p99_ms), ("median", row.median_ms)):
        x = percent(scale.place(value_ms))
        ends: Attributes = {"x1": x, "x2": x, "y1": band - 1, "y2": band + BAND_PX + 1}
        add(root, "line", {"class": f"{name} {classes}", **ends})


def _dots(samples_ms: tuple[float, ...], scale: Scale) -> str:
    """Return a path of lines without length, which round caps turn into dots; the first sample is on top."""
    if not samples_ms:
        return "M0 0"
    every = -(-len(samples_ms) // MAX_DOTS)
    always = {samples_ms.index(min(samples_ms)), samples_ms.index(max(samples_ms))}
    margin, length = 60, UNITS - 120
    dots = []
    for index, value in enumerate(samples_ms):
        if index % every == 0 or index in always:
            down = margin + length * (index + 0.5) / len(samples_ms)
            dots.append(f"M{inside(scale.place(value))} {down:.0f}h0")
    return "".join(dots)
