"""`edgevae generate`: clips out of noise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from edgevae.cli.clips import output_options, print_clip, progress_bar, quality_options
from edgevae.cli.options import (
    backend_options,
    json_option,
    model_argument,
    open_generator,
    tensorrt_options,
)
from edgevae.errors import InputError


@click.command(
    epilog="\b\nExample:\n  edgevae generate edgevae-generate-digits --frames 20 --count 9 --seed 1 -o digits.mp4"
)
@model_argument
@output_options("CLIP")
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many frames each clip has.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many clips."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Decides what they show.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0.0),
    default=1.0,
    show_default=True,
    help="Factor on the noise: below 1 less varied.",
)
@click.option(
    "--size", metavar="HxW", default=None, help="Height and width, where not the model's own."
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0.0, min_open=True),
    default=10.0,
    show_default=True,
    help="Frames a second.",
)
@click.option("--separate", is_flag=True, help="A file for each clip: NAME-0.mp4, NAME-1.mp4, ...")
@click.option(
    "--plain-normal",
    is_flag=True,
    help="Decode noise as it is, though MODEL is a VAE: what a plain normal looks like.",
)
@quality_options
@backend_options
@tensorrt_options
@json_option
def command(
    model: str,
    output: Path,
    overwrite: bool,
    frames: int,
    count: int,
    seed: int,
    temperature: float,
    size: str | None,
    fps: float,
    separate: bool,
    plain_normal: bool,
    crf: int | None,
    lossless: bool,
    as_json: bool,
    **backend: Any,  # Any: the options of open_generator
) -> None:
    """Write clips that MODEL makes out of noise; the same seed makes the same clips.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model, with a prior, or with a
    decoder that takes noise. Several clips play side by side in one .mp4, .mov, .mkv or .gif; in a .png every clip is a
    row of its frames.
    """
    from edgevae.video import generate_files

    with (
        open_generator(model, plain_normal=plain_normal, **backend) as generator,
        progress_bar("generate") as progress,
    ):
        results = generate_files(
            generator,
            output,
            frames=frames,
            count=count,
            seed=seed,
            temperature=temperature,
            size=None if size is None else _height_and_width(size),
            rate=Fraction(fps).limit_denominator(1001),
            separate=separate,
            crf=crf,
            lossless=lossless,
            overwrite=overwrite,
            progress=progress,
        )
    for result in results:
        print_clip(result, as_json=as_json)


def _height_and_width(text: str) -> tuple[int, int]:
    from edgevae.engine.profile import parse_size

    size = parse_size(text)
    if size.batch != 1:
        raise InputError(f"size: got {text}, expected HEIGHTxWIDTH; --count says how many clips")
    return size.height, size.width
