"""`python -m edgevae_bench.prediction MODEL --digits FOLDER`: the table of docs/predict.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from edgevae.cli.options import (
    backend_options,
    model_argument,
    open_predictor,
    tensorrt_options,
)
from edgevae.files import write_atomically
from edgevae.moving_mnist import MovingMnist, read_digits
from edgevae_bench.module_command import check_outputs, run
from edgevae_bench.prediction.picture import write_picture
from edgevae_bench.prediction.result import table, to_json
from edgevae_bench.prediction.run import evaluate

SEED = 20170101
"""Of the test clips; of MNIST's test digits, which no training sees."""


@click.command()
@model_argument
@click.option(
    "--digits",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder with the files of MNIST.",
)
@click.option("--clips", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON document.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a PNG of some clips.")
@click.option("--pictured", type=click.IntRange(min=1), default=4, show_default=True)
@backend_options
@tensorrt_options
def command(
    model: str,
    digits: Path,
    clips: int,
    output: Path | None,
    picture: Path | None,
    pictured: int,
    **backend: Any,  # Any: the options of open_predictor
) -> None:
    """Measure MODEL on Moving MNIST, 10 frames seen and 10 predicted, beside copying the last frame."""
    check_outputs(output, picture=picture)
    source = MovingMnist(read_digits(digits, part="t10k"), seed=SEED)
    with (
        open_predictor(model, **backend) as predictor,
        tqdm(total=clips, unit="clip", disable=None) as bar,
    ):
        result, shown = evaluate(
            predictor,
            source,
            clips=clips,
            pictured=pictured if picture else 0,
            done=lambda count: (bar.update(count), None)[1],
        )
    if output is not None:
        write_atomically(output, to_json(result))
    if picture is not None:
        write_picture(shown, picture)
    click.echo(table(result), nl=False)


if __name__ == "__main__":
    run(command, name="edgevae_bench.prediction")
