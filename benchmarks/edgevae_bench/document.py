"""The JSON document of a result: written, read again, alone or with its samples, and as one line."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgevae.errors import IncompatibleError
from edgevae.files import write_atomically
from edgevae.strict import from_dict, to_dict
from edgevae_bench import samples
from edgevae_bench.result import SCHEMA, SCHEMA_VERSION, Result
from edgevae_bench.samples import RowKey, Sample

DIGITS = 6
"""Significant digits of a number in the document."""

LONG_KEYS = ("frames_psnr_db",)
"""Lists with an entry per frame, which are in the file and not in the line on stdout."""


def to_document(result: Result, *, long: bool) -> dict[str, Any]:  # Any: JSON
    """Return the result as JSON-like data: units in the keys, six significant digits, no paths of this machine.

    Args:
        result: What was found.
        long: With a number for every frame.
    """
    rows = tuple(
        replace(row, subject=replace(row.subject, path=Path(row.subject.path).name))
        for row in result.subjects
    )
    document: dict[str, Any] = _plain(to_dict(replace(result, subjects=rows)), long=long)
    return document


def rounded(result: Result) -> Result:
    """Return the result as it is once it has been written and read again."""
    return from_dict(Result, to_document(result, long=True), where="result")


def to_line(result: Result) -> str:
    """Return the document on one line, without the long lists."""
    return json.dumps(to_document(result, long=False), allow_nan=False)


def write_json(result: Result, path: Path) -> None:
    """Write the document with the long lists; the file is whole or as it was."""
    text = json.dumps(to_document(result, long=True), allow_nan=False, indent=1)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> Result:
    """Return the result in a file.

    Raises:
        IncompatibleError: there is no such file, or it is something else.
        ConfigError: a key is unknown, missing or of another type.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IncompatibleError(
            f"{path}: no result of a benchmark can be read there ({error})"
        ) from error
    found = (data.get("schema"), data.get("schema_version")) if isinstance(data, dict) else None
    if found != (SCHEMA, SCHEMA_VERSION):
        got = "something else" if found is None else f"schema {found[0]} {found[1]}"
        raise IncompatibleError(
            f"{path}: got {got}, expected {SCHEMA} {SCHEMA_VERSION}; measure again with `edgevae benchmark`"
        )
    return from_dict(Result, data, where=str(path))


def read_with_samples(path: Path) -> tuple[Result, list[Sample]]:
    """Return the result in a file, and the samples beside it, whatever the two are called by now.

    Raises:
        IncompatibleError: one of them is missing or something else; or the samples are another run's.
        ConfigError: as `read_json`.
    """
    result, beside = read_json(path), samples_path(path)
    taken = samples.read(beside)
    times = samples.by_row(taken)
    for row in result.latency if result.is_complete else ():
        work = row.work
        key = RowKey(str(work.case), row.subject, work.boundary, work.arrays, work.operation)
        found = len(times.get(key, ()))
        if found != row.latency.n:
            raise IncompatibleError(
                f"{beside}: got {found} samples of {row.subject} {work.boundary} {work.operation}, expected the "
                f"{row.latency.n} of {path.name}; keep each .samples.jsonl beside its own .json"
            )
    return result, taken


def samples_path(path: Path) -> Path:
    """Return where the samples of a document are."""
    return path.with_suffix(".samples.jsonl")


def _plain(value: Any, *, long: bool) -> Any:  # Any: JSON-like
    if isinstance(value, dict):
        return {
            key: [] if key in LONG_KEYS and not long else _plain(item, long=long)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_plain(item, long=long) for item in value]
    if isinstance(value, float):
        assert math.isfinite(value), "what may be infinite or undefined is None in a result"
        return float(f"{value:.{DIGITS}g}")
    return value
