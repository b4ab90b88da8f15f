"""`python -m edgevae_bench.generation MODEL... --digits FOLDER`: generated clips of moving digits against real ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from edgevae.cli.options import backend_options, tensorrt_options
from edgevae.errors import UnavailableError
from edgevae.files import write_atomically
from edgevae.moving_mnist import MovingMnist, read_digits, read_labels
from edgevae_bench.generation.clips import (
    REAL_SEED,
    REFERENCE_SEED,
    baselines,
    pairs_of,
    real_clips,
)
from edgevae_bench.generation.models import subjects_of
from edgevae_bench.generation.picture import write_picture
from edgevae_bench.generation.result import table, to_json
from edgevae_bench.generation.run import LEAST_CLIPS, LEAST_FRAMES, Evaluation, Reader, evaluate
from edgevae_bench.module_command import check_outputs, run

CLASSIFIER_SEED = 7
"""Of the classifier's weights and frames."""
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.option("--digits", required=True, type=_PATH, help="Folder with the four files of MNIST.")
@click.option("--clips", type=click.IntRange(min=LEAST_CLIPS), default=1000, show_default=True)
@click.option("--frames", type=click.IntRange(min=LEAST_FRAMES), default=20, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--classifier",
    type=_PATH,
    help="Keep the classifier in this file, and take it from there when it exists.",
)
@click.option("-o", "--output", type=_PATH, help="Write the JSON document.")
@click.option("--picture", type=_PATH, help="Write a PNG of some clips of each.")
@backend_options
@tensorrt_options
def command(
    models: tuple[str, ...],
    digits: Path,
    clips: int,
    frames: int,
    seed: int,
    classifier: Path | None,
    output: Path | None,
    picture: Path | None,
    **backend: Any,  # Any: the options of load_model
) -> None:
    """Measure the clips of each MODEL beside real ones and noise.

    MODEL is a bundle, a checkpoint, a shipped name, or a .npy file uint8 [N, T, 64, 64, 3].
    """
    check_outputs(output, classifier, picture=picture)
    training = read_digits(digits, part="train")
    real = real_clips(training, seed=REAL_SEED)
    found = [subjects_of(model, seed=seed, real=real, **backend) for model in models]
    subjects = (*baselines(training), *(subject for some in found for subject in some))
    reference = MovingMnist(read_digits(digits, part="t10k"), seed=REFERENCE_SEED)
    wanted = pairs_of(reference, read_labels(digits, part="t10k"), 0, clips)
    evaluation = Evaluation(
        reader=_reader(digits, classifier),
        reference=reference,
        wanted=wanted,
        frames=frames,
        seed=seed,
    )
    with tqdm(total=len(subjects), unit="subject", disable=None) as bar:
        result, shown = evaluate(evaluation, subjects, done=lambda _: (bar.update(), None)[1])
    if output is not None:
        write_atomically(output, to_json(result))
    if picture is not None:
        write_picture(shown, picture)
    click.echo(table(result), nl=False)


def _reader(digits: Path, kept: Path | None) -> Reader:
    """Return the classifier, from its file or learnt now."""
    try:
        from edgevae_bench.generation import classifier
    except ImportError as error:
        raise UnavailableError(
            f"generation: {error}; the classifier needs PyTorch: pip install 'edgevae[train]'"
        ) from error
    if kept is not None and kept.exists():
        return classifier.load_classifier(kept)
    source = MovingMnist(read_digits(digits, part="train"), seed=CLASSIFIER_SEED)
    labels = read_labels(digits, part="train")
    with tqdm(total=classifier.STEPS, desc="classifier", unit="step", file=sys.stderr) as bar:
        learnt = classifier.train_classifier(source, labels, done=bar.update)
    if kept is not None:
        learnt.save(kept)
    return learnt


if __name__ == "__main__":
    run(command, name="edgevae_bench.generation")
