"""Two results, before and after: which rows are faster or slower by more than the noise of the two runs.

ratio      median after / median before; above 1 is slower
interval   of the ratio: whole blocks of neighbouring rounds are drawn anew, with replacement, in both runs, and the
medians taken again. Samples of a round and rounds near each other are alike (clock rate, neighbours), so drawing single
samples would promise more than the runs can hold.
verdict    different where the interval lies wholly beyond `FLOOR` on one side of 1. Its confidence is shared out over
all rows (Bonferroni), so that of many equal rows none is called different by chance. Of n rounds before and m after,
all of one may lie above all of the other by chance, 2 times in (n + m over n): rows whose rounds are so few that this
is more than their share of the doubt are not called different, however far apart they are.
control    PyTorch and peers, which a change of ours cannot have made slower; of one of these all other subjects. Where
they moved too, a row must differ from them as well: a machine that is slower today is no regression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from edgevae.errors import IncompatibleError
from edgevae_bench.result import Result
from edgevae_bench.samples import RowKey, Sample, by_round

CONFIDENCE = 0.95
"""That no row of a comparison is called different by chance."""

FLOOR = 0.02
"""Runs of the same program an hour apart differ by this much for reasons that neither run can see."""

DRAWS = 4000
"""How often blocks are drawn."""

Verdict: TypeAlias = Literal["faster", "slower", "same", "moved with the others", "too few rounds"]

Rounds: TypeAlias = Mapping[int, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row of both results."""

    key: RowKey
    """Subject, case, boundary, arrays, operation."""
    before_ms: float
    """Median."""
    after_ms: float
    """Median."""
    ratio: float
    """After / before."""
    low_ratio: float
    """Lower end of its interval."""
    high_ratio: float
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
    old, new = by_round(before[1]), by_round(after[1])
    keys = [key for key in old if key in new]
    if not keys:
        raise IncompatibleError(
            "compare: the results have no row in common; measure the same subjects, sizes and boundaries"
        )
    controls = {row.subject.name for row in before[0].subjects if row.subject.kind != "runtime"}
    tail = (1 - CONFIDENCE) / len(keys) / 2
    seen = {key: _interval(old[key], new[key], tail) for key in keys}
    few = {key for key in keys if _by_chance(len(old[key]), len(new[key])) > 2 * tail}
    return Comparison(
        changes=tuple(_change(key, seen, controls, key in few) for key in keys),
        only_before=tuple(map(name, (key for key in old if key not in new))),
        only_after=tuple(map(name, (key for key in new if key not in old))),
        differences=differences(before[0], after[0]),
    )


@dataclass(frozen=True)
class _Interval:
    before_ms: float
    after_ms: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        return self.after_ms / self.before_ms

    def is_beyond(self, middle: float) -> bool:
        return self.low > middle * (1 + FLOOR) or self.high < middle / (1 + FLOOR)


def _by_chance(before: int, after: int) -> float:
    """Return how likely it is that all rounds of one of two equal runs are above all of the other."""
    return 2 / math.comb(before + after, before)


def _change(
    key: RowKey, seen: Mapping[RowKey, _Interval], controls: set[str], is_short: bool
) -> Change:
    mine = seen[key]
    others = [
        np.log(one.ratio)
        for other, one in seen.items()
        if other.subject != key.subject
        and (other.subject in controls or key.subject in controls)
        and (other.case, other.boundary, other.operation) == (key.case, key.boundary, key.operation)
    ]
    control = float(np.exp(np.mean(others))) if others else None
    verdict: Verdict = "same"
    if mine.is_beyond(1.0):
        verdict = "slower" if mine.ratio > 1 else "faster"
        if control is not None and not mine.is_beyond(control):
            verdict = "moved with the others"
        elif is_short:
            verdict = "too few rounds"
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


def _interval(before: Rounds, after: Rounds, tail: float) -> _Interval:
    """Return the medians and the interval of their ratio, `tail` beyond each end."""
    drawn = [_drawn_medians(rounds, seed) for seed, rounds in enumerate((before, after))]
    low, high = np.quantile(drawn[1] / drawn[0], (tail, 1 - tail))
    medians = [
        float(np.median(np.concatenate(list(rounds.values())))) for rounds in (before, after)
    ]
    return _Interval(medians[0], medians[1], float(low), float(high))


def _drawn_medians(rounds: Rounds, seed: int) -> np.ndarray:
    """Return `DRAWS` medians of as many rounds as there are, drawn in blocks of neighbours (in a circle)."""
    table = np.stack([np.asarray(times) for _, times in sorted(rounds.items())])
    count = len(table)
    length = max(1, round(count ** (1 / 3)))
    random = np.random.default_rng(seed)
    starts = random.integers(0, count, (DRAWS, -(-count // length)))
    picks = (starts[:, :, None] + np.arange(length)) % count
    taken = table[picks.reshape(DRAWS, -1)[:, :count]]
    medians: np.ndarray = np.median(taken.reshape(DRAWS, -1), axis=1)
    return medians


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
