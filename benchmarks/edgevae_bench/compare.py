"""Two results, before and after: which rows are faster or slower by more than the noise of the two runs.

start      one process of a subject. How fast a process is depends on where its memory came to lie, by some percent, and
stays so until it ends: samples of one start are alike, however many there are, and only starts can be counted.
ratio      after / before, the median over all pairs of a start after and one before; above 1 is slower
interval   of the ratio, by the ranks of those pairs (Mann and Whitney; Hodges and Lehmann 1963), exact for few starts.
Whatever moves from start to start is in it (memory, clock rate, neighbours), and a start that was disturbed counts
as one that is slow, however slow it was.
verdict    different where the interval lies wholly beyond `FLOOR` on one side of 1. Its confidence is shared out over
all rows (Bonferroni), so that of many equal rows none is called different by chance. Of n starts before and m after,
all of one may lie above all of the other by chance, 2 times in (n + m over n): rows whose starts are so few that this
is more than their share of the doubt have no interval and are not called different, however far apart they are.
control    PyTorch and peers, which a change of ours cannot have made slower; of one of these all other subjects. Where
they moved too, a row must differ from them as well: a machine that is slower today is no regression.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from edgevae.errors import IncompatibleError
from edgevae_bench.result import Result
from edgevae_bench.samples import RowKey, Sample, by_start

CONFIDENCE = 0.95
"""That no row of a comparison is called different by chance."""

FLOOR = 0.01
"""What runs of the same program differ by for reasons that neither run can see: it is not worth a word."""

Verdict: TypeAlias = Literal["faster", "slower", "same", "moved with the others", "too few starts"]

Starts: TypeAlias = Mapping[int, Sequence[float]]
"""Milliseconds of all samples of each start."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row of both results."""

    key: RowKey
    """Subject, case, boundary, arrays, operation."""
    before_ms: float
    """Median over its starts of their medians."""
    after_ms: float
    """The same."""
    ratio: float
    """After / before: the median over all pairs of starts."""
    low_ratio: float | None
    """Lower end of its interval; None where the starts are too few for one."""
    high_ratio: float | None
    """Upper end."""
    control_ratio: float | None
    """Geometric mean of the controls' ratios for the same work; None without controls."""
    verdict: Verdict
    """What may be said."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that both results have."""

    changes: tuple[Change, ...]
    """In the order of the first result."""
    only_before: tuple[str, ...]
    """Rows that the second has not."""
    only_after: tuple[str, ...]
    """Rows that the first has not."""
    differences: tuple[str, ...]
    """In what the runs differ beside the figures: machine, versions, model, clip, settings."""


def compare(
    before: tuple[Result, Sequence[Sample]], after: tuple[Result, Sequence[Sample]]
) -> Comparison:
    """Return how the second result differs from the first; each is a document with its samples.

    Raises:
        IncompatibleError: they have no row in common.
    """
    old, new = by_start(before[1]), by_start(after[1])
    keys = [key for key in old if key in new]
    if not keys:
        raise IncompatibleError(
            "compare: the results have no row in common; measure the same subjects, sizes and boundaries"
        )
    controls = {row.subject.name for row in before[0].subjects if row.subject.kind != "runtime"}
    tail = (1 - CONFIDENCE) / len(keys) / 2
    seen = {key: _interval(old[key], new[key], tail) for key in keys}
    return Comparison(
        changes=tuple(_change(key, seen, controls) for key in keys),
        only_before=tuple(map(name, (key for key in old if key not in new))),
        only_after=tuple(map(name, (key for key in new if key not in old))),
        differences=differences(before[0], after[0]),
    )


@dataclass(frozen=True)
class _Interval:
    before_ms: float
    after_ms: float
    ratio: float
    low: float | None
    high: float | None

    def is_beyond(self, middle: float) -> bool:
        """Return whether it lies wholly beyond the floor around a ratio; without ends its middle alone is asked."""
        low, high = (self.ratio if end is None else end for end in (self.low, self.high))
        return low > middle * (1 + FLOOR) or high < middle / (1 + FLOOR)


def _change(key: RowKey, seen: Mapping[RowKey, _Interval], controls: set[str]) -> Change:
    mine = seen[key]
    others = [
        np.log(one.ratio)
        for other, one in seen.items()
        if other.subject != key.subject
        and (other.subject in controls or key.subject in controls)
        and replace(other, subject=key.subject) == key
    ]
    control = float(np.exp(np.mean(others))) if others else None
    verdict: Verdict = "same"
    if mine.is_beyond(1.0):
        verdict = "slower" if mine.ratio > 1 else "faster"
        if control is not None and not mine.is_beyond(control):
            verdict = "moved with the others"
        elif mine.low is None:
            verdict = "too few starts"
    return Change(
        key=key,
        before_ms=mine.before_ms,
        after_ms=mine.after_ms,
        ratio=mine.ratio,
        low_ratio=mine.low,
        high_ratio=mine.high,
        control_ratio=control,
        verdict=verdict,
    )


def _interval(before: Starts, after: Starts, tail: float) -> _Interval:
    """Return the ratio with its interval, `tail` beyond each end; without one where the starts are too few."""
    old, new = (
        np.array([statistics.median(times) for times in side.values()]) for side in (before, after)
    )
    ratios = np.sort(np.divide.outer(new, old).ravel())
    beyond = _ranks_beyond(len(old), len(new), tail)
    ends = (ratios[beyond - 1], ratios[-beyond]) if beyond else (None, None)
    return _Interval(
        before_ms=float(np.median(old)),
        after_ms=float(np.median(new)),
        ratio=float(np.median(ratios)),
        low=None if ends[0] is None else float(ends[0]),
        high=None if ends[1] is None else float(ends[1]),
    )


@functools.cache  # the same for most rows, and of 60 starts a second's work
def _ranks_beyond(before: int, after: int, tail: float) -> int:
    """Return the rank, from each end, of the pair whose ratio ends the interval; 0 where there is none.

    Of all orders in which the starts of equal runs can come, each as likely as another, so many have u pairs in the
    wrong order as the coefficient of x^u of the Gaussian binomial tells.
    """
    pairs = before * after
    orders = [1] + [0] * pairs
    for i in range(1, before + 1):
        for u in range(pairs, after + i - 1, -1):
            orders[u] -= orders[u - after - i]
        for u in range(i, pairs + 1):
            orders[u] += orders[u - i]
    doubt = tail * math.comb(before + after, before)
    return sum(total <= doubt for total in itertools.accumulate(orders))


def differences(before: Result, after: Result) -> tuple[str, ...]:
    """Return in what two runs differ beside their figures."""
    pairs = {
        "model": (before.model.name, after.model.name),
        "bundle": (before.model.bundle_sha256[:12], after.model.bundle_sha256[:12]),
        "clip": (before.clip.sha256[:12], after.clip.sha256[:12]),
        "commit": (before.environment.git_commit, after.environment.git_commit),
        "cpu": (before.environment.cpu_name, after.environment.cpu_name),
        "usable cores": (before.environment.usable_cores, after.environment.usable_cores),
        "gpu": (before.environment.gpu, after.environment.gpu),
        "power mode": (before.environment.power_mode, after.environment.power_mode),
        "threads": (before.settings.threads, after.settings.threads),
        "chunks": (before.settings.chunks, after.settings.chunks),
        "starts": (before.settings.starts, after.settings.starts),
        "whole run": (before.is_complete, after.is_complete),
        "device": (before.settings.device, after.settings.device),
        "in turns": (before.settings.is_interleaved, after.settings.is_interleaved),
    }
    for package, version in before.environment.package_versions.items():
        pairs[package] = (version, after.environment.package_versions.get(package))
    return tuple(
        f"{name}: {old} before, {new} after" for name, (old, new) in pairs.items() if old != new
    )


def name(key: RowKey) -> str:
    """Return a row's name for people."""
    return f"{key.subject} {key.case} {key.boundary}/{key.arrays} {key.operation}"
