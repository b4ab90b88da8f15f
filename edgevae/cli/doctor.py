"""`edgevae doctor`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from dataclasses import asdict, dataclass

import click

from edgevae.cli.options import json_option, print_result
from edgevae.version import __version__


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    name: str
    """What was looked for."""
    version: str
    """Its version, or `-`."""
    usable: bool
    """Whether edgevae can use it now."""
    note: str
    """What it is for, or the reason and the command that mends it."""


@click.command(epilog="\b\nExample:\n  edgevae doctor")
@json_option
def command(as_json: bool) -> None:
    """Say what can run here, and what to install for the rest.

    Looks at what is installed without loading it, except ONNX Runtime, whose providers are asked for.
    """
    findings = [_onnxruntime(), *(_package(*row) for row in PACKAGES)]
    header = f"edgevae {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    width = max(len(f.name) for f in findings)
    versions = max(len(f.version) for f in findings)
    lines = [
        f"{'yes' if f.usable else 'no':<4} {f.name:<{width}}  {f.version:<{versions}}  {f.note}".rstrip()
        for f in findings
    ]
    result = {
        "edgevae": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "findings": [asdict(f) for f in findings],
    }
    print_result(result, as_json=as_json, text="\n".join([header, *lines]))


PACKAGES = (
    ("av", "av", "video", "video files"),
    ("torch", "torch", "export", "training and export"),
    ("lightning", "lightning", "train", "training"),
    ("onnx", "onnx", "export", "export"),
    ("onnxscript", "onnxscript", "export", "export"),
    (
        "tensorrt_rtx",
        "tensorrt-rtx",
        "tensorrt-rtx",
        "checks every exported graph with NVIDIA's builder",
    ),
    ("scipy", "scipy", "bench", "quality metrics"),
)
"""Module, distribution, extra, and what it is for."""


def _package(module: str, distribution: str, extra: str, purpose: str) -> Finding:
    if importlib.util.find_spec(module) is None:
        return Finding(module, "-", False, f"{purpose}: pip install 'edgevae[{extra}]'")
    return Finding(module, _version(distribution), True, purpose)


def _onnxruntime() -> Finding:
    """Return what ONNX Runtime can do, and whether its two distributions overwrite each other."""
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _version(name) != "-"]
    if not installed:
        return Finding("onnxruntime", "-", False, "runs bundles: pip install 'edgevae[cpu]'")
    version = _version(installed[0])
    if len(installed) == 2:
        note = "onnxruntime and onnxruntime-gpu overwrite each other: pip uninstall both, then install one"
        return Finding("onnxruntime", version, False, note)
    try:
        import onnxruntime as ort
    except ImportError as error:
        return Finding("onnxruntime", version, False, f"installed, but does not load: {error}")
    providers = ", ".join(ort.get_available_providers())
    return Finding("onnxruntime", version, True, f"runs bundles on the CPU; it offers {providers}")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "-"
