"""`edgevae evaluate`: how faithful a model is on clips, and the figures and picture of its card."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevae.cli.options import model_argument, resolve_model
from edgevae.errors import GateError, InputError
from edgevae_bench.evaluation.options import output_options, what_options, where_options
from edgevae_bench.options import require_place

if TYPE_CHECKING:
    from edgevae_bench.evaluation.plan import Plan, Progress
    from edgevae_bench.evaluation.result import Evaluation


@click.command(
    epilog="\b\nExamples:\n"
    "  edgevae evaluate edgevae-video-s clips/*.mp4\n"
    "  edgevae evaluate edgevae-video-s clips/*.mp4 --card --json quality.json --markdown quality.md\n"
    "  edgevae evaluate mine.bundle a.mp4 b.mp4 --grid grid.png --show a:8:120,40 --min-psnr 30"
)
@model_argument
@click.argument("clips", metavar="CLIPS...", nargs=-1, required=True)
@what_options
@where_options
@output_options
def command(
    model: str,
    clips: tuple[str, ...],
    json_file: Path | None,
    markdown: Path | None,
    grid: Path | None,
    show: tuple[str, ...],
    min_psnr: float | None,
    min_ssim: float | None,
    **what: Any,  # Any: what to measure and where, which Plan names
) -> None:
    """Measure how faithful MODEL is on the beginning of each of CLIPS, video files or still images.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model.

    PSNR, worst frame, SSIM, MS-SSIM, chunk-boundary flicker and detail for each clip and their means, on the CPU in
    fp32 by default, so that the same clips give the same figures everywhere.
    """
    _require_places(json_file, markdown, grid)
    if show and grid is None:
        raise InputError("--show: got rows of a grid but no --grid; say where to write it")
    from edgevae_bench.evaluation import render
    from edgevae_bench.evaluation.grid import Grid, cells_for
    from edgevae_bench.evaluation.run import evaluate

    plan = _plan(model, clips, **what)
    rows = Grid(cells_for(clips, show) if grid else ())
    with _progress() as progress:
        found = evaluate(plan, progress=progress, on_chunk=rows.see)
    _write(found, json_file, markdown)
    if grid is not None:
        rows.write(grid, model=found.model.name)
    click.echo(render.to_text(found))
    _gate(found, min_psnr=min_psnr, min_ssim=min_ssim)


def _require_places(json_file: Path | None, markdown: Path | None, grid: Path | None) -> None:
    """Refuse before the measuring, not after it, a file that could not be written."""
    for path, option, suffix in (
        (json_file, "--json", ".json"),
        (markdown, "--markdown", ".md"),
        (grid, "--grid", ".png"),
    ):
        require_place(path, option, suffix=suffix)


def _write(found: Evaluation, json_file: Path | None, markdown: Path | None) -> None:
    """Write the documents that were asked for."""
    from edgevae.files import write_atomically
    from edgevae_bench.evaluation.render import to_markdown
    from edgevae_bench.evaluation.result import write_json

    if json_file is not None:
        write_json(found, json_file)
    if markdown is not None:
        write_atomically(markdown, to_markdown(found).encode())


def _plan(
    model: str,
    clips: tuple[str, ...],
    *,
    frames: int,
    sides_px: tuple[int, ...],
    latents_8bit: bool,
    half: bool,
    x264: bool,
    card: bool,
    channels: str,
    backend: str,
    device: str,
    precision: Any,  # Any: a string, which the runtime checks
    threads: int | None,
) -> Plan:
    """Return the plan of the options."""
    from edgevae.runtime.shipped import locate
    from edgevae_bench.environment import default_threads
    from edgevae_bench.evaluation.plan import Plan
    from edgevae_bench.evaluation.variants import find_checkpoint

    return Plan(
        bundle=resolve_model(model),
        checkpoint=find_checkpoint(locate(model)),
        clips=clips,
        max_frames=frames or None,
        sides_px=(*sides_px, 256) if card else sides_px,
        latents_8bit=latents_8bit or card,
        half=half or card,
        x264=x264 or card,
        channels=_numbers(channels),
        threads=threads or default_threads(),
        backend=backend,
        device=device,
        precision=precision,
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of `4,8,16`."""
    words = [word.strip() for word in text.split(",")] if text else []
    if not all(word.isdecimal() for word in words):
        raise InputError(f"--channels: got {text!r}, expected numbers, for example 4,8,16")
    return tuple(map(int, words))


def _gate(found: Evaluation, *, min_psnr: float | None, min_ssim: float | None) -> None:
    """Return if the means are high enough.

    Raises:
        GateError: one is not, or a gate asks for what the clips do not have.
    """
    from edgevae_bench.evaluation.result import MODEL
    from edgevae_bench.evaluation.tables import PSNR, SSIM, mean

    scores = [score for clip in found.under("native") if (score := clip.score(MODEL))]
    for column, least, option in ((PSNR, min_psnr, "--min-psnr"), (SSIM, min_ssim, "--min-ssim")):
        if least is None:
            continue
        value = mean(map(column.value, scores))
        if value is None and column.unbounded:  # infinite
            continue
        if value is None or value < least:
            got = "none" if value is None else f"{value:.4f}"
            raise GateError(
                f"{option}: got {got} as the mean {column.name} of {found.model.name}, expected at least {least:g}"
            )


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Yield a function that moves a bar on stderr."""
    from tqdm import tqdm

    with tqdm(dynamic_ncols=True, leave=False, disable=None, unit="clip") as bar:

        def move(what: str, done: int, of: int) -> None:
            bar.set_description_str(what, refresh=False)
            bar.total, bar.n = of, done
            bar.refresh()

        yield move
