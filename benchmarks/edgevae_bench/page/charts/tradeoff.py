"""Throughput against quality: further right is faster, further up is nearer to the source."""

from __future__ import annotations

from edgevae_bench.page.charts.chart import Chart, key, letter
from edgevae_bench.page.drawing import (
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
    for p in places:
        x = percent(speed.place(p.frames_per_s))
        y = bottom - quality.place(p.psnr_db) * HEIGHT_PX
        tip = f"{p.subject}: {number(p.frames_per_s)} frames/s, {p.psnr_db:.2f} dB"
        mark = add(root, "g", {"class": f"mark {colour(subjects, p.subject)}"}, tip=tip)
        add(mark, "circle", {"cx": x, "cy": y, "r": RADIUS_PX})
        label: Attributes = {"x": x, "y": y + 4, "text-anchor": "middle"}
        add(mark, "text", label, text=letter(subjects, p.subject))
    table = Table(
        caption="Throughput and quality",
        header=("subject", "frames/s", "PSNR dB"),
        rows=tuple((p.subject, number(p.frames_per_s), f"{p.psnr_db:.2f}") for p in places),
    )
    keys = tuple(key(subjects, p.subject) for p in places)
    notes = (quality.remark,) if quality.remark else ()
    return Chart(drawing=markup(root), table=table, keys=keys, notes=notes)
