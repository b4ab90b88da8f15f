"""LPIPS and VMAF, where their libraries and weights are on the machine; else the reason why not. Nothing is downloaded.

LPIPS    Zhang et al. 2018, the package `lpips` with AlexNet: its weights must be in PyTorch's own cache already
VMAF     Netflix, FFmpeg's filter `libvmaf`, by the program `ffmpeg`
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import statistics
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from edgevae.errors import EdgeVaeError
from edgevae.frames import Frames

Lpips: TypeAlias = Callable[[Frames, Frames], list[float]]
"""LPIPS of each frame of a part of a clip."""

WEIGHTS = "alexnet-owt-7be5be79.pth"
"""Of torchvision, which lpips would download."""


@cache
def open_lpips() -> Lpips | str:
    """Return LPIPS, or why it is not available."""
    for module in ("torch", "lpips"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    torch: Any = importlib.import_module("torch")  # Any: only the baseline knows its types
    weights = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not weights.is_file():
        return f"its weights {WEIGHTS} are not in PyTorch's cache"
    network = importlib.import_module("lpips").LPIPS(net="alex", verbose=False).eval()

    def score(reference: Frames, other: Frames) -> list[float]:
        found = []
        with torch.inference_mode():
            for pair in zip(reference, other, strict=True):
                tensors = [
                    torch.tensor(frame).permute(2, 0, 1)[None] / 127.5 - 1.0 for frame in pair
                ]
                found.append(float(network(*tensors)))
        return found

    return score


@cache
def why_no_vmaf() -> str | None:
    """Return why VMAF is not available, or None."""
    program = shutil.which("ffmpeg")
    if program is None:
        return "the program ffmpeg is not installed"
    done = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True)
    return None if " libvmaf " in done.stdout else "this ffmpeg has no filter libvmaf"


def vmaf(reference: list[Path], other: list[Path], *, folder: Path) -> float:
    """Return the mean VMAF of a clip.

    Args:
        reference: Files of `[n, H, W, 3]` uint8, as numpy saves them, in order.
        other: Likewise, of the same frames.
        folder: Where raw video may be written meanwhile.

    Raises:
        EdgeVaeError: ffmpeg failed.
    """
    height, width = np.load(reference[0], mmap_mode="r").shape[1:3]
    raws = [_raw(files, folder / f"{name}.rgb") for name, files in (("a", other), ("b", reference))]
    log = folder / "vmaf.json"
    inputs: list[str] = []
    for raw in raws:
        inputs += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", str(raw)]
    both = "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path="
    command = ["ffmpeg", "-v", "error", *inputs, "-lavfi", f"{both}{log}", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True)
    for raw in raws:
        raw.unlink()
    if done.returncode:
        raise EdgeVaeError(f"vmaf: ffmpeg failed: {done.stderr.strip()[-200:]}")
    frames = json.loads(log.read_text())["frames"]
    return statistics.fmean(frame["metrics"]["vmaf"] for frame in frames)


def _raw(files: list[Path], path: Path) -> Path:
    with path.open("wb") as raw:
        for file in files:
            raw.write(np.load(file).tobytes())
    return path
