"""`edgevae predict`: the frames that come after a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevae.cli.clips import (
    damage_option,
    output_options,
    print_clip,
    progress_bar,
    quality_options,
)
from edgevae.cli.options import (
    backend_options,
    json_option,
    model_argument,
    open_predictor,
    tensorrt_options,
)


@click.command(
    epilog="\b\nExample:\n  edgevae predict edgevae-predict-digits digits.mp4 --frames 10 -o next.mp4"
)
@model_argument
@click.argument("clip", metavar="CLIP", type=click.Path(path_type=Path))
@output_options("CLIP")
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many frames to predict.",
)
@click.option(
    "--seen",
    "seen_frames",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many of the last frames of CLIP the model is shown.",
)
@quality_options
@damage_option
@backend_options
@tensorrt_options
@json_option
def command(
    model: str,
    clip: Path,
    output: Path,
    overwrite: bool,
    frames: int,
    seen_frames: int,
    crf: int | None,
    lossless: bool,
    allow_damaged: bool,
    as_json: bool,
    **backend: Any,  # Any: the options of open_predictor
) -> None:
    """Write the frames that come after the end of CLIP, as MODEL predicts them.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model, with a predictor. The
    output is H.264 in .mp4, .mov or .mkv; its timestamps go on from the last one of CLIP.
    """
    from edgevae.video import predict_file

    with open_predictor(model, **backend) as predictor, progress_bar("predict") as progress:
        result = predict_file(
            predictor,
            clip,
            output,
            frames=frames,
            seen_frames=seen_frames,
            crf=crf,
            lossless=lossless,
            overwrite=overwrite,
            allow_damaged=allow_damaged,
            progress=progress,
        )
    print_clip(result, as_json=as_json)
