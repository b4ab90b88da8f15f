"""Write the tables of generated clips into docs from benchmarks/results/generation-*.json; `--check` only compares.

A page names its document in a comment. The file is written by
`python -m edgevae_bench.generation MODEL... --digits FOLDER -o FILE`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgevae.bundle import Bundle
from edgevae_bench.generation.result import read, table

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "edgevae" / "models"
BLOCK = re.compile(
    r"(<!-- generation: [^>]*?(\S+\.json)[^>]*-->\n).*?(<!-- end of generation -->)", re.DOTALL
)


def page(path: Path) -> str:
    """Return a page with its tables as they should be."""
    return BLOCK.sub(lambda m: f"{m[1]}{figures(ROOT / m[2])}{m[3]}", path.read_text())


def figures(path: Path) -> str:
    """Return the table of a document, after checking that it is of the models that are shipped."""
    result = read(path)
    for row in result.rows:
        shipped = MODELS / row.name / "bundle"
        if shipped.is_dir() and row.sha256 != Bundle.open(shipped).digest:
            sys.exit(f"{path.name}: {row.name} is not the one that is shipped; measure again")
    how = (
        f"{result.clips} clips of {result.frames} frames each. Of real test clips the classifier tells the pair in "
        f"{result.classifier_clip_accuracy:.1%}, of their frames one by one in {result.classifier_frame_accuracy:.1%}."
    )
    return f"\n{table(result)}\n{how}\n\n"


def main() -> None:
    """Write the pages, or leave with 1 where one differs and `--check` is given."""
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = page(path)
        if path.read_text() == text:
            continue
        if "--check" in sys.argv[1:]:
            sys.exit(f"docs/{path.name} is stale: run `make docs`")
        path.write_text(text)


if __name__ == "__main__":
    main()
