"""Write the figures of the model cards from `benchmarks/results/quality-*.json`; `--check` only says if they differ.

The JSON files are written by `edgevae evaluate MODEL CLIPS... --card --json benchmarks/results/quality-MODEL.json`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgevae.errors import EdgeVaeError
from edgevae.files import write_atomically
from edgevae_bench.evaluation.card import cards

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the cards, or leave with 1 where one differs and `--check` is given."""
    try:
        wanted = cards(ROOT / "benchmarks" / "results", ROOT / "edgevae" / "models")
    except EdgeVaeError as error:
        sys.exit(str(error))
    stale = {card: text for card, text in wanted.items() if card.read_text() != text}
    if "--check" in sys.argv[1:]:
        names = ", ".join(card.parent.name for card in stale)
        sys.exit(f"stale cards: {names}: run `make cards`" if stale else 0)
    for card, text in stale.items():
        write_atomically(card, text.encode())


if __name__ == "__main__":
    main()
