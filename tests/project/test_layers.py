"""import-linter keeps the layers, and would notice a broken one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="import-linter is in the dev extra")
ROOT = Path(__file__).parents[2]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the packages of a folder."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    paths = [str(folder), str(folder / "export"), str(folder / "benchmarks")]
    setup = f"import sys; sys.path[:0] = {paths!r}; "
    return subprocess.run(
        [sys.executable, "-c", setup + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_who_may_import_whom_is_kept():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


def test_a_runtime_that_imports_the_network_is_noticed(tmp_path):
    for part in ("edgevae", "export", "benchmarks"):
        shutil.copytree(
            ROOT / part,
            tmp_path / part,
            ignore=shutil.ignore_patterns("__pycache__", "models", "results"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "edgevae" / "runtime" / "golden.py").open("a") as file:
        file.write("\nimport edgevae.nn\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert "edgevae.runtime.golden -> edgevae.nn" in result.stdout
