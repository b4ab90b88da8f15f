"""Weights between a run's start and end: `python -m edgevae.training.between RUN --share 0.75 -o OUT`.

Weights that one run moved a little lie in one basin of the loss, and those between the ends are often better than both:
here they keep the start's fidelity and most of what the second stage was for. Wortsman et al. 2022, "Robust fine-tuning
of zero-shot models" (WiSE-FT).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import torch

from edgevae.errors import EdgeVaeError, InputError
from edgevae.nn.checkpoint import load_checkpoint, save_checkpoint
from edgevae.training.data import open_data
from edgevae.training.measure import with_latent_statistics
from edgevae.training.run import RunFolder


def between(run: Path, *, share: float, output: Path) -> None:
    """Write the checkpoint whose weights are (1 - share) times the start's and share times the run's.

    The latents' mean and deviation are measured again, on the run's data.

    Args:
        run: Folder of a run that began with another network (`edgevae train --from`).
        share: 0 is the start, 1 the run's checkpoint.
        output: Folder of the checkpoint to write.

    Raises:
        InputError: `run` did not begin with a network, or its data cannot be read; or `share` is not in 0..1; or
        `output` is there.
    """
    folder = RunFolder(run)
    if not 0.0 <= share <= 1.0:
        raise InputError(f"share: got {share}, expected 0 (the start) to 1 (the run's own)")
    if output.exists():
        raise InputError(f"{output}: is there already; give another folder")
    config, known = folder.read()
    if not folder.start.is_dir():
        raise InputError(
            f"{run}: has no start of its own; expected a run of `edgevae train --from`"
        )
    start, result = load_checkpoint(folder.start), load_checkpoint(folder.checkpoint)
    theirs = start.state_dict()
    result.load_state_dict(
        {name: torch.lerp(theirs[name], own, share) for name, own in result.state_dict().items()}
    )
    source = open_data(known.data, known.val, config).source
    save_checkpoint(with_latent_statistics(result, source, config), output)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--share", type=float, required=True, help="0 is the start, 1 the run's own weights.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(run: Path, share: float, output: Path) -> None:
    """Write a checkpoint between the start and the end of RUN, a run of `edgevae train --from`."""
    try:
        between(run, share=share, output=output)
    except EdgeVaeError as error:
        click.echo(f"edgevae: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
