"""`edgevae reconstruct`: a clip to a clip, through the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevae.cli.clips import (
    channels_option,
    damage_option,
    output_options,
    print_clip,
    progress_bar,
    quality_options,
    sound_option,
)
from edgevae.cli.options import (
    backend_options,
    json_option,
    load_model,
    model_argument,
    tensorrt_options,
)
from edgevae.cli.tile_options import tile_options, tiling_of


@click.command(
    epilog="\b\nExample:\n  edgevae reconstruct edgevae-video-s clip.mp4 -o kept.mkv --lossless"
)
@model_argument
@click.argument("clip", metavar="CLIP", type=click.Path(path_type=Path))
@output_options("CLIP")
@channels_option
@quality_options
@sound_option
@damage_option
@tile_options
@backend_options
@tensorrt_options
@json_option
def command(
    model: str,
    clip: Path,
    output: Path,
    overwrite: bool,
    channels: int | None,
    crf: int | None,
    lossless: bool,
    sound: bool,
    allow_damaged: bool,
    tile_px: int | None,
    max_memory: str | None,
    as_json: bool,
    **backend: Any,  # Any: the options of load_model
) -> None:
    """Encode and decode CLIP, write what the model keeps of it, and print the PSNR against CLIP.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model. The output is H.264 in
    .mp4, .mov or .mkv, or .png for an image. The PSNR is measured before H.264.
    """
    from edgevae.video import reconstruct_file

    tiling = tiling_of("reconstruct", tile_px=tile_px, max_memory=max_memory)
    with (
        load_model(model, tiling=tiling, **backend) as vae,
        progress_bar("reconstruct") as progress,
    ):
        result = reconstruct_file(
            vae,
            clip,
            output,
            channels=channels,
            crf=crf,
            lossless=lossless,
            sound=sound,
            overwrite=overwrite,
            allow_damaged=allow_damaged,
            progress=progress,
        )
    print_clip(result, as_json=as_json)
