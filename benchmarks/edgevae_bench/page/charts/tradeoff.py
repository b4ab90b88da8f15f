"""Throughput against quality: further right is faster, further up is nearer to the source."""

from __future__ import annotations

from collections.abc import Sequence

from edgevae_bench.page.charts.chart import Chart, key, letter
from edgevae_bench.page.drawing import (
    NARROWEST_PX,
    Attributes,
    across,
    add,
    canvas,
    colour,
    markup,
    percent,
    upright,
)
from edgevae_bench.page.scale import fit, number
from edgevae_bench.page.view import Place, Table

TOP_PX, HEIGHT_PX, AXIS_PX, RADIUS_PX = 22, 210, 22, 10
"""Room above for the highest label; height of the plot; height of the axis; radius of a mark."""

MOVED = (
    "a hollow mark would cover another and stands off its place, which is at the end of its line"
)

LEAST_DB = 1.0
"""The quality axis spans at least so much: a hundredth of a dB must not look like a difference."""


def chart(places: tuple[Place, ...], subjects: tuple[str, ...]) -> Chart:
    """Return a mark with a letter for each subject.

    Args:
        places: At least one, all finite.
        subjects: All subjects of the page, for letters and colours.
    """
    middle = (min(p.psnr_db for p in places) + max(p.psnr_db for p in places)) / 2
    least = (middle - LEAST_DB / 2, middle + LEAST_DB / 2)
    quality = fit([*(p.psnr_db for p in places), *least], ticks=4)
    # A tenth beyond the fastest, so that its mark is whole.
    speed = fit([p.frames_per_s * 1.1 for p in places], ticks=4, zero=True)
    bottom = TOP_PX + HEIGHT_PX
    told = "; ".join(
        f"{p.subject}: {number(p.frames_per_s)} frames/s at {p.psnr_db:.2f} dB" for p in places
    )
    root = canvas(bottom + AXIS_PX, title="Throughput against quality", description=told)
    across(root, speed, top_px=TOP_PX, bottom_px=bottom, unit="frames/s")
    upright(root, quality, top_px=TOP_PX, bottom_px=bottom, unit="dB PSNR")
    spots = [
        (speed.place(p.frames_per_s), bottom - quality.place(p.psnr_db) * HEIGHT_PX) for p in places
    ]
    drawn = _apart(spots)
    for (place, y_px), y in zip(spots, drawn, strict=True):  # first, so that the marks lie on them
        if y != y_px:
            x = percent(place)
            add(root, "line", {"class": "stalk", "x1": x, "x2": x, "y1": y_px, "y2": y})
    for p, (place, y_px), y in zip(places, spots, drawn, strict=True):
        x, hollow = percent(place), "" if y == y_px else " moved"
        tip = f"{p.subject}: {number(p.frames_per_s)} frames/s, {p.psnr_db:.2f} dB"
        mark = add(root, "g", {"class": f"mark{hollow} {colour(subjects, p.subject)}"}, tip=tip)
        add(mark, "circle", {"cx": x, "cy": y, "r": RADIUS_PX})
        label: Attributes = {"x": x, "y": y + 4, "text-anchor": "middle"}
        add(mark, "text", label, text=letter(subjects, p.subject))
    keys = tuple(key(subjects, p.subject) for p in places)
    moved = MOVED if drawn != [y_px for _, y_px in spots] else ""
    notes = tuple(filter(None, (quality.remark, moved)))
    return Chart(drawing=markup(root), table=_table(places), keys=keys, notes=notes)


def _table(places: tuple[Place, ...]) -> Table:
    return Table(
        caption="Throughput and quality",
        header=("subject", "frames/s", "PSNR dB"),
        rows=tuple((p.subject, number(p.frames_per_s), f"{p.psnr_db:.2f}") for p in places),
    )


def _apart(spots: Sequence[tuple[float, float]]) -> list[float]:
    """Return how far down each mark is drawn so that none covers another on the narrowest screen.

    Args:
        spots: Across, 0..1, and down in pixels, of each.
    """
    drawn: list[tuple[float, float]] = []
    for place, y_px in spots:
        y, step_px = y_px, 2.0 * RADIUS_PX + 8
        # Towards the middle, where there is room.
        step_px = -step_px if y > TOP_PX + HEIGHT_PX / 2 else step_px
        near = [py for p, py in drawn if abs(p - place) * NARROWEST_PX < 2 * RADIUS_PX]
        while any(abs(py - y) < 2 * RADIUS_PX for py in near):
            y += step_px
        drawn.append((place, y))
    return [y for _, y in drawn]
