"""`edgevae import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevae.cli.options import json_option, print_result
from edgevae.errors import UnavailableError
from edgevae_export.source_options import first_frames

if TYPE_CHECKING:
    from edgevae.spec import Precision


@click.command(
    epilog="\b\nExample:\n  edgevae import encoder.onnx decoder.onnx --spec spec.json -o mynet.bundle"
)
@click.argument("encoder", type=click.Path(path_type=Path))
@click.argument("decoder", type=click.Path(path_type=Path))
@click.option(
    "--spec",
    type=click.Path(path_type=Path),
    required=True,
    help="What the graphs do not say of themselves, in JSON: see docs/foreign.md.",
)
@click.option(
    "-o",
    "--output",
    "bundle",
    type=click.Path(path_type=Path),
    required=True,
    help="The bundle to write.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "both"]),
    help="Which variants; fp16 needs edgevae[autocast]. By default both where it is installed.",
)
@click.option("--name", help="The model's name; by default the folder's of ENCODER.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="A clip to check on, instead of the package's own.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
@json_option
def command(
    encoder: Path,
    decoder: Path,
    spec: Path,
    bundle: Path,
    precision: str | None,
    name: str | None,
    calibration: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a bundle of two ONNX files of somebody else, checked against what they give.

    ENCODER takes float pixels [B, 3, H, W] and gives latents [B, C, h, w], DECODER goes back; batch, height and width
    are dynamic. The files are looked through and first run in a process of their own: weights in other files, operators
    that are not ONNX's own and whatever crashes are refused (exit code 2). The bundle's graphs take and give uint8
    frames, and must agree with the files as they were, or nothing is written (exit code 3).
    """
    from tqdm import tqdm

    try:
        from edgevae_export import autocast
        from edgevae_export.import_bundle import import_bundle, steps
        from edgevae_export.verification_table import table
    except ImportError as error:
        raise UnavailableError(
            f"import: {error}; install it with `pip install 'edgevae[export]'`"
        ) from error
    only_fp32 = precision is None and not autocast.is_installed()
    chosen: tuple[Precision, ...] = ("fp32",)
    if precision == "both" or (precision is None and not only_fp32):
        chosen = ("fp32", "fp16")
    with tqdm(total=steps(chosen), unit="step", desc="import", disable=None) as bar:

        def step(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        written, result = import_bundle(
            encoder,
            decoder,
            bundle,
            spec=spec,
            precisions=chosen,
            name=name,
            calibration=first_frames(calibration) if calibration else None,
            replace_existing=overwrite,
            step=step,
        )
    total = sum(entry.bytes for entry in written.manifest.files.values())
    without = f"\nno fp16 graphs: {autocast.MISSING}" if only_fp32 else ""
    summary = {
        "bundle": str(written.path),
        "digest": written.digest,
        "bytes": total,
        "precisions": list(chosen),
        "fp16_missing": autocast.MISSING if only_fp32 else None,
    }
    print_result(
        summary,
        as_json=as_json,
        text=f"{table(result)}{without}\n{written.path}  {total} bytes  sha256 {written.digest}",
    )
