"""The documentation says what is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize(
    "script",
    [
        "make_cli.py",
        "make_architecture.py",
        "make_cards.py",
        "make_results.py",
        "make_families.py",
        "make_predict.py",
        "make_generation.py",
        "make_multimodal.py",
    ],
)
def test_the_generated_pages_are_what_the_code_says(script):
    result = subprocess.run(
        [sys.executable, f"docs/{script}", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_of_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_leads_to_every_model_and_every_page():
    text = (ROOT / "README.md").read_text()
    cards = sorted((ROOT / "edgevae" / "models").glob("*/README.md"))
    wanted = [card.relative_to(ROOT).as_posix() for card in cards]
    wanted += [f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")]
    assert [target for target in wanted if f"({target})" not in text] == []


def test_the_python_code_of_the_readme_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks, "the README shows no Python"
    monkeypatch.chdir(ROOT)
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_the_commands_of_the_readme_exist():
    from edgevae.cli import COMMANDS

    used = set(re.findall(r"^edgevae ([a-z-]+)", (ROOT / "README.md").read_text(), re.M))
    assert used
    assert used <= set(COMMANDS)


def test_the_architecture_page_has_a_table_of_every_package():
    text = (ROOT / "docs" / "architecture.md").read_text()
    for init in (ROOT / "edgevae").glob("*/__init__.py"):
        assert f"### edgevae/{init.parent.name}\n\n| file" in text
