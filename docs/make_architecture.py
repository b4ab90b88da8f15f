"""Write the tables of docs/architecture.md from the first lines of the modules; `--check` only says if they differ.

The text between the tables is written by hand; a package without a table gets one where its heading stands.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "architecture.md"
HEADING = re.compile(r"^(?P<heading>#{2,3} (?P<package>\S+))\n\n(?:(?:\|.*\n)+\n?)?", re.MULTILINE)


def page() -> str:
    """Return the page with its tables as they should be."""
    return HEADING.sub(_section, TARGET.read_text()).rstrip() + "\n"


def _section(match: re.Match[str]) -> str:
    package = match["package"]
    folder = ROOT / package if "/" in package else ROOT / "edgevae"
    if package == "passes":
        folder = ROOT / "export" / "edgevae_export" / "passes"
    if not folder.is_dir() or (package != "passes" and package != "edgevae" and "/" not in package):
        return match[0]
    modules = sorted(p for p in folder.glob("*.py") if p.name != "__init__.py")
    rows = "".join(f"| `{p.name}` | {_summary(p)} |\n" for p in modules)
    return f"{match['heading']}\n\n| file | what |\n|---|---|\n{rows}\n"


def _summary(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ").removesuffix(".").removesuffix(":")


def main() -> None:
    """Write the page, or leave with 1 where it differs and `--check` is given."""
    text = page()
    if "--check" in sys.argv[1:]:
        same = TARGET.read_text() == text
        sys.exit(0 if same else "docs/architecture.md is stale: run `make docs`")
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
