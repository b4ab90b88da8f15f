"""`edgevae debug-precision`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgevae.cli.options import json_option, print_result
from edgevae.errors import InputError
from edgevae_export.source_options import first_frames, open_named, source_options

if TYPE_CHECKING:
    from edgevae_export.debug_precision import Diagnosis
    from edgevae_export.layer_errors import LayerError

SHOWN = 12
"""Lines of each half without --all."""


@click.command(
    epilog="\b\nExamples:\n  edgevae debug-precision models/sdxl/vae --plot sdxl.svg\n"
    "  edgevae debug-precision --module mynet.vae:build --checkpoint mynet.safetensors --all"
)
@source_options
@click.option("--all", "show_all", is_flag=True, help="Show every layer, in the order they run.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also draw all layers: an SVG file that needs nothing else.",
)
@click.option("--overwrite", is_flag=True, help="Replace the plot where it exists.")
@json_option
def command(
    checkpoint: str | None,
    module: str | None,
    weights: Path | None,
    chunk_frames: int | None,
    calibration: Path | None,
    show_all: bool,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Say layer by layer what float16 does to CHECKPOINT, and where it goes wrong first.

    Every layer is run in half precision twice, on the frames on which an export is checked: by itself, on inputs
    that are right (own), and in a network that is all in half precision (network). The first layer whose own error is
    bad and spoils those behind it is the cause. CHECKPOINT is what `edgevae export` takes. Exit code 0 whatever is
    found.
    """
    from tqdm import tqdm

    if plot is not None and plot.suffix != ".svg":
        raise InputError(f"--plot {plot}: expected a name that ends in .svg")
    if plot is not None and plot.exists() and not overwrite:
        raise InputError(f"--plot {plot}: exists; give another path, or --overwrite to replace it")
    source = open_named(checkpoint, module, weights)
    from edgevae_export.debug_precision import STEPS, diagnose

    with tqdm(total=STEPS, unit="run", desc="debug-precision", disable=None) as bar:

        def step(text: str) -> None:
            bar.set_postfix_str(text)
            bar.update()

        frames = first_frames(calibration) if calibration else None
        found = diagnose(source, chunk_frames=chunk_frames, calibration=frames, step=step)
    if plot is not None:
        from edgevae.files import write_atomically
        from edgevae_export.precision_plot import draw

        write_atomically(plot, draw(found, name=source.name).encode())
    text = "\n\n".join(_table(d, show_all=show_all) for d in found)
    result = {"model": source.name, "diagnoses": [_plain(d) for d in found]}
    if plot is not None:
        result["plot"] = str(plot)
        text += f"\n\n{plot}"
    print_result(result, as_json=as_json, text=text)


def _table(found: Diagnosis, *, show_all: bool) -> str:
    layers = found.layers if show_all else found.worst_first[:SHOWN]
    lines = [f"{found.role}: {found.verdict}"]
    if found.first_not_finite is not None:
        lines.append(f"all in half: NaN or Inf from {found.first_not_finite} on")
    lines.append("max |in|  max |out|  headroom   own dB  network dB  in export  layer")
    lines += [_line(e, found) for e in layers]
    if len(layers) < len(found.layers):
        rest = len(found.layers) - len(layers)
        lines.append(f"{rest} more, which are better; --all shows them")
    return "\n".join(lines)


def _line(error: LayerError, found: Diagnosis) -> str:
    own = _dB(error.own_snr_dB, finite=error.own_finite)
    network = _dB(error.network_snr_dB, finite=error.network_finite)
    kept = "float32" if error.layer in found.float32_in_export else "float16"
    return (
        f"{error.peak_in:>8.3g}  {error.peak_out:>9.3g}  {error.headroom:>8.3g} {own:>8}  {network:>10}  {kept:<9}  "
        f"{error.layer} ({error.kind})"
    )


def _dB(value: float, *, finite: bool) -> str:
    if not finite:
        return "NaN/Inf"
    return "exact" if value == math.inf else f"{value:.1f}"


def _plain(found: Diagnosis) -> dict[str, Any]:  # Any: JSON values
    """Return a diagnosis for JSON, where infinities are null: `own_finite` tells bad from exact."""
    from dataclasses import asdict

    data = asdict(found)
    data["layers"] = [_row(e) for e in found.layers]
    return data


def _row(error: LayerError) -> dict[str, Any]:
    from dataclasses import asdict

    values = {**asdict(error), "headroom": error.headroom}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
