"""`python -m edgevae_bench.gpu`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from edgevae_bench.cli import DEMO_CLIP, require_place, size_of
from edgevae_bench.gpu import report
from edgevae_bench.gpu.plan import GpuPlan
from edgevae_bench.gpu.result import Found
from edgevae_bench.gpu.run import run


@click.command()
@click.option(
    "-o",
    "--output",
    metavar="JSON",
    required=True,
    type=click.Path(path_type=Path),
    help="Written after every round; a run that was broken off goes on from it.",
)
@click.option(
    "--model", default="edgevae-video-xs", show_default=True, help="Bundle or shipped name."
)
@click.option(
    "--checkpoint", help="What MODEL was exported from; by default that of the shipped model."
)
@click.option(
    "--video",
    metavar="CLIP",
    default=DEMO_CLIP,
    type=click.Path(path_type=Path),
    help="Frames to use.",
)
@click.option(
    "--size", metavar="WxH", default="832x480", show_default=True, help="Resize the frames."
)
@click.option("--device", default="cuda:0", show_default=True, help="Which GPU, or cpu.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=25,
    show_default=True,
    help="Turns of each subject.",
)
@click.option(
    "--chunks",
    type=click.IntRange(min=2),
    default=4,
    show_default=True,
    help="Calls of a turn, even.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="SUBJECT",
    help="Measure this one, beside the reference; repeatable.",
)
@click.option(
    "--in-turns/--one-by-one",
    default=None,
    help="All subjects open at once, or one; by default one on a GPU that shares the CPU's memory (Jetson).",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads; by default one per physical core."
)
def command(
    output: Path,
    model: str,
    checkpoint: str | None,
    video: Path,
    size: str,
    in_turns: bool | None,
    threads: int | None,
    **plan: Any,  # Any: those of GpuPlan
) -> None:
    """Measure every backend that is usable on a GPU against PyTorch, and say what is missing and why.

    Tables come first, one line of JSON comes last. Exit code 5 where there is no GPU or nothing to measure on it.
    """
    require_place(output, "--output", suffix=".json")
    from edgevae.runtime.shipped import locate
    from edgevae_bench.clip import Clip
    from edgevae_bench.environment import default_threads

    parts = GpuPlan(
        bundle=locate(model),
        checkpoint=locate(checkpoint or model, part="checkpoint"),
        clip=Clip(path=str(video), max_frames=None, size_px=size_of(size)),
        interleaved=_has_own_memory(plan["device"]) if in_turns is None else in_turns,
        threads=threads or default_threads(),
        **plan,
    )
    kept: list[Found] = []

    def keep(found: Found) -> None:
        kept[:] = [found]
        report.write_json(found, output)

    try:
        before = report.read_json(output)
        run(parts, before=before, save=keep, say=lambda text: click.echo(text, err=True))
    finally:
        # Also where it was broken off: nothing that was measured is lost.
        for found in kept:
            click.echo(report.to_text(found) + "\n")
            click.echo(json.dumps(report.to_document(found, long=False), allow_nan=False))


def _has_own_memory(device: str) -> bool:
    """Return whether a device's memory is not the CPU's, and so large enough for several subjects."""
    from edgevae.cuda.probe import gpus

    return device == "cpu" or not any(g.integrated for g in gpus() if device.endswith(str(g.index)))
