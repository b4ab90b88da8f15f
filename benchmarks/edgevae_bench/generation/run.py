"""Subjects against the same real clips, by the same classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgevae.errors import InputError
from edgevae.files import sha256
from edgevae.moving_mnist import MovingMnist
from edgevae.version import __version__
from edgevae_bench.generation import figures
from edgevae_bench.generation.clips import Subject
from edgevae_bench.generation.figures import Floats, Grey, Labels
from edgevae_bench.generation.result import SCHEMA, SCHEMA_VERSION, GenerationResult, Row

LEAST_CLIPS, LEAST_FRAMES = figures.NEIGHBOURS + 2, 3
"""Of an evaluation: neighbours that are not oneself, and a movement that changes."""
PICTURED = 2
"""Clips of each subject for the picture."""


class Readings(Protocol):
    """What is seen in clips, frame by frame."""

    @property
    def features(self) -> Floats:
        """`[N, T, F]`."""

    @property
    def probabilities(self) -> Floats:
        """`[N, T, 55]`."""


class Reader(Protocol):
    """Tells digits apart; `classifier.Classifier` is one."""

    @property
    def sha256(self) -> str:
        """What it is."""

    def read(self, clips: Grey) -> Readings:
        """Return what is seen in grey clips `[N, T, 64, 64]`."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What subjects are measured on."""

    reader: Reader
    """The classifier."""
    reference: MovingMnist
    """Real clips, of test digits."""
    wanted: Labels
    """Which pairs they show."""
    frames: int
    """Of a clip."""
    seed: int
    """That models are given."""

    def __post_init__(self) -> None:
        if len(self.wanted) < LEAST_CLIPS or self.frames < LEAST_FRAMES:
            raise InputError(
                f"evaluation: got {len(self.wanted)} clips of {self.frames} frames, expected at least {LEAST_CLIPS} "
                f"of {LEAST_FRAMES}"
            )


def evaluate(
    evaluation: Evaluation,
    subjects: Sequence[Subject],
    *,
    done: Callable[[str], None] = lambda _: None,
) -> tuple[GenerationResult, dict[str, Grey]]:
    """Return the figures of some subjects, and some clips of each `[2, T, 64, 64]` to look at.

    Args:
        evaluation: What they are measured on.
        subjects: In the order of the table.
        done: Told the name of each subject that was measured.

    Raises:
        InputError: a subject has not so many clips or frames.
    """
    count, frames = len(evaluation.wanted), evaluation.frames
    real = evaluation.reference.batch(0, count, frames=frames)
    seen = evaluation.reader.read(real)
    rows, shown = list[Row](), dict[str, Grey]()
    for subject in subjects:
        clips = subject.make(count, frames)
        shown[subject.name] = clips[:PICTURED]
        rows.append(_row(subject, clips, evaluation.reader.read(clips), real=real, seen=seen))
        done(subject.name)
    frame_labels = seen.probabilities.argmax(-1)
    result = GenerationResult(
        schema=SCHEMA,
        schema_version=SCHEMA_VERSION,
        edgevae_version=__version__,
        digits_sha256=sha256(evaluation.reference.digits.tobytes()),
        classifier_sha256=evaluation.reader.sha256,
        classifier_frame_accuracy=float((frame_labels == evaluation.wanted[:, None]).mean()),
        classifier_clip_accuracy=float(
            (figures.vote(seen.probabilities)[0] == evaluation.wanted).mean()
        ),
        clips=count,
        frames=frames,
        seed=evaluation.seed,
        rows=tuple(rows),
    )
    return result, shown


def _row(subject: Subject, clips: Grey, made: Readings, *, real: Grey, seen: Readings) -> Row:
    labels, confidences = figures.vote(made.probabilities)
    half = clips.shape[1] // 2
    first, second = (
        figures.vote(part)[0]
        for part in (made.probabilities[:, :half], made.probabilities[:, half:])
    )
    precision, recall = figures.precision_recall(seen.features.mean(1), made.features.mean(1))
    moved = figures.motion(clips)
    return Row(
        name=subject.name,
        sha256=subject.sha256,
        pairs=len(np.unique(labels)),
        digits=len(figures.digits_of(labels)),
        entropy_bits=figures.entropy_bits(labels),
        frechet=figures.frechet_distance(_flat(made), _flat(seen)),
        precision=precision,
        recall=recall,
        confidence=float(confidences.mean()),
        kept_pair=float((first == second).mean()),
        change_levels=moved.change_levels,
        speed_px=moved.speed_px,
        turn_px=moved.turn_px,
        psnr_dB=None if subject.psnr_dB is None else subject.psnr_dB(real),
    )


def _flat(readings: Readings) -> Floats:
    flat: Floats = readings.features.reshape(-1, readings.features.shape[-1])
    return flat
