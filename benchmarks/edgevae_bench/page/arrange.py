"""A result and its samples as what the page shows.

The schema is known here, in `costs`, `facts`, `headlines`, `tables` and `csv_table`, and nowhere else in the page.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from edgevae_bench.page import costs, facts, headlines, tables
from edgevae_bench.page.scale import number
from edgevae_bench.page.view import Chapter, Contest, Course, Fact, Place, Times, Verdict, View
from edgevae_bench.result import LatencyRow, Result
from edgevae_bench.result import Verdict as Judged
from edgevae_bench.samples import RowKey
from edgevae_bench.work import Boundary, Case, Operation, Work

Samples: TypeAlias = Mapping[RowKey, Sequence[float]]
"""Milliseconds of every sample by latency row, as `edgevae_bench.samples.by_row` gives them; may lack rows."""

BOUNDARY_ORDER: tuple[Boundary, ...] = ("call", "stream", "graph", "file")
"""What an app waits for comes first."""

OPERATION_ORDER: tuple[Operation, ...] = ("encode", "decode", "round_trip")

WHAT = {
    "call": "one call at a time, waited for",
    "stream": "chunk by chunk with its state",
    "graph": "the graphs alone",
    "file": "video file to latents file to video file",
}
"""A boundary in words."""


def arrange(result: Result, samples: Samples) -> View:
    """Return what the page shows of a result.

    Args:
        result: What was found; of a run that was broken off, what there is.
        samples: For the distributions.
    """
    return View(
        title=result.model.name,
        subtitle=facts.subtitle(result),
        headlines=headlines.headlines(result),
        verdicts=tuple(map(_verdict, result.verdicts)),
        warnings=_warnings(result),
        absent=_absent(result),
        subjects=tuple(dict.fromkeys(row.subject.name for row in result.subjects)),
        chapters=tuple(_chapter(result, case, samples) for case in result.settings.cases),
        tables=tables.tables(result),
        method=facts.method(result),
        machine=facts.machine(result.environment),
        command=shlex.join(result.command),
    )


def words(work: Work) -> tuple[str, str]:
    """Return boundary and operation as headings; subjects whose work has equal words may stand on one axis."""
    where = ", arrays on the device" if work.arrays == "device" else ""
    size = f"{work.sample_frames} frames" if work.boundary != "file" else "the whole file"
    operation = work.operation.replace("_", " ")
    return f"{work.boundary}: {WHAT[work.boundary]}{where}", f"{operation}, {size}"


def _chapter(result: Result, case: Case, samples: Samples) -> Chapter:
    rows = [row for row in result.latency if row.work.case == case]
    places, places_text = _places(result, case, rows)
    batch = f", {case.batch_clips} clips side by side" if case.batch_clips > 1 else ""
    return Chapter(
        title=f"{case.width_px}x{case.height_px}{batch}",
        contests=_contests(rows, samples),
        places=places,
        places_text=places_text,
        courses=_courses(result, case),
        chunk_frames=max(row.subject.chunk_frames for row in result.subjects),
        bar_charts=costs.bar_charts(result, case),
    )


def _contests(rows: Sequence[LatencyRow], samples: Samples) -> tuple[Contest, ...]:
    grouped: dict[tuple[int, str, int, str], list[LatencyRow]] = {}
    for row in rows:
        first = BOUNDARY_ORDER.index(row.work.boundary)
        boundary, title = words(row.work)
        second = OPERATION_ORDER.index(row.work.operation)
        grouped.setdefault((first, boundary, second, title), []).append(row)
    return tuple(
        Contest(boundary=boundary, title=title, rows=tuple(_times(row, samples) for row in found))
        for (_, boundary, _, title), found in sorted(grouped.items(), key=lambda item: item[0])
    )


def _times(row: LatencyRow, samples: Samples) -> Times:
    work, latency = row.work, row.latency
    key = RowKey(str(work.case), row.subject, work.boundary, work.arrays, work.operation)
    return Times(
        subject=row.subject,
        samples_ms=tuple(samples.get(key, ())),
        median_ms=latency.median_ms,
        p99_ms=latency.p99_ms,
        few_for_p99=99 in latency.undersampled_percentiles,
    )


def _places(
    result: Result, case: Case, rows: Sequence[LatencyRow]
) -> tuple[tuple[Place, ...], str]:
    """Return where subjects stand, by the round trips of the first boundary that was measured, and which that is."""
    quality = {
        row.subject: row.quality.psnr_db
        for row in result.quality
        if row.case == case and row.against == "source"
    }
    equal = ", ".join(name for name, psnr in quality.items() if psnr is None)
    remark = f". Without a place, because equal to the source: {equal}" if equal else ""
    for boundary in ("stream", "call", "graph", "file"):
        found = [
            row
            for row in rows
            if row.work.boundary == boundary
            and row.work.operation == "round_trip"
            and quality.get(row.subject) is not None
        ]
        # On a GPU there are rows with arrays on the host and on the device: one kind for all.
        arrays = {"host", "file"} & {row.work.arrays for row in found} or {"device"}
        if found:
            places = tuple(
                Place(
                    subject=row.subject,
                    frames_per_s=row.frames_per_s,
                    psnr_db=quality[row.subject] or 0.0,
                )
                for row in found
                if row.work.arrays in arrays
            )
            return places, f"Round trip, {boundary}: {WHAT[boundary]}{remark}"
    return (), ""


def _courses(result: Result, case: Case) -> tuple[Course, ...]:
    return tuple(
        Course(
            subject=row.subject,
            values=tuple(math.inf if v is None else v for v in row.quality.frames_psnr_db),
        )
        for row in result.quality
        if row.case == case and row.against == "source" and row.quality.frames_psnr_db
    )


def _verdict(judged: Judged) -> Verdict:
    case = f"{judged.case.width_px}x{judged.case.height_px}, batch {judged.case.batch_clips}"
    value = "infinite" if judged.value is None else number(judged.value)
    notes = [judged.note, None if judged.decides else "to compare with, does not decide"]
    note = "".join(f" ({text})" for text in notes if text)
    text = f"{judged.subject}, {case}: {judged.what} {value}, {judged.gate} {number(judged.limit)}{note}"
    return Verdict(passed=judged.passed, decides=judged.decides, text=text)


def _warnings(result: Result) -> tuple[str, ...]:
    if result.is_complete:
        return result.warnings
    return ("the run was broken off: these are the figures up to then", *result.warnings)


def _absent(result: Result) -> tuple[Fact, ...]:
    """Return one line per reason, with the subjects that it is about."""
    found: dict[str, dict[str, None]] = {}
    for row in result.subjects:
        if row.status != "measured":
            told = f"{row.status}: {row.reason or 'no reason given'}"
            found.setdefault(told, {})[row.subject.name] = None
        for what, reason in row.unmeasured.items():
            found.setdefault(f"no {what}: {reason}", {})[row.subject.name] = None
    return tuple(Fact(name=", ".join(names), value=told) for told, names in found.items())
