"""`edgevae translate`: a sense of a clip out of others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgevae.cli.clips import output_options
from edgevae.cli.options import (
    backend_options,
    json_option,
    model_argument,
    open_multimodal,
    print_result,
    tensorrt_options,
)
from edgevae.errors import InputError


@click.command(
    epilog="\b\nExample:\n  edgevae translate edgevae-senses-made --from sound=clip.mkv --to video -o seen.mp4"
)
@model_argument
@click.option(
    "--from",
    "sources",
    metavar="SENSE=FILE",
    multiple=True,
    required=True,
    help="A sense that is there, and the file that has it; any number of times.",
)
@click.option("--to", "sense", metavar="SENSE", required=True, help="The sense to write.")
@output_options("FILE")
@backend_options
@tensorrt_options
@json_option
def command(
    model: str,
    sources: tuple[str, ...],
    sense: str,
    output: Path,
    overwrite: bool,
    as_json: bool,
    **backend: Any,  # Any: the options of open_multimodal
) -> None:
    """Write what a SENSE would have of a clip of which MODEL is given others.

    MODEL is a bundle, a checkpoint (where PyTorch is installed) or the name of a shipped model, of several senses;
    `edgevae info MODEL` names them. Frames go to .mp4, .mov or .mkv, sound to .wav, tracks to .csv.
    """
    from edgevae.video import translate_files

    files = dict[str, Path]()
    for given in sources:
        name, separator, file = given.partition("=")
        if not (separator and name and file) or name in files:
            raise InputError(f"--from: got {given!r}, expected SENSE=FILE, each sense once")
        files[name] = Path(file)
    with open_multimodal(model, **backend) as opened:
        result = translate_files(opened, files, sense, output, overwrite=overwrite)
    text = (
        f"{result.output}: {result.sense} of {', '.join(result.given)}, {result.windows} windows, "
        f"{result.seconds:.1f} s"
    )
    print_result(asdict(result), as_json=as_json, text=text)
