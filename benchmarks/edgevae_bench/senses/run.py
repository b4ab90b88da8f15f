"""A model of several senses on windows that it was not trained on: each sense out of each subset, beside baselines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edgevae.runtime.multimodal import MultimodalVae
from edgevae.senses import Array, Sense
from edgevae.version import __version__
from edgevae_bench.senses.data import Clips, Factors, Measured
from edgevae_bench.senses.result import SCHEMA, SCHEMA_VERSION, Row, SensesResult

BATCH = 32
"""Windows of one call."""
RIDGE = 1.0
"""Of the linear readings; latents are of unit scale."""

MOMENT = "another moment of the same clip"

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def evaluate(vae: MultimodalVae, measured: Measured) -> SensesResult:
    """Return the figures of a model.

    Args:
        vae: Open.
        measured: Windows of all its senses.
    """
    names = vae.senses.names
    latents = {s: latents_of(vae, measured.test, s) for s in subsets(names)}
    means = {n: measured.training[n].mean(0, dtype=np.float64) for n in names}
    errors = {n: _error(measured.test[n], means[n][None]) for n in names}

    def share(given: Sequence[str], name: str, of: Indices | None = None) -> float:
        found = latents[tuple(given)]
        said = decoded(vae, found if of is None else found[of], name)
        return _error(measured.test[name], said) / errors[name]

    rows = [Row(given="mean of the training data", values=dict.fromkeys(names, 1.0))]
    others = {n: tuple(o for o in names if o != n) for n in names}
    clips = np.arange(len(latents[names])) if measured.clips is None else measured.clips
    for label, of in (("the wrong clip", wrong_clips(clips)), (MOMENT, other_moments(clips))):
        if of is not None:
            values = {n: share(others[n], n, of) for n in names}
            rows.append(Row(given=f"all others, of {label}", values=values))
    rows += [Row(given=g, values={n: share((g,), n) for n in names}) for g in names]
    if len(names) > 2:
        rows.append(Row(given="all others", values={n: share(others[n], n) for n in names}))
    rows.append(Row(given="all", values={n: share(names, n) for n in names}))
    return SensesResult(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        model=vae.name,
        bundle_sha256=vae.digest,
        backend=vae.backend,
        precision=vae.precision,
        edgevae_version=__version__,
        data=measured.name,
        windows=len(measured.test[names[0]]),
        training_windows=len(measured.training[names[0]]),
        deviations={n: float(np.sqrt(errors[n])) for n in names},
        unexplained=tuple(rows),
        held_out=measured.held_out,
        factors=tuple(_readings(vae, measured, latents)),
    )


def wrong_clips(clips: Indices) -> Indices | None:
    """Return for each window one of another clip, half of all windows away or the next; None where all are of one."""
    count, found = len(clips), list[int]()
    for index, clip in enumerate(clips):
        away = (index - count // 2 + np.arange(count)) % count
        others = away[clips[away] != clip]
        if not len(others):
            return None
        found.append(int(others[0]))
    return np.array(found)


def other_moments(clips: Indices) -> Indices | None:
    """Return for each window one of the same clip, half of its windows away; None where a clip has one alone.

    Of a short clip these still share moments, which makes them the better to say what is asked for.
    """
    found = np.zeros(len(clips), np.int64)
    for clip in np.unique(clips):
        (own,) = np.nonzero(clips == clip)
        if len(own) < 2:
            return None
        found[own] = np.roll(own, len(own) // 2)
    return found


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every choice of at least one sense, small ones first, in the order of the senses."""
    return [c for n in range(1, len(names) + 1) for c in itertools.combinations(names, n)]


def latents_of(vae: MultimodalVae, clips: Clips, given: Sequence[str]) -> Array:
    """Return the latents `[N, C, 1, 1]` of windows of which some senses are there."""
    count = len(clips[given[0]])
    parts = []
    for first in range(0, count, BATCH):
        some = {n: joined(vae.senses.sense(n), clips[n][first : first + BATCH]) for n in given}
        parts.append(vae.encode(some))
    return np.concatenate(parts)


def decoded(vae: MultimodalVae, latents: Array, name: str) -> Array:
    """Return windows `[N, ...]` of latents."""
    sense = vae.senses.sense(name)
    parts = [
        parted(sense, vae.decode(latents[first : first + BATCH].astype(np.float32), name))
        for first in range(0, len(latents), BATCH)
    ]
    return np.concatenate(parts)


def joined(sense: Sense, windows: Array) -> Array:
    """Return windows `[N, ...]` as one clip."""
    return np.concatenate(list(windows), axis=sense.time_axis)


def parted(sense: Sense, clip: Array) -> Array:
    """Return a clip as windows `[N, ...]`."""
    axis = sense.time_axis
    return np.stack(np.split(clip, clip.shape[axis] // sense.clip_shape[axis], axis=axis))


def _error(true: Array, said: Array) -> float:
    """Return the mean squared error; window by window, because all in float64 would be a lot."""
    pairs = zip(true, np.broadcast_to(said, true.shape), strict=True)
    return float(np.mean([np.square(a.astype(np.float64) - b).mean() for a, b in pairs]))


def _readings(
    vae: MultimodalVae, measured: Measured, latents: Mapping[tuple[str, ...], Array]
) -> list[Row]:
    """Return how well the true factors are read from the latents of each subset; none where they are not known."""
    if measured.training_factors is None or measured.test_factors is None:
        return []
    rows = []
    for given, found in latents.items():
        known = _flat(latents_of(vae, measured.training, given))
        values = reading(known, measured.training_factors, _flat(found), measured.test_factors)
        label = "all" if len(given) == len(vae.senses.names) else " + ".join(given)
        rows.append(Row(given=label, values=values))
    return rows


def reading(known: Values, factors: Factors, latents: Values, true: Factors) -> dict[str, float]:
    """Return R2 of each factor, and of a kind, named `shape`, the share that is right, by ridge regression.

    Args:
        known: Latents to learn from, `[N, C]`.
        factors: What is true of them.
        latents: Others.
        true: What is true of these.
    """
    found = dict[str, float]()
    for name, values in factors.items():
        kinds = np.unique(values) if name == "shape" else None
        wanted = values[:, None] if kinds is None else (values[:, None] == kinds).astype(float)
        centre = wanted.mean(0)
        design = known - known.mean(0)
        weights = np.linalg.solve(
            design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ (wanted - centre)
        )
        said = (latents - known.mean(0)) @ weights + centre
        if kinds is None:
            rest = np.square(said[:, 0] - true[name]).mean()
            found[name] = float(1.0 - rest / true[name].var())
        else:
            found[name] = float((kinds[said.argmax(1)] == true[name]).mean())
    return found


def _flat(latents: Array) -> Values:
    return latents.reshape(len(latents), -1).astype(np.float64)
