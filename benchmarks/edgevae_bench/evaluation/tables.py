"""The tables of an evaluation, each made once and rendered for a terminal or for a model card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from edgevae_bench.evaluation.result import (
    CHANNELS,
    FP16_GRAPHS,
    LATENTS_8BIT,
    MODEL,
    PYTORCH_HALF,
    ClipFigures,
    Evaluation,
    Score,
)

NAMES = {
    LATENTS_8BIT: "8-bit latents (range per clip and channel)",
    FP16_GRAPHS: "fp16 graphs",
    PYTORCH_HALF: "PyTorch in half arithmetic",
}
"""How tables call a variant."""


@dataclass(frozen=True)
class Table:
    """A table before it is rendered."""

    title: str
    """What it shows."""
    header: tuple[str, ...]
    """One name a column; the first column is text."""
    body: tuple[tuple[str, ...], ...]
    """The cells; a row whose first cell is `mean` is the mean of those above."""
    notes: tuple[str, ...] = ()
    """What must be read with it."""


@dataclass(frozen=True)
class Column:
    """A figure of a clip as a column."""

    name: str
    """With its unit."""
    value: Callable[[Score], float | None]
    """The figure."""
    digits: int
    """After the point."""
    unbounded: bool = False
    """Whether None stands for infinite, as for a PSNR, and not for undefined."""


def _finest_db(score: Score) -> float | None:
    return None if score.sharpness_db is None else score.sharpness_db[0]


COLUMNS = (
    Column("PSNR dB", lambda score: score.psnr_db, 2, unbounded=True),
    Column("worst frame dB", lambda score: score.worst_frame_psnr_db, 2, unbounded=True),
    Column("SSIM", lambda score: score.ssim, 3),
    Column("MS-SSIM", lambda score: score.ms_ssim, 3),
    Column("chunk-boundary flicker", lambda score: score.boundary_flicker_ratio, 3),
    Column("detail of 2-4 px dB", _finest_db, 2),
)
"""Of the table of quality; another measure is another line here."""

PSNR, SSIM, MS_SSIM = COLUMNS[0], COLUMNS[2], COLUMNS[3]


def quality_table(evaluation: Evaluation, protocol: str) -> Table:
    """Return the model on each clip, with the mean."""
    clips = evaluation.under(protocol)
    scores = [_need(clip, MODEL) for clip in clips]
    # A column of figures that no clip has says nothing: flicker of an image model, detail in documents from before.
    columns = [c for c in COLUMNS if c.unbounded or any(c.value(s) is not None for s in scores)]
    body = [
        (clip.clip, *(show(column, column.value(score)) for column in columns))
        for clip, score in zip(clips, scores, strict=True)
    ]
    means = (show(column, mean(map(column.value, scores))) for column in columns)
    size = "native size" if protocol == "native" else protocol
    return Table(
        f"Quality at {size}, {frames_of(evaluation)}",
        ("clip", *(column.name for column in columns)),
        (*body, ("mean", *means)),
    )


def changes_table(evaluation: Evaluation) -> Table | None:
    """Return what 8-bit latents, half precision and fewer channels change; None where nothing of it was measured."""
    body = []
    for protocol in evaluation.protocols:
        clips = evaluation.under(protocol)
        for variant in (row.variant for row in clips[0].rows):
            if variant in NAMES or variant.startswith(CHANNELS):
                body.append(_change(evaluation, variant, protocol, clips))
    if not body:
        return None
    header = ("", "size", "PSNR dB", "change, mean dB", "change, worst dB", "on", "SSIM")
    return Table("What changes the reconstruction", header, tuple(body))


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean; None where one value is None, because it would be the mean of something else."""
    known = list(values)
    present = [value for value in known if value is not None]
    return fmean(present) if present and len(present) == len(known) else None


def show(column: Column, value: float | None) -> str:
    """Return a cell."""
    if value is None:
        return "inf" if column.unbounded else "-"
    return f"{value:.{column.digits}f}"


def frames_of(evaluation: Evaluation) -> str:
    """Return which frames of a clip were used, in words."""
    count = evaluation.max_frames
    return "all frames" if count is None else f"first {count} frames of each clip"


def changes_db(clips: Sequence[ClipFigures], variant: str) -> dict[str, float]:
    """Return the PSNR of a variant less the model's, by clip; without those where one is infinite."""
    changes = {}
    for clip in clips:
        now, before = _need(clip, variant).psnr_db, _need(clip, MODEL).psnr_db
        if now is not None and before is not None:
            changes[clip.clip] = now - before
    return changes


def _change(
    evaluation: Evaluation, variant: str, protocol: str, clips: Sequence[ClipFigures]
) -> tuple[str, ...]:
    scores = [_need(clip, variant) for clip in clips]
    changes = changes_db(clips, variant)
    worst = max(changes, key=lambda name: abs(changes[name])) if changes else None
    return (
        _name(evaluation, variant),
        protocol,
        show(PSNR, mean(score.psnr_db for score in scores)),
        _signed(fmean(changes.values())) if changes else "-",
        "-" if worst is None else _signed(changes[worst]),
        worst or "-",
        show(SSIM, mean(score.ssim for score in scores)),
    )


def _name(evaluation: Evaluation, variant: str) -> str:
    if variant in NAMES:
        return NAMES[variant]
    channels = int(variant.removeprefix(CHANNELS))
    return f"{channels} channels ({evaluation.model.compression_ratio(channels):g}:1)"


def _signed(change_db: float) -> str:
    """Return a change with its sign, which a change that rounds to nothing has not."""
    text = f"{change_db:+.3f}"
    return "0.000" if float(text) == 0 else text


def _need(clip: ClipFigures, variant: str) -> Score:
    score = clip.score(variant)
    assert score is not None, "every clip has the same variants, but for x264"
    return score
