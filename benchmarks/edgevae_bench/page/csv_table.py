"""A result as one CSV table: a line per subject, size, boundary and operation, with all that belongs to it.

Columns are keys of the JSON document, joined by a point: `latency.median_ms`. Quality, cost and energy of a subject at
that size are repeated on each of its lines, so that a spreadsheet can sort and filter them together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TypeAlias

from edgevae.strict import to_dict
from edgevae_bench.result import LatencyRow, Result
from edgevae_bench.work import Case

Cell: TypeAlias = str | int | float | bool | None

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a text begins that a spreadsheet would run."""


def to_csv(result: Result) -> str:
    """Return the table, RFC 4180 with line feeds; an empty cell is what is not known.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    rows = [_line(result, row) for row in result.latency]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: _harmless(cell) for name, cell in row.items()} for row in rows)
    return file.getvalue()


def _line(result: Result, row: LatencyRow) -> dict[str, Cell]:
    case, operation = row.work.case, row.work.operation
    machine = result.environment
    line: dict[str, Cell] = {
        "model": result.model.name,
        "cpu_name": machine.cpu_name,
        "gpu_name": None if machine.gpu is None else machine.gpu.name,
        "created_utc": result.created_utc,
    }
    line |= _flat(to_dict(row))
    line |= _quality(result, row.subject, case)
    for one in result.subjects:
        if (one.subject.name, one.case) == (row.subject, case) and one.cost is not None:
            line |= _flat({"cost": to_dict(one.cost)})
    for meter in result.energy:
        if (meter.subject, meter.work.case, meter.work.operation) == (row.subject, case, operation):
            line["energy.joules_per_frame"] = meter.joules_per_frame
            line["energy.power_w"] = meter.power_w
    return line


def _quality(result: Result, subject: str, case: Case) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    for row in result.quality:
        if (row.subject, row.case, row.against) == (subject, case, "source"):
            figures = to_dict(row.quality)
            del figures["frames_psnr_db"]
            found |= _flat({"quality": figures})
            found["quality.lpips"], found["quality.vmaf"] = row.lpips, row.vmaf
            found["quality.latents_bits_per_pixel"] = row.latents_bits_per_pixel
    return found


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, Cell]:
    """Return nested keys as one level; of a list, its items with spaces between."""
    found: dict[str, Cell] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[prefix + key] = " ".join(map(str, value))
        else:
            assert value is None or isinstance(value, (str, int, float)), "to_dict gives JSON"
            found[prefix + key] = value
    return found


def _harmless(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
