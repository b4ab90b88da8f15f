"""PSNR of every frame over the clip. Subjects that cannot be told apart share a line, and the legend says so."""

from __future__ import annotations

import itertools
import math
from xml.etree.ElementTree import Element

from edgevae_bench.page.charts.chart import Chart, Key, key, write_letter
from edgevae_bench.page.drawing import (
    Attributes,
    add,
    canvas,
    colour,
    markup,
    path,
    percent,
    stretched,
    upright,
)
from edgevae_bench.page.scale import Scale, fit, number
from edgevae_bench.page.view import Course, Table

TOP_PX, HEIGHT_PX, AXIS_PX = 18, 190, 22
"""Room above for the highest label; height of the plot; height of the axis."""

ALIKE_DB = 0.05
"""Lines that are nowhere further apart than this are drawn as one."""

MAX_BOUNDARIES = 100
"""Of more chunks the boundaries are not drawn: they would be a grey area."""

Point = tuple[float, float]


def chart(courses: tuple[Course, ...], subjects: tuple[str, ...], *, chunk_frames: int) -> Chart:
    """Return a line per group of subjects.

    Args:
        courses: At least one, of equal length; one of them has a frame whose PSNR is finite.
        subjects: All subjects of the page, for the colours.
        chunk_frames: A light line is drawn where a chunk begins.
    """
    groups = _groups(courses)
    frames = len(courses[0].values)
    scale = fit((v for c in courses for v in c.values if math.isfinite(v)), ticks=4)
    told = "; ".join(f"{_names(group)}: {_range(group[0])}" for group in groups)
    root = canvas(TOP_PX + HEIGHT_PX + AXIS_PX, title="PSNR of each frame", description=told)
    _boundaries(root, frames=frames, chunk_frames=chunk_frames)
    _frame_axis(root, frames)
    part = stretched(root, top_px=TOP_PX, height_px=HEIGHT_PX)
    for group in groups:
        for points in _pieces(group[0].values, scale):
            line = {"class": f"line {colour(subjects, group[0].subject)}", "d": path(points)}
            add(part, "path", line, tip=_names(group))
        last = group[0].values[-1]
        if math.isfinite(last):
            y = TOP_PX + (1 - scale.place(last)) * HEIGHT_PX - 6
            write_letter(root, subjects, group[0].subject, across=1.0, down_px=y)
    upright(root, scale, top_px=TOP_PX, bottom_px=TOP_PX + HEIGHT_PX, unit="dB")
    return Chart(
        drawing=markup(root),
        table=_table(groups),
        keys=tuple(_key(subjects, group) for group in groups),
        notes=_notes(courses, scale),
    )


def _groups(courses: tuple[Course, ...]) -> list[list[Course]]:
    groups: list[list[Course]] = []
    for course in courses:
        for group in groups:
            if _alike(group[0], course):
                group.append(course)
                break
        else:
            groups.append([course])
    return groups


def _alike(one: Course, other: Course) -> bool:
    pairs = zip(one.values, other.values, strict=True)
    return all(a == b or abs(a - b) <= ALIKE_DB for a, b in pairs)


def _pieces(values: tuple[float, ...], scale: Scale) -> list[list[Point]]:
    """Return the line in pieces, interrupted at frames that are identical to the source."""
    last = max(len(values) - 1, 1)
    placed = [
        (i / last, 1 - scale.place(v)) if math.isfinite(v) else None for i, v in enumerate(values)
    ]
    runs = [
        [point for point in run if point is not None]
        for finite, run in itertools.groupby(placed, key=lambda point: point is not None)
        if finite
    ]
    # A single frame is a line without length: its round ends make it a dot.
    return [run * 2 if len(run) == 1 else run for run in runs]


def _boundaries(root: Element, *, frames: int, chunk_frames: int) -> None:
    if chunk_frames < 2 or frames / chunk_frames > MAX_BOUNDARIES:
        return
    for index in range(chunk_frames, frames, chunk_frames):
        x = percent((index - 0.5) / (frames - 1))
        line: Attributes = {
            "class": "boundary",
            "x1": x,
            "x2": x,
            "y1": TOP_PX,
            "y2": TOP_PX + HEIGHT_PX,
        }
        add(root, "line", line)


def _frame_axis(root: Element, frames: int) -> None:
    y = TOP_PX + HEIGHT_PX + 15
    ends = [(0, "start", "frame 0")] + ([(1, "end", f"frame {frames - 1}")] if frames > 1 else [])
    for place, anchor, label in ends:
        where: Attributes = {"class": "tick", "x": percent(place), "y": y, "text-anchor": anchor}
        add(root, "text", where, text=label)


def _notes(courses: tuple[Course, ...], scale: Scale) -> tuple[str, ...]:
    identical = {c.subject: sum(not math.isfinite(v) for v in c.values) for c in courses}
    gaps = [f"{name}: {count}" for name, count in identical.items() if count]
    found = [
        scale.remark,
        f"frames identical to the source, not drawn: {', '.join(gaps)}" if gaps else "",
    ]
    return tuple(note for note in found if note)


def _table(groups: list[list[Course]]) -> Table:
    values = zip(*(group[0].values for group in groups), strict=True)
    return Table(
        caption="PSNR of each frame in dB",
        header=("frame", *map(_names, groups)),
        rows=tuple(
            (str(i), *(f"{v:.2f}" if math.isfinite(v) else "identical" for v in row))
            for i, row in enumerate(values)
        ),
    )


def _key(subjects: tuple[str, ...], group: list[Course]) -> Key:
    alike = f" (within {ALIKE_DB:g} dB)" if len(group) > 1 else ""
    return key(subjects, group[0].subject, name=_names(group) + alike)


def _names(group: list[Course]) -> str:
    return ", ".join(course.subject for course in group)


def _range(course: Course) -> str:
    known = [value for value in course.values if math.isfinite(value)]
    return f"{number(min(known))} to {number(max(known))} dB" if known else "identical"
