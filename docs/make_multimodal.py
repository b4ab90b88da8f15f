"""Write the tables of docs/multimodal.md from benchmarks/results/senses-*.json; `--check` only says if it differs.

A JSON file is written by `python -m edgevae_bench.senses MODEL --data DATA -o FILE`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae_bench.senses.result import read, tables

ROOT = Path(__file__).parent.parent
PAGE, MODELS = ROOT / "docs" / "multimodal.md", ROOT / "edgevae" / "models"
BLOCK = re.compile(
    r"(<!-- senses: [^>]*?(\S+\.json)[^>]*-->\n).*?(<!-- end of senses -->)", re.DOTALL
)


def page() -> str:
    """Return the page with its tables as they should be."""
    return BLOCK.sub(lambda m: f"{m[1]}{figures(ROOT / m[2])}{m[3]}", PAGE.read_text())


def figures(path: Path) -> str:
    """Return the tables of a document, after checking that it is of the weights that are shipped, if they are."""
    result = read(path)
    shipped = MODELS / result.model / "bundle"
    if shipped.is_dir() and result.bundle_sha256 != Bundle.open(shipped).digest:
        sys.exit(f"{path.name}: is not of the shipped {result.model}; measure again")
    scales = ", ".join(f"{name} {value:.3g}" for name, value in result.deviations.items())
    how = (
        f"{result.windows} windows of {result.data}, {result.backend}, {result.precision}. The mean of "
        f"{result.training_windows} training windows is off by (root of the mean square): {scales}."
    )
    return f"\n{tables(result)}\n{how}\n\n"


def main() -> None:
    """Write the page, or leave with 1 where it differs and `--check` is given."""
    text = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.read_text() == text
        sys.exit(0 if same else "docs/multimodal.md is stale: run `make docs`")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
