"""Write the table of docs/predict.md from benchmarks/results/prediction-*.json; `--check` only says if it differs.

The JSON file is written by `python -m edgevae_bench.prediction MODEL --digits FOLDER -o FILE`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae_bench.prediction.result import read, table

ROOT = Path(__file__).parent.parent
PAGE, MODELS = ROOT / "docs" / "predict.md", ROOT / "edgevae" / "models"
BLOCK = re.compile(
    r"(<!-- prediction: [^>]*?(\S+\.json)[^>]*-->\n).*?(<!-- end of prediction -->)", re.DOTALL
)


def page() -> str:
    """Return the page with its table as it should be."""
    return BLOCK.sub(lambda m: f"{m[1]}{figures(ROOT / m[2])}{m[3]}", PAGE.read_text())


def figures(path: Path) -> str:
    """Return the table of a document, after checking that it is of the weights that are shipped."""
    result = read(path)
    shipped = Bundle.open(MODELS / result.model / "bundle").digest
    if result.bundle_sha256 != shipped:
        sys.exit(
            f"{path.name}: of {result.bundle_sha256[:12]}, shipped is {shipped[:12]}; measure again"
        )
    how = f"{result.clips} clips, {result.backend}, {result.precision}."
    return f"\n{table(result)}\n{how}\n\n"


def main() -> None:
    """Write the page, or leave with 1 where it differs and `--check` is given."""
    text = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.read_text() == text
        sys.exit(0 if same else "docs/predict.md is stale: run `make docs`")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
