"""Model cards: the figures between two markers are written from an evaluation, never typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.errors import IncompatibleError, InputError
from edgevae_bench.evaluation.render import to_markdown
from edgevae_bench.evaluation.result import Evaluation, read_json

RESULTS_GLOB = "quality-*.json"
"""The evaluations that cards are written from: `quality-` and the model's name."""

BEGIN = "<!-- figures: written by `make cards` from the evaluation's JSON; do not edit -->"
END = "<!-- end of figures -->"

_BETWEEN = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def write_figures(card: str, evaluation: Evaluation, *, others: Sequence[Evaluation]) -> str:
    """Return the text of a card with the figures of an evaluation between its markers.

    Raises:
        InputError: the markers are not there exactly once, in their order.
    """
    if card.count(BEGIN) != 1 or card.count(END) != 1 or not _BETWEEN.search(card):
        raise InputError(
            f"card of {evaluation.model.name}: expected the lines {BEGIN!r} and {END!r}, once each and in this order; "
            "add them"
        )
    figures = to_markdown(evaluation, others=others)
    return _BETWEEN.sub(lambda _: f"{BEGIN}\n\n{figures}\n{END}", card)


def cards(results: Path, models: Path) -> Mapping[Path, str]:
    """Return what every card should say, by its path: one card for each evaluation in `results`.

    Args:
        results: The folder of the evaluations.
        models: The folder of the shipped models.

    Raises:
        InputError: an evaluation cannot be read, a model or its card is missing, a card has no markers, or a card has
            markers and no evaluation.
        IncompatibleError: an evaluation is of other weights than those that are shipped.
    """
    found = {path: read_json(path) for path in sorted(results.glob(RESULTS_GLOB))}
    written = {}
    for path, evaluation in found.items():
        name = path.stem.removeprefix("quality-")
        card = models / name / "README.md"
        if not card.is_file() or evaluation.model.name != name:
            raise InputError(
                f"{path}: is of {evaluation.model.name!r}, expected the shipped model of its file name, {name!r}"
            )
        _require_shipped(path, evaluation, models / name / "bundle")
        others = [other for other in found.values() if other is not evaluation]
        written[card] = write_figures(card.read_text(), evaluation, others=others)
    for card in sorted(set(models.glob("*/README.md")) - set(written)):
        if BEGIN in card.read_text():
            raise InputError(
                f"{card}: has a place for figures and no quality-{card.parent.name}.json in {results.name}; "
                "run `edgevae evaluate` with --card and --json"
            )
    return written


def _require_shipped(path: Path, evaluation: Evaluation, bundle: Path) -> None:
    shipped = Bundle.open(bundle).manifest.model_digest
    if evaluation.model.model_sha256 != shipped:
        raise IncompatibleError(
            f"{path}: its figures are of {evaluation.model.model_sha256[:12]}..., shipped is {shipped[:12]}...; "
            "run the command in the card again"
        )
