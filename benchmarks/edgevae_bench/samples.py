"""Every sample of a run, in a JSONL file beside its document: one line per subject, boundary, operation and round.

    {"case": "640x360x1", "subject": "onnxruntime_fp32", "boundary": "call", "arrays": "host", "operation": "encode",
     "start": 1, "round": 3, "ms": [21.4, 21.3, ...]}

Lines are appended as they are measured, so that a run that is broken off has lost nothing; a line that was cut off is
dropped when the file is read. The round trip of a chunk is the sum of its encode and decode and so has no lines of its
own, except at the boundary file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgevae.errors import IncompatibleError
from edgevae.files import write_atomically
from edgevae.strict import from_dict, to_dict
from edgevae_bench.work import Arrays, Boundary, Operation

MICROSECOND_DIGITS = 6
"""Digits of a millisecond that are kept: the clocks have no more."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The times of one turn."""

    case: str
    """Shape, as `Case` is written: 640x360x1."""
    subject: str
    """Whose."""
    boundary: Boundary
    """Where the clock starts and stops."""
    arrays: Arrays
    """Where data lies then."""
    operation: Operation
    """What was done."""
    round: int
    """Number of the turn."""
    ms: tuple[float, ...]
    """One per chunk, in order."""
    start: int = 0
    """Number of the subject's process that took it: how fast a process is depends on where its memory came to lie."""


@dataclass(frozen=True)
class RowKey:
    """What the samples of one latency row have in common."""

    case: str
    subject: str
    boundary: Boundary
    arrays: Arrays
    operation: Operation


def append(path: Path, samples: Iterable[Sample]) -> None:
    """Append whole lines and have them on the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_lines(samples))
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Sample]:
    """Return the samples of a file, without a last line that was cut off.

    Raises:
        IncompatibleError: the file is missing or something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IncompatibleError(
            f"{path}: no samples to be read there ({error}); keep the .samples.jsonl beside its .json"
        ) from error
    whole = text[: text.rfind("\n") + 1].splitlines()
    found = []
    for number, line in enumerate(whole, start=1):
        try:
            found.append(from_dict(Sample, json.loads(line), where=f"{path}:{number}"))
        except ValueError as error:
            raise IncompatibleError(f"{path}:{number}: not JSON ({error})") from error
    return found


def take_up(path: Path) -> list[Sample]:
    """Return the samples of a file that is to be appended to, made whole first.

    Where the last line was cut off, the turn before it goes too: it may be the same one, of which the rest is missing.

    Raises:
        IncompatibleError: the file is missing or something else.
    """
    found = read(path)
    if path.read_bytes().endswith(b"\n"):
        return found
    whole = [s for s in found if _turn(s) != _turn(found[-1])]
    write_atomically(path, _lines(whole).encode())
    return whole


def _turn(sample: Sample) -> tuple[str, str, int]:
    return sample.case, sample.subject, sample.round


def by_row(samples: Iterable[Sample]) -> dict[RowKey, list[float]]:
    """Return the times of every latency row, those of the round trips added, in the order of the samples."""
    found: dict[RowKey, list[float]] = {}
    for key, turns in _by_turn(samples).items():
        found[key] = [ms for _, times in sorted(turns.items()) for ms in times]
    return found


def by_start(samples: Iterable[Sample]) -> dict[RowKey, dict[int, list[float]]]:
    """Return the times of every latency row by the process that took them, those of the round trips added."""
    found: dict[RowKey, dict[int, list[float]]] = {}
    for key, turns in _by_turn(samples).items():
        starts = found.setdefault(key, {})
        for (start, _), times in sorted(turns.items()):
            starts.setdefault(start, []).extend(times)
    return found


def _by_turn(
    samples: Iterable[Sample],
) -> dict[RowKey, dict[tuple[int, int], Sequence[float]]]:
    """Return the times of every latency row, start and round, those of the round trips added."""
    found: dict[RowKey, dict[tuple[int, int], Sequence[float]]] = {}
    for s in samples:
        key = RowKey(s.case, s.subject, s.boundary, s.arrays, s.operation)
        found.setdefault(key, {})[s.start, s.round] = s.ms
    for key in [key for key in found if key.operation == "decode" and key.boundary != "file"]:
        encode = found.get(replace(key, operation="encode"), {})
        both: dict[tuple[int, int], Sequence[float]] = {
            turn: [e + d for e, d in zip(encode[turn], times, strict=True)]
            for turn, times in found[key].items()
            if turn in encode
        }
        if both:
            found[replace(key, operation="round_trip")] = both
    return found


def _lines(samples: Iterable[Sample]) -> str:
    lines = (json.dumps(to_dict(replace(s, ms=_rounded(s.ms)))) for s in samples)
    return "".join(f"{line}\n" for line in lines)


def _rounded(times: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(ms, MICROSECOND_DIGITS) for ms in times)
