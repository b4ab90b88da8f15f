"""`edgevae benchmark`: speed, memory, energy and quality of a model on this machine, against PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import edgevae
from edgevae.cli.options import json_option, model_argument, resolve_model
from edgevae_bench.compare_cli import command as compare
from edgevae_bench.options import SWEEP, require_place, size_of
from edgevae_bench.page.options import report_options

if TYPE_CHECKING:
    from edgevae_bench.plan import Found, Plan

DEMO_CLIP = Path(edgevae.__file__).parent / "clips" / "flower.mp4"
"""The clip that the package ships."""

F = TypeVar("F", bound=Callable[..., Any])  # Any: click commands take whatever their options are


class WithCompare(click.Command):
    """The command, which hands `compare A B` over to a command of its own."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Return the context of `compare` where that is the first word, else of the benchmark."""
        if args[:1] == ["compare"]:
            return compare.make_context(f"{info_name} compare", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


def _options(function: F) -> F:
    for option in reversed(SWEEP):
        function = option(function)
    return function


@click.command(
    cls=WithCompare,
    epilog="\b\nExamples:\n"
    "  edgevae benchmark models/mine --video clip.mp4 --against runs/mine/checkpoint\n"
    "  edgevae benchmark edgevae-video-s --against edgevae-video-s --backend all --size 640x360 --size 1280x720 \\\n"
    "    -o results.json --picture frames.png\n"
    "  edgevae benchmark models/mine --min-psnr 30 --max-p99-ms 40 --json    # exit code 3 where one is missed\n"
    "  edgevae benchmark compare before.json after.json",
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
@_options
@click.option(
    "-o",
    "--output",
    metavar="JSON",
    type=click.Path(path_type=Path),
    help="Also write it here, and every sample to a .samples.jsonl beside it; written after every round.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --output that was broken off.")
@click.option(
    "--picture",
    metavar="PNG",
    type=click.Path(path_type=Path),
    help="Write source, result and difference.",
)
@report_options
@json_option
def command(
    model: str,
    video: Path,
    against: str | None,
    output: Path | None,
    picture: Path | None,
    report: Path | None,
    markdown: Path | None,
    csv: Path | None,
    as_json: bool,
    **options: Any,  # Any: those that say what is measured, see `_plan`
) -> None:
    """Measure MODEL on the frames of CLIP: latency, throughput, load time, memory, energy, quality.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model.

    Every backend runs in a process of its own, all in turns, on the same frames with the same threads. With --against
    the same weights also run in PyTorch; a speed-up is given only where both did the same work. Sizes, batches,
    precisions and backends may be given several times: every combination is measured.

    Tables for people come first, one line of JSON comes last. Compare two results with `edgevae benchmark compare`.
    """
    require_place(output, "--output", suffix=".json")
    require_place(picture, "--picture", suffix=".png")
    require_place(report, "--report", suffix=".html")
    require_place(markdown, "--markdown", suffix=".md")
    require_place(csv, "--csv", suffix=".csv")
    sizes = tuple(map(size_of, options.pop("sizes")))
    from edgevae_bench.verdicts import require_passed

    plan = _plan(resolve_model(model), video, against, output=output, sizes=sizes, **options)
    found = _measure(plan)
    _write_reports(found, html=report, markdown=markdown, csv=csv)
    _report(found, picture=picture, as_json=as_json)
    require_passed(found.result)


def _plan(
    bundle: Path,
    video: Path,
    against: str | None,
    *,
    output: Path | None,
    sizes: tuple[tuple[int, int], ...],
    frames: int,
    min_psnr: float | None,
    max_p99_ms: float | None,
    percentile: str | None,
    threads: int | None,
    boundaries: tuple[Any, ...],  # Any: click has checked that they are boundaries
    resume: bool,
    **options: Any,  # Any: those that have the plan's own names
) -> Plan:
    from edgevae.runtime.shipped import locate
    from edgevae_bench import environment
    from edgevae_bench.plan import Plan
    from edgevae_bench.result import Gates
    from edgevae_bench.work import BOUNDARIES

    gated = "90" if max_p99_ms is None else "99"
    return Plan(
        bundle=bundle,
        checkpoint=None if against is None else locate(against, part="checkpoint"),
        video=video,
        threads=threads or environment.default_threads(),
        sizes_px=sizes,
        boundaries=tuple(b for b in BOUNDARIES if not boundaries or b in boundaries),
        max_frames=frames or None,
        percentile=int(percentile or gated),
        gates=Gates(min_psnr_db=min_psnr, max_p99_ms=max_p99_ms),
        output=output,
        is_resumed=resume,
        **options,
    )


def _measure(plan: Plan) -> Found:
    """Return the figures; a user who breaks off is told how to go on."""
    from edgevae_bench.progress import shown_on
    from edgevae_bench.run import run

    try:
        with shown_on(sys.stderr) as progress:
            return run(plan, progress=progress)
    except KeyboardInterrupt:
        if plan.output is not None and plan.output.exists():
            click.echo(f"edgevae: {plan.output}: go on with --resume", err=True)
        raise


def _write_reports(
    found: Found, *, html: Path | None, markdown: Path | None, csv: Path | None
) -> None:
    """Write the report files that were asked for."""
    from edgevae_bench.page.files import write_reports
    from edgevae_bench.page.view import Pictures
    from edgevae_bench.samples import by_row

    if html is not None and not found.shown:
        click.echo(
            "edgevae: the report has no pictures: every turn was taken by an earlier run", err=True
        )
    pictures = Pictures(subject=found.shown_subject, shown=found.shown)
    write_reports(
        found.result,
        by_row(found.samples),
        pictures=pictures,
        html=html,
        markdown=markdown,
        csv=csv,
    )


def _report(found: Found, *, picture: Path | None, as_json: bool) -> None:
    """Write the files that were asked for, then print."""
    from edgevae_bench import document, report
    from edgevae_bench.picture import write_picture

    if picture is not None:
        if not found.shown:
            click.echo("edgevae: no picture: every turn was taken by an earlier run", err=True)
        else:
            write_picture(found.shown, picture, subject=found.shown_subject)
    if not as_json:
        click.echo(report.to_text(found.result) + "\n")
    click.echo(document.to_line(found.result))
