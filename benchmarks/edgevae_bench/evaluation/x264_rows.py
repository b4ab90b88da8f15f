"""x264 beside a model: the same frames at the bytes of its 8-bit latents, raw and entropy-coded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from edgevae.frames import Frames
from edgevae_bench.evaluation import h264
from edgevae_bench.evaluation.codec import Tally
from edgevae_bench.evaluation.result import (
    X264_ENTROPY,
    X264_RAW,
    ClipFigures,
    Row,
    Score,
    Stream,
)


def measure_x264(
    figures: ClipFigures, source: h264.FrameSource, *, period: int, notes: list[str]
) -> tuple[ClipFigures, str | None]:
    """Return the figures with the rows of x264 added, and x264's version.

    A budget that not even the worst quality meets gets no row but a note.

    Args:
        figures: Of the clip, with the size of its 8-bit latents.
        source: The same frames.
        period: Frames of a latent step, for the flicker.
        notes: Where to add what could not be done.
    """
    assert figures.size is not None, "the plan has the 8-bit latents measured first"
    budgets = ((X264_RAW, figures.size.raw_bytes), (X264_ENTROPY, figures.size.entropy_bytes))
    rows, version = list(figures.rows), None
    for variant, budget_bytes in budgets:
        encoded = h264.encode_within(source, budget_bytes)
        if encoded is None:
            notes.append(
                f"{variant}: {figures.clip} at {figures.protocol} does not fit into {budget_bytes} bytes at any quality"
            )
            continue
        version = encoded.x264
        stream = Stream(crf=encoded.crf, stream_bytes=encoded.size_bytes, budget_bytes=budget_bytes)
        score = compare(source(), h264.decode(encoded), period=period)
        rows.append(Row(variant=variant, score=score, stream=stream))
    colour_mse = h264.colour_mse(source)
    return dataclasses.replace(figures, rows=tuple(rows), colour_mse=colour_mse), version


def compare(source: Iterable[Frames], other: Iterator[Frames], *, period: int) -> Score:
    """Return the score of frames that come one by one against a source that comes in chunks."""
    tally = Tally()
    for chunk in source:
        tally = tally.add(chunk, np.concatenate([next(other) for _ in chunk]))
    return tally.score(period=period)
