"""Whether this is a Jetson, and whether this Python sees the TensorRT that JetPack brought."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Jetson:
    """A Jetson, as it describes itself."""

    model: str
    """Such as `NVIDIA Jetson Orin NX Engineering Reference Developer Kit`."""
    release: str
    """Of Jetson Linux, such as `36.4.3` for JetPack 6.2; empty where unknown."""


def jetson(root: Path = ROOT) -> Jetson | None:
    """Return which Jetson this is, or None; read from the device tree and from the file that Jetson Linux leaves.

    Args:
        root: Where the file system begins.
    """
    release = _read(root / "etc" / "nv_tegra_release")
    model = _read(root / "proc" / "device-tree" / "model").strip("\0 \n")
    if not release and "jetson" not in model.lower():
        return None
    # "# R36 (release), REVISION: 4.3, GCID: ..."
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
    return Jetson(model or "Jetson", f"{match[1]}.{match[2]}" if match else "")


def hidden_tensorrt(root: Path = ROOT) -> str | None:
    """Return why this Python does not see JetPack's own TensorRT and what to do; None where it does, or has none.

    Args:
        root: Where the file system begins.
    """
    found = sorted(root.glob("usr/lib/python3*/dist-packages/tensorrt"))
    if not found or importlib.util.find_spec("tensorrt") is not None:
        return None
    version = found[-1].parents[1].name.removeprefix("python")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version not in ("3", own):
        return f"JetPack's TensorRT is for Python {version}, this is {own}; use /usr/bin/python{version}"
    return (
        f"JetPack's TensorRT is in {found[-1].parent}, which this environment does not see; make it anew with "
        "`python3 -m venv --system-site-packages`"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
