"""`edgevae export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgevae.cli.options import json_option, print_result
from edgevae.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from edgevae.frames import Frames
    from edgevae_export.verify import Verification


@click.command(
    epilog="\b\nExamples:\n  edgevae export runs/street/checkpoint -o street.bundle\n"
    "  edgevae export models/sdxl/vae -o sdxl.bundle\n"
    "  edgevae export --module mynet.vae:build --checkpoint mynet.safetensors -o mynet.bundle"
)
@click.argument("checkpoint", metavar="[CHECKPOINT]", required=False)
@click.option(
    "--module",
    help="Export what a function of yours builds, package.mod:build, in the place of CHECKPOINT.",
)
@click.option(
    "--checkpoint",
    "weights",
    type=click.Path(path_type=Path),
    help="The weights for --module, in safetensors.",
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
    "precisions",
    type=click.Choice(["fp32", "fp16", "both"]),
    default="both",
    show_default=True,
    help="Which variants.",
)
@click.option(
    "--chunk-frames",
    type=click.IntRange(min=1),
    help="Frames per call; a multiple of the temporal factor.",
)
@click.option(
    "--log-variance", is_flag=True, help="The encoder also gives the posterior's log-variance."
)
@click.option("--name", help="The model's name; by default the checkpoint's folder.")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="A clip to check on, instead of the package's own.",
)
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

    if (checkpoint is None) == (module is None):
        raise InputError("expected either CHECKPOINT or --module")
    if weights is not None and module is None:
        raise InputError("--checkpoint: goes with --module; a folder is given as CHECKPOINT alone")
    try:
        from edgevae_export.export import export_bundle, steps
        from edgevae_export.user_module import open_module
    except ImportError as error:
        raise UnavailableError(
            f"export: {error}; install it with `pip install 'edgevae[export]'`"
        ) from error
    chosen = ("fp32", "fp16") if precisions == "both" else (precisions,)
    with tqdm(total=steps(chosen), unit="step", desc="export", disable=None) as bar:  # type: ignore[arg-type]  # Choice checked it

        def step(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        written, result = export_bundle(
            open_module(module, weights) if module else str(checkpoint),
            bundle,
            precisions=chosen,  # type: ignore[arg-type]  # Choice checked it
            chunk_frames=chunk_frames,
            log_variance=log_variance,
            name=name,
            calibration=_first_frames(calibration) if calibration else None,
            replace_existing=overwrite,
            step=step,
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
        text=f"{_table(result)}\n{written.path}  {total} bytes  sha256 {written.digest}",
    )


def _table(result: Verification) -> str:
    """Return the comparisons as lines of equal columns."""
    lines = ["against PyTorch fp32           sample  channels   latents    frames     PSNR"]
    for c in result.comparisons:
        runner = f"{c.runner} {c.precision}"
        psnr = "equal" if c.frames_psnr_dB == float("inf") else f"{c.frames_psnr_dB:.1f} dB"
        lines.append(
            f"{runner:<30} {c.sample:<7} {c.channels or 'all':>8} {c.latents_max_difference:>9.2g} "
            f"{c.frames_max_levels:>3.0f} levels {psnr:>8}"
        )
    if result.fp16_peak_activation is not None:
        lines.append(
            f"peak activation in fp16: {result.fp16_peak_activation:.4g} of 65504, in {result.fp16_peak_layer}"
        )
    for what, layers in (
        ("compute in float32", result.fp16_kept_layers),
        ("give float32", result.fp16_widened_layers),
    ):
        if layers:
            lines.append(f"{len(layers)} layers of the fp16 graphs {what}: {_shortened(layers)}")
    lines += [f"{file}: {said}" for file, said in result.builds.items()]
    return "\n".join(lines)


def _shortened(names: tuple[str, ...], *, most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _first_frames(clip: Path, *, most: int = 16) -> Frames:
    """Return the first frames of a clip.

    Raises:
        InputError: the clip has none.
        UnavailableError: PyAV is not installed.
    """
    import numpy as np

    try:
        from edgevae.video import open_video
    except ImportError as error:
        raise UnavailableError(
            f"video: {error}; install it with `pip install 'edgevae[video]'`"
        ) from error
    groups, count = [], 0
    with open_video(clip) as reader:
        for group in reader:
            groups.append(group.frames)
            count += len(group.frames)
            if count >= most:
                break
    if not groups:
        raise InputError(f"{clip}: holds no frame; give a clip with pictures")
    return np.concatenate(groups)[:most]
