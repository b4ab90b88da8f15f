"""Write `stubs/`: the signatures of TensorRT's Python API, release by release, out of NVIDIA's wheels.

    python tests/bindings/make_stubs.py        # downloads some 6 MB; needs pip, gcc, nm and readelf

The wheels of the bindings hold one extension module and no types. It cannot be imported without TensorRT's libraries,
but needs no more than ten C functions of them while it is imported: with empty ones in their place it registers its
classes, and mypy's stubgen reads the signatures off them. Kept are the classes that edgevae uses, signatures only.

To check against another release add it to `RELEASES` and run this.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RELEASES = {
    "tensorrt_10_3": "tensorrt_cu12_bindings==10.3.0",  # JetPack 6.1 and 6.2
    "tensorrt_10_13": "tensorrt_cu12_bindings==10.13.3.9",  # JetPack 7.0 and 7.1
    "tensorrt_10_16": "tensorrt_cu12_bindings==10.16.1.11",  # JetPack 7.2
    "tensorrt_11_4": "tensorrt_cu13_bindings==11.4.0.106",
    "tensorrt_rtx_1_7": "tensorrt_rtx_cu13_bindings==1.7.1.116",
}
"""Stub module, and the wheel that it is read from."""

STUBS = Path(__file__).parent / "stubs"

KEPT = {
    *(
        "Builder",
        "IBuilderConfig",
        "INetworkDefinition",
        "ILayer",
        "ITensor",
        "IHostMemory",
        "Dims",
    ),
    *("IOptimizationProfile", "ITimingCache", "IProgressMonitor", "ILogger"),
    *(
        "OnnxParser",
        "ParserError",
        "Runtime",
        "ICudaEngine",
        "IExecutionContext",
        "EngineInspector",
    ),
    *(
        "IRuntimeConfig",
        "BuilderFlag",
        "NetworkDefinitionCreationFlag",
        "MemoryPoolType",
        "DataType",
    ),
    *("LayerType", "ProfilingVerbosity", "HardwareCompatibilityLevel", "LayerInformationFormat"),
    *("DynamicShapesKernelSpecializationStrategy", "ExecutionContextAllocationStrategy"),
    *("TensorIOMode", "CudaGraphStrategy", "ComputeCapability"),
}
"""Classes whose members are kept; others that they name are written as empty classes."""

SPECIAL = {"__init__", "__call__", "__int__", "__getitem__", "__len__"}
"""Special methods that are kept; the others every Python object has."""

UNTOLD = {
    # Its docstring names the C++ class, which stubgen cannot read.
    ("OnnxParser", "get_error"): "def get_error(self, index: int) -> ParserError: ...",
    # pybind11 does not tell that an object has the buffer protocol.
    ("IHostMemory", "__buffer__"): "def __buffer__(self, flags: int, /) -> memoryview: ...",
}
"""Signatures that the wheels do not tell, by class and method."""

SIZES = "Dims | collections.abc.Sequence[int]"
"""What pybind11 takes where a signature says Dims."""

HEADER = '''# ruff: noqa
"""{wheel}: signatures that edgevae uses. Written by tests/bindings/make_stubs.py."""

import collections.abc
import typing
import typing_extensions
from collections.abc import Callable
from typing import Any, ClassVar, overload
'''


def main() -> None:
    """Write every stub."""
    STUBS.mkdir(exist_ok=True)
    for name, wheel in RELEASES.items():
        with tempfile.TemporaryDirectory() as folder:
            stub = STUBS / f"{name}.pyi"
            stub.write_text(reduce_stub(_whole_stub(wheel, Path(folder)), wheel=wheel))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", STUBS], check=True)


def reduce_stub(text: str, *, wheel: str) -> str:
    """Return a stub with `KEPT` only, and empty classes for what it names besides."""
    # Layers that a network can be given are not ours to add, and some of their signatures are no Python.
    text = re.sub(
        r"^(    @overload\n)?    def add_(?!optimization_profile).*\n", "", text, flags=re.M
    )
    classes = [
        node
        for node in ast.parse(text.replace(": buffer", ": typing_extensions.Buffer")).body
        if isinstance(node, ast.ClassDef) and node.name in KEPT
    ]
    for node in classes:
        _reduce_class(node)
        _tell_untold(node)
    have = {node.name for node in classes}
    names = [n for c in classes for n in ast.walk(c) if isinstance(n, ast.Name)]
    named = {n.id for n in names if isinstance(n.ctx, ast.Load) and re.fullmatch(r"[A-Z]\w+", n.id)}
    empty = sorted(named - have - {"Any", "ClassVar", "Callable", "Incomplete"})
    parts = [
        HEADER.format(wheel=wheel),
        *(f"class {n}: ..." for n in empty),
        *map(ast.unparse, classes),
    ]
    return re.sub(r"\bIncomplete\b", "Any", "\n".join(parts)) + "\n"


def _reduce_class(node: ast.ClassDef) -> None:
    """Drop special methods and private names, which are not checked."""
    kept: list[ast.stmt] = []
    for item in node.body:
        if isinstance(item, ast.ClassDef):
            _reduce_class(item)
        name = item.name if isinstance(item, ast.FunctionDef | ast.ClassDef) else _target(item)
        if not name.startswith("__") or name in SPECIAL:
            kept.append(_take_sizes(item))
    node.body = kept or [ast.Expr(ast.Constant(...))]


def _tell_untold(node: ast.ClassDef) -> None:
    for (owner, method), signature in UNTOLD.items():
        if node.name == owner:
            others = [i for i in node.body if getattr(i, "name", None) != method]
            node.body = [*others, *ast.parse(signature).body]


def _target(item: ast.stmt) -> str:
    return (
        item.target.id
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        else "__"
    )


def _take_sizes(item: ast.stmt) -> ast.stmt:
    """Let sequences stand where parameters and attributes are `Dims`."""
    wanted = ast.parse(SIZES, mode="eval").body
    annotated = [item] if isinstance(item, ast.AnnAssign) else []
    if isinstance(item, ast.FunctionDef):
        annotated += item.args.args  # type: ignore[arg-type]  # both have an annotation
    for node in annotated:
        if isinstance(node.annotation, ast.Name) and node.annotation.id == "Dims":
            node.annotation = wanted
    return item


def _whole_stub(wheel: str, folder: Path) -> str:
    """Return what stubgen makes of a wheel's extension module."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", folder, wheel], check=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        archive.extractall(folder)
    module = next(folder.glob("*_bindings/*.so"))
    _make_libraries(module, folder / "lib")
    # Its package would look for the libraries' wheel; the module alone does not.
    (module.parent / "__init__.py").write_text("")
    environment = {**os.environ, "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(folder / "lib")}
    name = f"{module.parent.name}.{module.stem}"
    run = "from mypy.stubgen import main; main()"  # the module is compiled: -m cannot run it
    stubgen = [sys.executable, "-c", run, "--quiet", "--inspect-mode", "-m", name]
    subprocess.run([*stubgen, "--output", folder / "out"], check=True, env=environment)
    return (folder / "out" / module.parent.name / f"{module.stem}.pyi").read_text()


def _make_libraries(module: Path, folder: Path) -> None:
    """Make empty libraries of the names that a module asks for, with the functions that it lacks."""
    folder.mkdir()
    dynamic = subprocess.run(["readelf", "-d", module], check=True, capture_output=True, text=True)
    symbols = subprocess.run(["nm", "-D", "-u", module], check=True, capture_output=True, text=True)
    functions = re.findall(
        r" U (create\w+_INTERNAL|get\w+Registry|getNv\w+|initLib\w+)$", symbols.stdout, re.M
    )
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in functions))
    for library in re.findall(r"NEEDED.*\[(lib(?:nv|tensorrt)\S*)\]", dynamic.stdout):
        command = [
            "gcc",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{library}",
            "-o",
            folder / library,
            source,
        ]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
