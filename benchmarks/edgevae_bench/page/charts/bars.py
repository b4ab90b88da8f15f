"""Bars from zero, one per subject, each with its name above it and made of parts: memory, energy, the start."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from edgevae_bench.page.charts.chart import Chart
from edgevae_bench.page.drawing import Attributes, across, add, canvas, colour, markup, percent
from edgevae_bench.page.scale import Scale, fit, number
from edgevae_bench.page.view import Bar, BarChart, Table

ROW_PX, LABEL_PX, BAR_PX, AXIS_PX = 46, 18, 16, 22
"""Height of a row, of the label in it and of the bar under the label; height of the axis."""

SHADES = 3
"""How many shades of a colour the style sheet has for the parts of a bar."""


def chart(shown: BarChart, subjects: tuple[str, ...]) -> Chart:
    """Return a bar for each subject; one that has no figure says why.

    Args:
        shown: With at least one bar that has a part.
        subjects: All subjects of the page, for the colours.
    """
    bars, unit = shown.bars, shown.unit
    scale = fit([total(bar) for bar in bars if bar.parts], ticks=4, zero=True)
    told = "; ".join(f"{bar.subject}: {_told(bar, unit)}" for bar in bars)
    bottom = ROW_PX * len(bars)
    root = canvas(bottom + AXIS_PX, title=shown.title, description=told)
    across(root, scale, top_px=LABEL_PX, bottom_px=bottom, unit=unit)
    for index, bar in enumerate(bars):
        classes = colour(subjects, bar.subject)
        _row(root, bar, scale, top_px=ROW_PX * index, classes=classes, unit=unit)
    return Chart(drawing=markup(root), table=_table(shown), notes=_notes(bars))


def total(bar: Bar) -> float:
    """Return the length of the whole bar."""
    return sum(part.value for part in bar.parts)


def _row(root: Element, bar: Bar, scale: Scale, *, top_px: float, classes: str, unit: str) -> None:
    y = top_px + 14
    add(root, "text", {"class": "name", "x": 0, "y": y}, text=bar.subject)
    value: Attributes = {"class": "value", "x": "100%", "y": y, "text-anchor": "end"}
    add(root, "text", value, text=_told(bar, unit))
    done = 0.0
    for index, part in enumerate(bar.parts):
        start, end = scale.place(done), scale.place(done + part.value)
        done += part.value
        place: Attributes = {"x": percent(start), "y": top_px + LABEL_PX + 3, "height": BAR_PX}
        look = {"class": f"bar {classes} shade{index % SHADES}", "width": percent(end - start)}
        tip = f"{bar.subject}, {part.label}: {number(part.value)} {unit}"
        add(root, "rect", {**place, **look}, tip=tip)


def _told(bar: Bar, unit: str) -> str:
    return f"{number(total(bar))} {unit}" if bar.parts else "not known"


def _notes(bars: tuple[Bar, ...]) -> tuple[str, ...]:
    labels = next((tuple(part.label for part in bar.parts) for bar in bars if bar.parts), ())
    order = (f"from the left, from strong to light: {', '.join(labels)}",) if labels[1:] else ()
    return order + tuple(f"{bar.subject}: {bar.note}" for bar in bars if bar.note)


def _table(shown: BarChart) -> Table:
    bars, unit = shown.bars, shown.unit
    labels = tuple(dict.fromkeys(part.label for bar in bars for part in bar.parts))
    several = len(labels) > 1
    rows = []
    for bar in bars:
        known = {part.label: number(part.value) for part in bar.parts}
        sums = (number(total(bar)) if bar.parts else "-",) if several else ()
        rows.append((bar.subject, *(known.get(label, "-") for label in labels), *sums))
    return Table(
        caption=shown.title,
        header=(
            "subject",
            *(f"{label}, {unit}" for label in labels),
            *((f"together, {unit}",) if several else ()),
        ),
        rows=tuple(rows),
    )
