"""`edgevae decode`: a latents file to a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgevae.cli.clips import (
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
    epilog="\b\nExample:\n  edgevae decode edgevae-video-s clip.safetensors -o decoded.mp4"
)
@model_argument
@click.argument("latents", metavar="LATENTS", type=click.Path(path_type=Path))
@output_options("CLIP")
@quality_options
@sound_option
@tile_options
@backend_options
@tensorrt_options
@json_option
def command(
    model: str,
    latents: Path,
    output: Path,
    overwrite: bool,
    crf: int | None,
    lossless: bool,
    sound: bool,
    tile_px: int | None,
    max_memory: str | None,
    as_json: bool,
    **backend: Any,  # Any: the options of load_model
) -> None:
    """Decode LATENTS to CLIP, with the timestamps and the sound of the clip that was encoded.

    MODEL must be the one that encoded it. CLIP is H.264 in .mp4, .mov or .mkv, or .png for one frame. Frames of an odd
    width or height are written as 4:4:4, which some players do not show.
    """
    from edgevae.video import decode_file

    tiling = tiling_of("decode", tile_px=tile_px, max_memory=max_memory)
    with load_model(model, tiling=tiling, **backend) as vae, progress_bar("decode") as progress:
        result = decode_file(
            vae,
            latents,
            output,
            crf=crf,
            lossless=lossless,
            sound=sound,
            overwrite=overwrite,
            progress=progress,
        )
    print_clip(result, as_json=as_json)
