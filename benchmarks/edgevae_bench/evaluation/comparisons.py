"""The tables that set a model beside something else: x264 at the same bits, other models, published figures."""

from __future__ import annotations

from collections.abc import Sequence

from edgevae_bench.evaluation.published import COMPRESSION_RATIO, PUBLISHED
from edgevae_bench.evaluation.result import (
    LATENTS_8BIT,
    MODEL,
    X264_ENTROPY,
    X264_RAW,
    ClipFigures,
    Evaluation,
)
from edgevae_bench.evaluation.tables import MS_SSIM, PSNR, SSIM, Table, mean, show
from edgevae_bench.quality import psnr_db

SHOWN = (PSNR, SSIM, MS_SSIM)
"""The measures of these tables."""


def x264_table(evaluation: Evaluation, protocol: str) -> Table | None:
    """Return the model with 8-bit latents beside x264, clip by clip at native size; None where it was not measured."""
    clips = [clip for clip in evaluation.under(protocol) if clip.score(X264_RAW)]
    if not clips:
        return None
    native = protocol == "native"
    body = [(clip.clip, *_x264_cells([clip])) for clip in clips] if native else []
    measures = ("PSNR dB", "SSIM", "MS-SSIM")
    header = (
        "clip",
        *(f"model {name}" for name in measures),
        "raw bit/px",
        *(f"x264 {name}" for name in measures),
        "coded bit/px",
        *(f"x264 {name}" for name in measures),
    )
    size = "native size" if native else protocol
    return Table(
        f"Beside x264 at the same bits, {size}",
        header,
        (*body, ("mean", *_x264_cells(clips))),
        _x264_notes(evaluation, clips) if native else (),
    )


def models_table(first: Evaluation, others: Sequence[Evaluation]) -> Table | None:
    """Return the mean of every model on the same frames of the same clips; None where there is no other."""
    body, models = [], [first, *(other for other in others if same_frames(first, other))]
    for protocol in first.protocols:
        for evaluation in models:
            clips = evaluation.under(protocol)
            if not clips:
                continue
            scores = [clip.score(MODEL) for clip in clips]
            model = evaluation.model
            cells = (
                show(column, mean(column.value(score) for score in scores if score))
                for column in SHOWN
            )
            shape = f"{model.temporal_factor} x {model.spatial_factor} x {model.spatial_factor}"
            ratio = f"{model.compression_ratio():g}:1"
            body.append((model.name, shape, ratio, protocol, *cells))
    if len(models) == 1:
        return None
    header = ("model", "frames x pixels", "values", "size", *(column.name for column in SHOWN))
    note = "`1 x 8 x 8` is an image model: it sees each frame alone."
    images = any(evaluation.model.temporal_factor == 1 for evaluation in models)
    return Table(
        "Beside the other models, same frames", header, tuple(body), (note,) if images else ()
    )


def published_table(evaluation: Evaluation) -> Table | None:
    """Return what others publish at this compression; None at another one."""
    if evaluation.model.compression_ratio() != COMPRESSION_RATIO:
        return None
    body = tuple((one.model, f"{one.psnr_db:g}", one.data, one.where) for one in PUBLISHED)
    notes = (
        "**Not the same data**: other clips, sizes and frame counts; an order of magnitude, not a ranking.",
    )
    return Table(
        "Published figures, 4 x 8 x 8 to 16 channels",
        ("model", "PSNR dB", "on", "source"),
        body,
        notes,
    )


def same_frames(one: Evaluation, other: Evaluation) -> bool:
    """Return whether both saw the same frames of the same files at native size."""
    seen = [{(c.sha256, c.frames) for c in each.under("native")} for each in (one, other)]
    return seen[0] == seen[1] and one.model.name != other.model.name


def _x264_cells(clips: Sequence[ClipFigures]) -> tuple[str, ...]:
    """Return the cells of one clip, or of the mean of several."""
    cells = list(_measures(clips, LATENTS_8BIT))
    for variant in (X264_RAW, X264_ENTROPY):
        sizes = [clip.size for clip in clips]
        bits = [
            clip.bits_per_px(size.raw_bytes if variant == X264_RAW else size.entropy_bytes)
            for clip, size in zip(clips, sizes, strict=True)
            if size
        ]
        rate = mean(bits)
        cells += ["-" if rate is None else f"{rate:.3f}", *_measures(clips, variant)]
    return tuple(cells)


def _measures(clips: Sequence[ClipFigures], variant: str) -> tuple[str, ...]:
    scores = [score for clip in clips if (score := clip.score(variant))]
    if len(scores) < len(clips):
        return tuple("-" for _ in SHOWN)
    return tuple(show(column, mean(map(column.value, scores))) for column in SHOWN)


def _x264_notes(evaluation: Evaluation, clips: Sequence[ClipFigures]) -> tuple[str, ...]:
    colour = mean(clip.colour_mse for clip in clips)
    zlib = mean(clip.bits_per_px(clip.size.zlib_bytes) for clip in clips if clip.size)
    version = evaluation.versions.get("x264", "libx264")
    alone = "nothing" if not colour else f"as much as leaves {psnr_db(colour):.1f} dB by itself"
    return (
        "The model's latents are 8-bit codes; *raw* is one byte each, *coded* an adaptive arithmetic code of order 0, "
        f"worked out ({zlib:.3f} bit/px with zlib).",
        f"x264 ({version}, preset medium, no tune) gets the same frames and at most these bytes, by a search of CRF; "
        f"every byte of its stream counts. 4:2:0 is part of its loss: {alone}.",
        "A video codec is made for fewest bits and looks many frames back and ahead; a VAE is made for latents to work "
        "with. Clips that have been through a video codec before suit it besides.",
    )
