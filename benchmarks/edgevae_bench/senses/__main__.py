"""`python -m edgevae_bench.senses MODEL --data DATA`: the tables of docs/multimodal.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from edgevae.cli.options import (
    backend_options,
    model_argument,
    open_multimodal,
    tensorrt_options,
)
from edgevae.files import write_atomically
from edgevae_bench.module_command import run
from edgevae_bench.senses.data import MADE_WORLD, load
from edgevae_bench.senses.picture import check_picture, write_picture
from edgevae_bench.senses.result import tables, to_json
from edgevae_bench.senses.run import evaluate


@click.command()
@model_argument
@click.option(
    "--data",
    default=MADE_WORLD,
    show_default=True,
    help="made-world, or a folder as `edgevae train --model multimodal` takes it.",
)
@click.option("--windows", type=click.IntRange(min=2), default=512, show_default=True)
@click.option("--training-windows", type=click.IntRange(min=2), default=1024, show_default=True)
@click.option(
    "--held-out",
    type=click.FloatRange(min=0.0, max=1.0, min_open=True, max_open=True),
    default=0.25,
    show_default=True,
    help="Share of a folder's clips that the run held out.",
)
@click.option(
    "--piece-seconds",
    "piece_s",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    help="Of the pieces whose middles the run held out; 0 for the end of each clip.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON document.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a PNG of some windows.")
@click.option("--pictured", type=click.IntRange(min=1), default=4, show_default=True)
@backend_options
@tensorrt_options
def command(
    model: str,
    data: str,
    windows: int,
    training_windows: int,
    held_out: float,
    piece_s: float,
    output: Path | None,
    picture: Path | None,
    pictured: int,
    **backend: Any,  # Any: the options of open_multimodal
) -> None:
    """Measure how well MODEL fills in each of its senses, beside the mean of the training data and the wrong clip."""
    if picture is not None:
        check_picture(picture)
    with open_multimodal(model, **backend) as vae:
        measured = load(
            vae.senses,
            data,
            windows=windows,
            training_windows=training_windows,
            held_out=held_out,
            piece_s=piece_s,
        )
        result = evaluate(vae, measured)
        if picture is not None:
            count = len(measured.test[vae.senses.names[0]])
            kept = np.linspace(0, count - 1, min(pictured, count)).astype(int)
            write_picture(vae, {n: w[kept] for n, w in measured.test.items()}, picture)
    if output is not None:
        write_atomically(output, to_json(result))
    click.echo(tables(result), nl=False)


if __name__ == "__main__":
    run(command, name="edgevae_bench.senses")
