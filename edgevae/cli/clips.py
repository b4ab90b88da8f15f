"""What encode, decode and reconstruct have in common: options, the progress bar, and the summary line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgevae.cli.options import print_result

if TYPE_CHECKING:
    from edgevae.video import ClipResult

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are


def output_options(metavar: str) -> Callable[[F], F]:
    """Add -o/--output and --overwrite."""

    def decorate(function: F) -> F:
        function = click.option(
            "--overwrite", is_flag=True, help="Replace the output where it exists."
        )(function)
        return click.option(
            "-o",
            "--output",
            metavar=metavar,
            required=True,
            type=click.Path(path_type=Path),
            help="The file to write; it is there whole or not at all.",
        )(function)

    return decorate


def channels_option(function: F) -> F:
    """Add --channels."""
    return click.option(
        "--channels",
        type=click.IntRange(min=1),
        default=None,
        help="Latent channels to keep: fewer are fewer bytes and a coarser picture, where the model was trained "
        "for it (`edgevae info`); by default all.",
    )(function)


def sound_option(function: F) -> F:
    """Add --sound/--no-sound."""
    return click.option(
        "--sound/--no-sound",
        default=True,
        show_default=True,
        help="Copy the sound as it is, or leave it out.",
    )(function)


def damage_option(function: F) -> F:
    """Add --allow-damaged."""
    return click.option(
        "--allow-damaged",
        is_flag=True,
        help="Take what can be read of a truncated or damaged clip, with a warning.",
    )(function)


def quality_options(function: F) -> F:
    """Add --crf and --lossless."""
    function = click.option(
        "--lossless", is_flag=True, help="Keep every bit of the frames: H.264 in RGB, large."
    )(function)
    return click.option(
        "--crf",
        type=click.IntRange(0, 51),
        default=None,
        help="Quality of H.264, 0 (best) to 51.  [default: 18]",
    )(function)


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function that moves a bar of frames on stderr, given frames done and expected."""
    from tqdm import tqdm

    with tqdm(desc=text, unit="frame", dynamic_ncols=True, leave=False, disable=None) as bar:

        def move(done: int, expected: int | None) -> None:
            bar.total = None if expected is None else max(done, expected)
            bar.update(done - bar.n)

        yield move


def print_clip(result: ClipResult, *, as_json: bool) -> None:
    """Print notes on stderr and the result on stdout."""
    for note in result.notes:
        click.echo(f"edgevae: {note}", err=True)
    parts = [
        f"{result.output}: {result.frames} frames {result.width_px}x{result.height_px}",
        f"{result.fps:.1f} frames/s",
        f"{result.output_bytes} bytes",
    ]
    if result.latents_bytes is not None:
        parts.append(
            f"latents {result.latents_bytes} bytes ({result.latent_channels} channels, "
            f"{result.bits_per_pixel:.3f} bit/pixel)"
        )
    if result.psnr_db is not None:
        parts.append(f"PSNR {result.psnr_db:.2f} dB")
    values = asdict(result) | {
        "frames_per_second": result.fps,
        "bits_per_pixel": result.bits_per_pixel,
    }
    print_result(values, as_json=as_json, text=", ".join(parts))
