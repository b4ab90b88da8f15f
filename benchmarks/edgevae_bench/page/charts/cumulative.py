"""Latency as its distribution: which share of the samples took at most so long, one stair per subject."""

from __future__ import annotations

from edgevae_bench.page.charts import samples
from edgevae_bench.page.charts.chart import Chart, key, write_letter
from edgevae_bench.page.drawing import across, add, canvas, colour, markup, path, stretched, upright
from edgevae_bench.page.scale import Scale, number
from edgevae_bench.page.view import Contest

TOP_PX, HEIGHT_PX, AXIS_PX = 18, 190, 22
"""Room above for the highest label; height of the plot; height of the axis."""

MAX_STEPS = 400
"""Steps of a stair; more could not be told apart on a screen."""

SHARE = Scale(low=0.0, high=100.0, ticks=(0.0, 25.0, 50.0, 75.0, 100.0))
"""Percent of the samples."""


def chart(contest: Contest, subjects: tuple[str, ...]) -> Chart:
    """Return the empirical distribution of each subject's samples over the axis of `samples.chart`.

    Args:
        contest: At least one row; rows without samples are not drawn.
        subjects: All subjects of the page, for the colours.
    """
    scale, bottom = samples.axis(contest), TOP_PX + HEIGHT_PX
    rows = [row for row in contest.rows if row.samples_ms]
    told = "; ".join(
        f"{row.subject}: from {number(min(row.samples_ms))} to {number(max(row.samples_ms))} ms"
        for row in rows
    )
    title = f"Share of samples up to a latency, {contest.boundary}, {contest.title}"
    root = canvas(bottom + AXIS_PX, title=title, description=told)
    across(root, scale, top_px=TOP_PX, bottom_px=bottom, unit="ms")
    part = stretched(root, top_px=TOP_PX, height_px=HEIGHT_PX)
    for row in rows:
        line = {
            "class": f"line {colour(subjects, row.subject)}",
            "d": path(_stair(row.samples_ms, scale)),
        }
        add(part, "path", line, tip=row.subject)
        median = scale.place(row.median_ms)
        middle = TOP_PX + HEIGHT_PX / 2 - 6
        write_letter(root, subjects, row.subject, across=median, down_px=middle)
    upright(root, SHARE, top_px=TOP_PX, bottom_px=bottom, unit="% of samples")
    return Chart(
        drawing=markup(root),
        table=samples.table(contest),
        keys=tuple(key(subjects, row.subject) for row in rows),
        notes=(scale.remark,) if scale.remark else (),
    )


def _stair(samples_ms: tuple[float, ...], scale: Scale) -> list[tuple[float, float]]:
    """Return the corners of the stair, (across, down) between 0 and 1, from the smallest sample at the bottom."""
    ordered, n = sorted(samples_ms), len(samples_ms)
    every = -(-n // MAX_STEPS)
    places, level = [(scale.place(ordered[0]), 1.0)], 1.0
    for index in sorted({*range(every - 1, n, every), n - 1}):
        x = scale.place(ordered[index])
        after = 1.0 - (index + 1) / n
        places += [(x, level), (x, after)]
        level = after
    return places
