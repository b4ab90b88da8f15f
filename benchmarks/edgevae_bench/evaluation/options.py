"""The options of `edgevae evaluate`: what is measured, where it runs, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are

_FILE = click.Path(path_type=Path, dir_okay=False)


def what_options(function: F) -> F:
    """Add the options that say what is measured."""
    function = _channels(function)
    options = (
        click.option(
            "--frames",
            type=click.IntRange(min=0),
            default=16,
            show_default=True,
            help="Frames from the start of each clip; 0 is all.",
        ),
        click.option(
            "--size",
            "sides_px",
            metavar="N",
            type=int,
            multiple=True,
            help="Also at NxN: shorter side to N, then the centre; may be repeated.",
        ),
        click.option(
            "--latents-8bit", is_flag=True, help="Also with the latents rounded to 8 bits."
        ),
        click.option(
            "--half",
            is_flag=True,
            help="Also in half precision: the fp16 graphs, and PyTorch where it is.",
        ),
        click.option(
            "--x264", is_flag=True, help="Also x264 at as many bytes as the 8-bit latents take."
        ),
        click.option(
            "--card",
            is_flag=True,
            help="All that a model card has: --size 256 --latents-8bit --half --x264.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _channels(function: F) -> F:
    return click.option(
        "--channels",
        metavar="N,...",
        default="",
        help="Also with only so many latent channels, for nested models.",
    )(function)


def where_options(function: F) -> F:
    """Add the options that say where the graphs run; not those of other commands, for figures are to be comparable."""
    options = (
        click.option(
            "--backend", default="onnxruntime", show_default=True, help="What runs the graphs."
        ),
        click.option("--device", default="cpu", show_default=True, help="Where they run."),
        click.option("--precision", default="fp32", show_default=True, help="fp32 or fp16."),
        click.option(
            "--threads",
            type=click.IntRange(min=1),
            help="CPU threads; by default one per physical core.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def output_options(function: F) -> F:
    """Add the options that say what is written, and the gates."""
    options = (
        click.option(
            "--json", "json_file", metavar="FILE", type=_FILE, help="Write all figures here."
        ),
        click.option(
            "--markdown", metavar="FILE", type=_FILE, help="Write the tables of a model card here."
        ),
        click.option(
            "--grid",
            metavar="PNG",
            type=_FILE,
            help="Write source, reconstruction and difference here.",
        ),
        click.option(
            "--show",
            metavar="CLIP[:FRAME[:X,Y]]",
            multiple=True,
            help="A row of the grid, and what is cut out; may be repeated. By default one a clip.",
        ),
        click.option(
            "--min-psnr",
            type=float,
            help="Leave with exit code 3 where the mean PSNR at native size is lower.",
        ),
        click.option("--min-ssim", type=float, help="The same for SSIM."),
    )
    for option in reversed(options):
        function = option(function)
    return function
