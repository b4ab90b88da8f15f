"""`edgevae doctor`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from edgevae.cli.options import json_option, print_result
from edgevae.errors import UnavailableError
from edgevae.version import __version__

if TYPE_CHECKING:
    from edgevae.runtime.diagnosis import Finding

PACKAGES = (
    ("av", "av", "video", "video files"),
    ("torch", "torch", "export", "training and export"),
    ("lightning", "lightning", "train", "training"),
    ("onnx", "onnx", "export", "export"),
    ("onnxscript", "onnxscript", "export", "export"),
    ("scipy", "scipy", "bench", "quality metrics"),
)
"""Module, distribution, extra, and what it is for."""


@click.command(epilog="\b\nExample:\n  edgevae doctor")
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Say what can run here, and what to install for the rest.

    Looks at the driver, the GPUs, each backend and what it needs. Native libraries are loaded in processes of their
    own, so that one that crashes is a line of the table. Exit code 5 where no backend can run.
    """
    from edgevae.runtime.diagnosis import diagnose
    from edgevae.runtime.jetson import jetson

    board = jetson()
    findings = [*diagnose(), *(_package(*row) for row in PACKAGES)]
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    header = f"edgevae {__version__}, Python {platform.python_version()}, {system}"
    if board is not None:
        header += f", {board.model}, Jetson Linux {board.release or 'of unknown release'}"
    is_usable = any(f.usable for f in findings if f.kind == "backend")
    result = {
        "edgevae": __version__,
        "python": platform.python_version(),
        "system": system,
        "machine": platform.machine(),
        "jetson": asdict(board) if board is not None else None,
        "usable": is_usable,
        "findings": [asdict(f) for f in findings],
    }
    print_result(result, as_json=as_json, text="\n".join([header, "", *_table(findings)]))
    if not is_usable:
        context.exit(UnavailableError.exit_code)


def _table(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the lines of the table; a further note of a finding has a line of its own."""
    rows = list(findings)
    width = max(len(f.name) for f in rows)
    versions = max(len(f.version) for f in rows)
    for f in rows:
        head = f"{'yes' if f.usable else 'no':<4} {f.name:<{width}}  {f.version:<{versions}}  "
        for i, note in enumerate(f.notes or ("",)):
            yield ((head if i == 0 else " " * len(head)) + note).rstrip()


def _package(module: str, distribution: str, extra: str, purpose: str) -> Finding:
    import importlib.util

    from edgevae.runtime.diagnosis import Finding
    from edgevae.runtime.providers import installed_version

    if importlib.util.find_spec(module) is None:
        note = f"{purpose}: pip install 'edgevae[{extra}]'"
        return Finding("package", module, "-", False, (note,))
    return Finding("package", module, installed_version(distribution) or "-", True, (purpose,))
