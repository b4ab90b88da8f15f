"""Every call that edgevae makes of TensorRT is in each release that it runs on, with these arguments.

mypy reads our code against the signatures of NVIDIA's own wheels (`stubs/`, written by make_stubs.py); about 15 s.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is in the dev extra")
sys.path.insert(0, str(Path(__file__).parent))

import typed_copy  # found by the line above

ROOT = Path(__file__).parents[2]
STUBS = {path.stem: path for path in sorted((Path(__file__).parent / "stubs").glob("*.pyi"))}
OLDEST, NEWEST, RTX = (STUBS[n] for n in ("tensorrt_10_3", "tensorrt_11_4", "tensorrt_rtx_1_7"))

OUR_NAMES = {"name", "type", "shape", "dtype", "min", "opt", "max", "logger", "nbytes", "engine"}
"""Members of TensorRT's classes whose names objects of ours have too."""

NO_ERROR = 'Argument 3 to "Flavour" has incompatible type Module'
"""What `importlib` gives is any module; the copy's class stands for TensorRT's."""

pytestmark = pytest.mark.slow


def members(stub: Path) -> list[set[str]]:
    """Return the names in a stub in four groups: mypy follows the value of a misspelt name no further.

    Classes; what makes objects; what gives an object's parts; the rest.
    """
    groups: list[set[str]] = [set(), set(), set(), set()]
    for node in ast.walk(ast.parse(stub.read_text())):
        if isinstance(node, ast.ClassDef):
            groups[0].add(node.name)
        elif isinstance(node, ast.FunctionDef):
            makes = node.name.startswith(("create", "deserialize"))
            gives = node.name in ("get_input", "get_layer", "get_error")
            groups[1 if makes else 2 if gives else 3].add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            groups[3].add(node.target.id)
    return [{n for n in group - OUR_NAMES if not n.startswith("_")} for group in groups]


def misspell(names: set[str], text: str) -> str:
    """Return source text in which members of these names have others."""
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Attribute)]
    last = [(_last_name(n), f"{n.attr}_gone") for n in nodes if n.attr in names]
    return typed_copy.replaced(text, last)


def _last_name(node: ast.Attribute) -> ast.expr:
    """Return the place of an attribute's own name."""
    end, line = node.end_col_offset or 0, node.end_lineno or 0
    place = ast.Name(node.attr)
    place.lineno, place.col_offset, place.end_col_offset = line, end - len(node.attr), end
    return place


def use_weak_typing(text: str) -> str:
    """Return source text that asks for fp16 by a flag, which TensorRT 11 has no more."""
    return text.replace("trt.BuilderFlag.VERSION_COMPATIBLE", "trt.BuilderFlag.FP16")


def forget_an_argument(text: str) -> str:
    return text.replace("config.set_timing_cache(cache, False)", "config.set_timing_cache()")


CHANGED = {
    "weak_10_3": (OLDEST, use_weak_typing),
    "weak_11_4": (NEWEST, use_weak_typing),
    "forgotten": (NEWEST, forget_an_argument),
    **{
        f"misspelt_{stub.stem}_{i}": (stub, partial(misspell, names))
        for stub in (NEWEST, RTX)
        for i, names in enumerate(members(stub))
    },
}
"""Copies with mistakes that must be noticed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checked")


@pytest.fixture(scope="module")
def errors(folder):
    """Lines and messages of mypy by package: of the code as it is, and of the changed code."""
    for stub in STUBS.values():
        typed_copy.write_copy(folder, stub)
    for name, (stub, change) in CHANGED.items():
        typed_copy.write_copy(folder, stub, package=name, change=change)
    flags = [
        "--config-file=",
        "--no-strict-optional",
        "--follow-imports=silent",
        "--no-error-summary",
    ]
    flags += ["--ignore-missing-imports", "--explicit-package-bases", "--python-version=3.11"]
    packages = [argument for name in (*STUBS, *CHANGED) for argument in ("-p", name)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *flags, f"--cache-dir={folder / 'cache'}", *packages],
        env={**os.environ, "MYPYPATH": os.pathsep.join([str(folder), str(ROOT)])},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in (*STUBS, *CHANGED)}
    for line in done.stdout.splitlines():
        match = re.match(r"(\w+)/(\S+?:\d+): error: (.*)", line)
        if match and NO_ERROR not in match[3]:
            found[match[1]].append((match[2], match[3]))
    return found


def test_no_file_that_calls_tensorrt_is_left_out():
    calls = r"\btrt\.[A-Z]|execute_async_v3|flavour\.module\.|create_execution_context"
    paths = typed_copy.SOURCE.rglob("*.py")
    calling = [
        p.relative_to(typed_copy.SOURCE).as_posix()
        for p in paths
        if re.search(calls, p.read_text())
    ]
    assert len(calling) >= 6
    assert set(calling) <= set(typed_copy.calling_files())


@pytest.mark.parametrize("release", STUBS)
def test_every_call_is_in_the_bindings(errors, release):
    assert errors[release] == []


def test_every_misspelt_member_is_noticed(folder, errors):
    unseen, count = set(), 0
    for name in typed_copy.calling_files():
        for i in range(4):
            used, seen = set(), set()
            for package in (f"misspelt_{stub.stem}_{i}" for stub in (NEWEST, RTX)):
                for number, line in enumerate(
                    (folder / package / name).read_text().splitlines(), 1
                ):
                    used |= {(f"{name}:{number}", n) for n in re.findall(r"\.(\w+_gone)\b", line)}
                seen |= {
                    (where, n)
                    for where, text in errors[package]
                    for n in re.findall(r"\w+_gone", text)
                }
            unseen |= used - seen
            count += len(used)
    assert unseen == set()
    assert count > 60


def test_what_a_release_lacks_is_noticed(errors):
    assert errors["weak_10_3"] == []
    ((_, message),) = errors["weak_11_4"]
    assert '"type[BuilderFlag]" has no attribute "FP16"' in message


def test_a_call_without_an_argument_is_noticed(errors):
    assert any("Missing positional argument" in message for _, message in errors["forgotten"])


@pytest.mark.parametrize("release", STUBS)
@pytest.mark.parametrize(
    ("owner", "method", "count"),
    [
        ("IProgressMonitor", "phase_start", 3),
        ("IProgressMonitor", "step_complete", 2),
        ("IProgressMonitor", "phase_finish", 1),
        ("ILogger", "log", 2),
    ],
)
def test_what_tensorrt_calls_of_ours_takes_what_it_gives(release, owner, method, count):
    classes = [n for n in ast.parse(STUBS[release].read_text()).body if isinstance(n, ast.ClassDef)]
    items = next(c for c in classes if c.name == owner).body
    (function,) = (i for i in items if isinstance(i, ast.FunctionDef) and i.name == method)
    assert len(function.args.args) == 1 + count


def test_the_signatures_are_those_of_the_installed_bindings():
    rtx = pytest.importorskip("tensorrt_rtx")
    for node in ast.parse(RTX.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names = [
                getattr(i, "name", getattr(getattr(i, "target", None), "id", None))
                for i in node.body
            ]
            for name in {n for n in names if n is not None} - {"__buffer__"}:
                assert hasattr(getattr(rtx, node.name), name)
