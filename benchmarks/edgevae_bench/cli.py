"""`edgevae benchmark`: speed, memory and quality of a model on this machine, against PyTorch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import edgevae
from edgevae.cli.options import backend_options, json_option, model_argument, resolve_model
from edgevae.errors import InputError

if TYPE_CHECKING:
    from edgevae_bench.plan import Found, Progress

DEMO_CLIP = Path(edgevae.__file__).parent / "clips" / "flower.mp4"
"""The clip that the package ships."""

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")


@click.command(
    epilog="\b\nExamples:\n"
    "  edgevae benchmark models/mine --video clip.mp4 --against runs/mine/checkpoint\n"
    "  edgevae benchmark edgevae-video-xs --video clip.mp4 --size 640x360 -o results.json --picture frames.png"
)
@model_argument
@click.option(
    "--video",
    metavar="CLIP",
    type=click.Path(path_type=Path),
    default=DEMO_CLIP,
    help="Video whose frames are used; by default the package's own, a flower.",
)
@click.option(
    "--against",
    metavar="CHECKPOINT",
    help="What MODEL was exported from: measure it in PyTorch too.",
)
@click.option(
    "--frames",
    type=click.IntRange(min=0),
    default=64,
    show_default=True,
    help="Frames to use; 0 is all.",
)
@click.option("--size", metavar="WxH", help="Resize the frames first, for example to 640x360.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Samples of each latency.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Of the order in which subjects take turns.",
)
@backend_options
@click.option(
    "-o",
    "--output",
    metavar="JSON",
    type=click.Path(path_type=Path),
    help="Also write it here, with every sample.",
)
@click.option(
    "--picture",
    metavar="PNG",
    type=click.Path(path_type=Path),
    help="Write source, result and difference.",
)
@json_option
def command(
    model: str,
    video: Path,
    against: str | None,
    frames: int,
    size: str | None,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
    **options: Any,  # Any: those of the runtime and of the clock, which Plan names
) -> None:
    """Measure MODEL on the frames of CLIP: time per chunk, load time, peak memory, quality of the reconstruction.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model.

    With --against the same weights also run in PyTorch, eager and channels-last: on the same frames, with the same
    threads, in turns. A speed-up is given only where both did the same work.

    Tables for people come first, one line of JSON comes last.
    """
    require_place(output, "--output", suffix=".json")
    require_place(picture, "--picture", suffix=".png")
    size_px = size_of(size)
    from edgevae.runtime.shipped import locate
    from edgevae_bench import environment
    from edgevae_bench.clip import Clip
    from edgevae_bench.plan import Plan
    from edgevae_bench.run import run

    options["threads"] = options["threads"] or environment.default_threads()
    clip = Clip(path=str(video), max_frames=frames or None, size_px=size_px)
    checkpoint = None if against is None else locate(against, part="checkpoint")
    plan = Plan(bundle=resolve_model(model), checkpoint=checkpoint, clip=clip, **options)
    with _progress() as progress:
        found = run(plan, progress=progress)
    _report(found, output=output, picture=picture, as_json=as_json)


def _report(found: Found, *, output: Path | None, picture: Path | None, as_json: bool) -> None:
    """Write the files that were asked for, then print."""
    from edgevae_bench import report
    from edgevae_bench.picture import write_picture

    if output is not None:
        report.write_json(found.result, output)
    if picture is not None:
        write_picture(found.shown, picture, subject=found.shown_subject)
    if not as_json:
        click.echo(report.to_text(found.result) + "\n")
    click.echo(report.to_line(found.result))


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Yield a function that moves a bar on stderr."""
    from tqdm import tqdm

    with tqdm(dynamic_ncols=True, leave=False, disable=None) as bar:

        def move(what: str, done: int, of: int | None) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total, bar.n = of, done
            bar.refresh()

        yield move


def size_of(text: str | None) -> tuple[int, int] | None:
    """Return (H, W) of `WxH`."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InputError(
            f"--size: got {text!r}, expected width and height in pixels, for example 640x360"
        )
    return int(match[2]), int(match[1])


def require_place(path: Path | None, option: str, *, suffix: str) -> None:
    """Refuse before the measuring, not after it, a file that could not be written."""
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise InputError(f"{option}: got {path}, expected a file that ends in {suffix}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InputError(f"{option}: cannot write {path}; expected a file in a folder that exists")
