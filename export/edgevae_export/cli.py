"""`edgevae export`."""

from __future__ import annotations

from pathlib import Path

import click

from edgevae.cli.options import json_option, print_result
from edgevae.errors import UnavailableError
from edgevae.spec import Precision
from edgevae_export.source_options import first_frames, open_named, source_options


@click.command(
    epilog="\b\nExamples:\n  edgevae export runs/street/checkpoint -o street.bundle\n"
    "  edgevae export models/sdxl/vae -o sdxl.bundle\n"
    "  edgevae export --module mynet.vae:build --checkpoint mynet.safetensors -o mynet.bundle"
)
@source_options
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
    "precisions",
    type=click.Choice(["fp32", "fp16", "both"]),
    default="both",
    show_default=True,
    help="Which variants.",
)
@click.option(
    "--log-variance", is_flag=True, help="The encoder also gives the posterior's log-variance."
)
@click.option("--name", help="The model's name; by default the checkpoint's folder.")
@click.option("--overwrite", is_flag=True, help="Replace an existing bundle.")
@json_option
def command(
    checkpoint: str | None,
    module: str | None,
    weights: Path | None,
    bundle: Path,
    precisions: str,
    chunk_frames: int | None,
    log_variance: bool,
    name: str | None,
    calibration: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write CHECKPOINT as a bundle of ONNX graphs, checked against PyTorch.

    CHECKPOINT is a folder with config.json and model.safetensors, the name of a shipped model, a folder with a VAE of
    diffusers (or a pipeline), or hub:OWNER/MODEL[/FOLDER], which is downloaded. The graphs are run by ONNX Runtime on
    real frames, noise, black and white and must agree with PyTorch, or nothing is written (exit code 3).
    """
    from tqdm import tqdm

    try:
        from edgevae_export.export import export_bundle, steps
        from edgevae_export.senses import steps as senses_steps
        from edgevae_export.sources import open_senses_source
        from edgevae_export.verification_table import table
    except ImportError as error:
        raise UnavailableError(
            f"export: {error}; install it with `pip install 'edgevae[export]'`"
        ) from error
    plain = checkpoint is None or module is not None or weights is not None
    several = None if plain else open_senses_source(str(checkpoint))
    source = several or open_named(checkpoint, module, weights)
    chosen: tuple[Precision, ...] = ("fp32", "fp16") if precisions == "both" else (precisions,)  # type: ignore[assignment]  # Choice checked it
    count = (
        steps(chosen, parts=len(source.parts))
        if several is None
        else senses_steps(chosen, senses=len(several.senses.senses))
    )
    with tqdm(total=count, unit="step", desc="export", disable=None) as bar:

        def step(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        def search(runs: int, most: int) -> None:
            bar.set_postfix_str(f"search float32 layers: run {runs} of at most {max(runs, most)}")

        written, result = export_bundle(
            source,
            bundle,
            precisions=chosen,
            chunk_frames=chunk_frames,
            log_variance=log_variance,
            name=name,
            calibration=first_frames(calibration) if calibration else None,
            replace_existing=overwrite,
            step=step,
            search=search,
        )
    total = sum(entry.bytes for entry in written.manifest.files.values())
    summary = {
        "bundle": str(written.path),
        "digest": written.digest,
        "bytes": total,
        "precisions": list(chosen),
    }
    print_result(
        summary,
        as_json=as_json,
        text=f"{table(result)}\n{written.path}  {total} bytes  sha256 {written.digest}",
    )
