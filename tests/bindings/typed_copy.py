"""A copy of our code in which TensorRT's objects have the types of one release, for mypy to read.

In edgevae they are `Any`, because no annotation holds for every release. But they come in by few names. In the copy
each `Any` that one of these names has becomes the class of a stub, and mypy follows it from there:

    edgevae/engine/build.py          def _configure(builder: Any, ...) -> Any:
    tensorrt_10_3/engine/build.py    def _configure(builder: api.Builder, ...) -> api.IBuilderConfig:

`flavour.is_rtx` becomes True or False, so that mypy skips what is for the other flavour only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

Change: TypeAlias = Callable[[str], str]

SOURCE = Path(__file__).parents[2] / "edgevae"
PACKAGES = ("engine", "runtime")

TYPES = {
    "trt": "module.Module",
    "module": "module.Module",
    "builder": "api.Builder",
    "network": "api.INetworkDefinition",
    "config": "api.IBuilderConfig",
    "engine": "api.ICudaEngine",
    "context": "api.IExecutionContext",
    "_context": "api.IExecutionContext",
    "_runtime": "api.Runtime",
    "logger": "api.ILogger",
    "monitor": "api.IProgressMonitor",
    "_configure": "api.IBuilderConfig",
    "_timing_cache": "api.ITimingCache",
    "_new_context": "api.IExecutionContext",
}
"""Names of TensorRT's objects: parameters, attributes and, for what they return, functions."""


def write_copy(folder: Path, stub: Path, *, package: str = "", change: Change = str) -> None:
    """Write a copy of the files that call TensorRT; what else they import stays edgevae's own.

    Args:
        folder: Where to write it.
        stub: One of `stubs/`.
        package: Name of the copy; without it the stub's.
        change: Applied to each source file first.
    """
    package = package or stub.stem
    root = folder / package
    for path in (root, *(root / name for name in PACKAGES)):
        path.mkdir(parents=True)
        (path / "__init__.py").write_text("")
    (root / "api.pyi").write_text(stub.read_text())
    (root / "module.pyi").write_text(_module_class(stub.read_text(), package))
    files = calling_files()
    ours = "|".join(name.removesuffix(".py").replace("/", r"\.") for name in files)
    for name in files:
        text = typed(change((SOURCE / name).read_text()), is_rtx="rtx" in stub.stem)
        text = re.sub(rf"\bedgevae\.({ours})\b(?= import)", rf"{package}.\1", text)
        imports = f"from __future__ import annotations; from {package} import api, module as module"
        (root / name).write_text(text.replace("from __future__ import annotations", imports, 1))


def calling_files() -> list[str]:
    """Return the files that call TensorRT, such as `engine/build.py`: those where one of `TYPES` stands."""
    paths = [path for name in PACKAGES for path in sorted((SOURCE / name).glob("*.py"))]
    return [
        path.relative_to(SOURCE).as_posix()
        for path in paths
        if any(_annotations(ast.parse(path.read_text())))
    ]


def typed(text: str, *, is_rtx: bool) -> str:
    """Return source text with types from a stub in it; its lines stay where they were."""
    tree = ast.parse(text)
    types = [(node, TYPES[name]) for name, node in _annotations(tree)]
    flavours = [
        (node, str(is_rtx))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "is_rtx"
    ]
    return replaced(text, types + flavours)


def replaced(text: str, edits: list[tuple[ast.expr, str]]) -> str:
    """Return text with expressions replaced, each of which is on one line."""
    lines = [line.encode() for line in text.splitlines()]  # columns count bytes
    for node, new in sorted(edits, key=lambda edit: edit[0].end_col_offset or 0, reverse=True):
        at = node.lineno - 1
        lines[at] = lines[at][: node.col_offset] + new.encode() + lines[at][node.end_col_offset :]
    return b"\n".join(lines).decode() + "\n"


def _annotations(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name of `TYPES` with the annotation `Any` or `object` that stands beside it."""
    for node in ast.walk(tree):
        name, annotation = "", None
        if isinstance(node, ast.arg):
            name, annotation = node.arg, node.annotation
        elif isinstance(node, ast.FunctionDef):
            name, annotation = node.name, node.returns
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            annotation = node.annotation
        if (
            name in TYPES
            and isinstance(annotation, ast.Name)
            and annotation.id in ("Any", "object")
        ):
            yield name, annotation


def _module_class(stub: str, package: str) -> str:
    """Return a stub of a class that stands for the TensorRT module, which is no type by itself."""
    names = [node.name for node in ast.parse(stub).body if isinstance(node, ast.ClassDef)]
    lines = [f"from {package} import api", "class Module:", "    __version__: str"]
    return "\n".join([*lines, *(f"    {name}: type[api.{name}]" for name in names)]) + "\n"
