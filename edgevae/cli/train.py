"""`edgevae train`: train a network on a folder of videos or images, or continue a run."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edgevae.cli.torch_needed import needs_torch
from edgevae.cli.train_digits import DIGIT_MODELS, train_on_digits
from edgevae.cli.train_senses import train_senses
from edgevae.errors import InputError

_FOLDER = click.Path(path_type=Path)


@click.command(name="train", short_help="Train a network on videos or images.")
@click.argument("data", required=False)
@click.option("-o", "--output", metavar="RUN", type=_FOLDER, help="Folder of the new run.")
@click.option(
    "--resume", metavar="RUN", type=_FOLDER, help="Continue this run, instead of DATA and -o."
)
@click.option(
    "--config",
    metavar="JSON",
    type=_FOLDER,
    help="A recipe, or the train.json of a run, to start from.",
)
@click.option(
    "--from",
    "weights",
    metavar="MODEL",
    help="Begin with the network of this checkpoint, a folder or a shipped name: fine-tuning; for a prior its VAE, and "
    "the prior where it has one.",
)
@click.option(
    "--val", metavar="FOLDER", help="Validation data; without it a tenth of the files is held out."
)
@click.option(
    "--model",
    type=click.Choice(["vae", "predictor", "prior", "gan", "multimodal"]),
    default="vae",
    show_default=True,
    help="What is trained; a predictor continues clips, a prior makes them in the latents of a VAE, a gan by itself; "
    "all three take DATA moving-digits. A multimodal one has several senses: DATA is made-world, a folder of clips "
    "with sound, or one of scenes with a file a camera.",
)
@click.option(
    "--digits",
    metavar="FOLDER",
    help="For moving-digits: the files of MNIST; without it scikit-learn's small digits.",
)
@click.option("--preset", metavar="SIZE", help="Size of the network: xs, s or m.")
@click.option("--kind", type=click.Choice(["video", "image"]), help="What the network is for.")
@click.option("--steps", type=int, help="Optimiser steps of the whole run.")
@click.option("--batch-clips", type=int, help="Clips of one step, over all processes.")
@click.option("--crop-px", type=int, help="Side of a training clip, in pixels.")
@click.option("--clip-frames", type=int, help="Frames of a training clip.")
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16"]), help="Arithmetic; bf16 pays on a GPU."
)
@click.option(
    "--adversarial",
    is_flag=True,
    default=None,
    help="Train against a discriminator too: sharper, with less PSNR.",
)
@click.option("--seed", type=int, help="Decides weights, samples and noise.")
@click.option("--cache-mib", type=int, help="Memory for decoded frames.")
@click.option("--max-minutes", type=float, help="Stop cleanly after this time; --resume continues.")
@click.option("--tensorboard", is_flag=True, help="Log to TensorBoard as well as to metrics.csv.")
def command(
    data: str | None,
    output: Path | None,
    resume: Path | None,
    config: Path | None,
    weights: str | None,
    val: str | None,
    model: str,
    digits: str | None,
    max_minutes: float | None,
    tensorboard: bool,
    **overrides: Any,  # Any: the values of a run, which TrainConfig checks
) -> None:
    """Train on DATA, a folder of videos and images, and print the folder of the checkpoint.

    DATA may also be procedural or moving-digits: clips that edgevae makes itself. What is not given as an option
    comes from --config, or else has its default; RUN/train.json has all of it. Ctrl-C stops cleanly.

    \b
    Example:
      edgevae train clips/ -o runs/first --preset xs --steps 4000
      edgevae train --resume runs/first
      edgevae train moving-digits --model predictor --digits mnist/ -o runs/next
      edgevae train moving-digits --model gan --digits mnist/ -o runs/made
      edgevae train moving-digits --model prior --from runs/digits/checkpoint --digits mnist/ -o runs/prior
      edgevae train made-world --model multimodal -o runs/senses
      edgevae train clips/ -o runs/tuned --from edgevae-video-s --learning-rate 2e-4
      torchrun --nproc-per-node 4 -m edgevae train clips/ -o runs/first
    """
    # Threads that spin while they wait make a step 4 times slower where another process shares the cores. Set before
    # PyTorch is loaded, which reads it once.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = {name: value for name, value in overrides.items() if value is not None}
    if digits is not None and (resume is not None or model not in DIGIT_MODELS):
        given["digits"] = digits
    if resume is not None:
        beside = {"data": data, "output": output, "config": config, "from": weights, "val": val}
        beside["model"] = None if model == "vae" else model
        _refuse_beside_resume(beside | given)
        _resume(resume, max_minutes, tensorboard)
    elif model == "multimodal":
        others = {"digits": digits, "from": weights, "val": val, "tensorboard": tensorboard}
        given |= {name: value for name, value in others.items() if value}
        _show(train_senses(data, output, config, max_minutes, given))
    elif model in DIGIT_MODELS:
        given |= {"val": val, "tensorboard": tensorboard or None}
        _show(train_on_digits(data, output, model, digits, config, weights, max_minutes, given))
    elif data is None or output is None:
        raise InputError(
            "train: expected DATA and -o RUN, or --resume RUN; see edgevae train --help"
        )
    else:
        _train_vae(
            data,
            output,
            config=config,
            weights=weights,
            val=val,
            max_minutes=max_minutes,
            tensorboard=tensorboard,
            given=given,
        )


PACKAGES = {
    **{model: package for model, (package, _) in DIGIT_MODELS.items()},
    "multimodal": "edgevae.training.senses",
}
"""What trains each model but a VAE of frames."""


def _resume(run: Path, max_minutes: float | None, tensorboard: bool) -> None:
    """Continue a run of whatever kind."""
    with needs_torch():
        from edgevae.training import fit
        from edgevae.training.plain_loop import model_of_run
    own_package = PACKAGES.get(model_of_run(run) or "")
    if own_package is not None and tensorboard:
        raise InputError(f"train: {run} logs to errors.csv alone; leave out --tensorboard")
    session = fit.Session(max_minutes=max_minutes, tensorboard=tensorboard)
    if own_package is None:
        _show(fit.resume(run, session=session))
    else:
        own_fit = importlib.import_module(f"{own_package}.fit")
        _show(own_fit.resume(run, max_minutes=session.max_minutes))


def _train_vae(
    data: str,
    output: Path,
    *,
    config: Path | None,
    weights: str | None,
    val: str | None,
    max_minutes: float | None,
    tensorboard: bool,
    given: dict[str, Any],  # Any: the values of a run, which TrainConfig checks
) -> None:
    """Start a run of a VAE of frames."""
    with needs_torch():
        from edgevae.runtime.shipped import locate
        from edgevae.training import fit
        from edgevae.training.config import TrainConfig
        from edgevae.training.recipe import read_recipe
    session = fit.Session(max_minutes=max_minutes, tensorboard=tensorboard)
    chosen = replace(read_recipe(config, TrainConfig) if config else TrainConfig(), **given)
    for name in ("preset", "kind"):
        if weights is not None and name in given:
            raise InputError(
                f"train: --from brings its network with it; leave out --{name}, or --from"
            )
    begun = locate(weights, part="checkpoint") if weights is not None else None
    _show(fit.start(chosen, data, run=output, val=val, weights=begun, session=session))


def _show(checkpoint: Path) -> None:
    """Print the result; of several processes only the first one does."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(checkpoint)


def _refuse_beside_resume(given: dict[str, object]) -> None:
    for name, value in given.items():
        if value is not None:
            shown = "DATA" if name == "data" else f"--{name.replace('_', '-')}"
            raise InputError(
                f"train: --resume continues the run as it was begun; leave out {shown}"
            )
