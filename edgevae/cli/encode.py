"""`edgevae encode`: a clip to a latents file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from edgevae.cli.clips import (
    channels_option,
    damage_option,
    output_options,
    print_clip,
    progress_bar,
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


@click.command(epilog="\b\nExample:\n  edgevae encode edgevae-video-s clip.mp4 -o clip.safetensors")
@model_argument
@click.argument("clip", metavar="CLIP", type=click.Path(path_type=Path))
@output_options("LATENTS")
@channels_option
@click.option(
    "--latents-dtype",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="How the latents are stored; float16 keeps 11 bits.",
)
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
    latents_dtype: Literal["float16", "float32"],
    sound: bool,
    allow_damaged: bool,
    tile_px: int | None,
    max_memory: str | None,
    as_json: bool,
    **backend: Any,  # Any: the options of load_model
) -> None:
    """Encode CLIP, a video or image, to LATENTS, a safetensors file.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model. The file has all that
    is needed to decode the clip: size, timestamps, sound, and the digest of the model.
    """
    from edgevae.video import encode_file

    tiling = tiling_of("encode", tile_px=tile_px, max_memory=max_memory)
    with load_model(model, tiling=tiling, **backend) as vae, progress_bar("encode") as progress:
        result = encode_file(
            vae,
            clip,
            output,
            channels=channels,
            dtype=latents_dtype,
            sound=sound,
            overwrite=overwrite,
            allow_damaged=allow_damaged,
            progress=progress,
        )
    print_clip(result, as_json=as_json)
