"""A predictor and a baseline on the same clips of Moving MNIST."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.moving_mnist import MovingMnist, Pictures
from edgevae.runtime.predictor import Predictor
from edgevae.version import __version__
from edgevae_bench.prediction.figures import frame_similarities, frame_squared_errors
from edgevae_bench.prediction.result import SCHEMA, SCHEMA_VERSION, PredictionResult, Row

SEEN_FRAMES, PREDICTED_FRAMES = 10, 10
"""Of the published protocol."""

BATCH = 16
"""Clips of one call."""

Continue = Callable[[Pictures], Pictures]
"""Grey clips `[B, 10, H, W]` to the ten frames that come after each."""


@dataclass(frozen=True)
class Shown:
    """One clip for the picture, grey `[10, H, W]` each."""

    seen: Pictures
    """What was shown."""
    true: Pictures
    """What comes after it."""
    said: Pictures
    """What was predicted."""


def evaluate(
    predictor: Predictor,
    source: MovingMnist,
    *,
    clips: int,
    pictured: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> tuple[PredictionResult, tuple[Shown, ...]]:
    """Return the figures of a predictor and of copying the last frame, and some clips to look at.

    Args:
        predictor: Open.
        source: Of the clips; those from index 0 on are taken.
        clips: How many; 10,000 in the published protocol.
        pictured: How many to return.
        done: Told after each batch how many clips it had.

    Raises:
        InputError: a number of clips below 1.
    """
    if clips < 1:
        raise InputError(f"clips: got {clips}, expected at least 1")
    subjects: dict[str, Continue] = {
        "copy the last frame": copy_last,
        predictor.name: lambda seen: predicted(predictor, seen),
    }
    errors: dict[str, list[np.ndarray]] = {name: [] for name in subjects}
    similarities: dict[str, list[np.ndarray]] = {name: [] for name in subjects}
    shown: list[Shown] = []
    for batch in _batches(source, clips):
        seen, true = batch[:, :SEEN_FRAMES], batch[:, SEEN_FRAMES:]
        for name, subject in subjects.items():
            said = subject(seen)
            errors[name].append(frame_squared_errors(said, true))
            flat = (-1, *true.shape[-2:])
            similarities[name].append(frame_similarities(said.reshape(flat), true.reshape(flat)))
        if len(shown) < pictured:  # the predictor was the last subject
            shown += [Shown(*one) for one in zip(seen, true, said, strict=True)]
        done(len(batch))
    rows = tuple(_row(name, errors[name], similarities[name]) for name in subjects)
    result = PredictionResult(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        model=predictor.name,
        bundle_sha256=predictor.vae.digest,
        backend=f"{predictor.vae.backend} {predictor.vae.device}",
        precision=predictor.vae.precision,
        edgevae_version=__version__,
        digits_sha256=sha256(source.digits.tobytes()),
        clips=clips,
        seed=source.seed,
        seen_frames=SEEN_FRAMES,
        predicted_frames=PREDICTED_FRAMES,
        rows=rows,
    )
    return result, tuple(shown[:pictured])


def copy_last(seen: Pictures) -> Pictures:
    """Return the last frame, ten times."""
    return np.repeat(seen[:, -1:], PREDICTED_FRAMES, axis=1)


def predicted(predictor: Predictor, seen: Pictures) -> Pictures:
    """Return what a predictor says; of its colours, which are nearly equal, the green one."""
    frames = np.repeat(seen[..., None], 3, axis=-1)
    said: Pictures = predictor.predict(frames, PREDICTED_FRAMES)[..., 1]
    return said


def _batches(source: MovingMnist, clips: int) -> Iterator[Pictures]:
    for first in range(0, clips, BATCH):
        yield source.batch(first, min(BATCH, clips - first))


def _row(name: str, errors: list[np.ndarray], similarities: list[np.ndarray]) -> Row:
    by_frame = np.concatenate(errors).mean(0)
    return Row(
        name=name,
        mse=float(by_frame.mean()),
        ssim=float(np.concatenate(similarities).mean()),
        mse_by_frame=tuple(by_frame.tolist()),
    )
