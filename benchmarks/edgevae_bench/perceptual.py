"""LPIPS and VMAF, where their libraries and weights are on the machine; else the reason why not. Nothing is downloaded.

LPIPS    Zhang et al. 2018, the package `lpips` with AlexNet: its weights must be in PyTorch's own cache already
VMAF     Netflix, FFmpeg's filter `libvmaf`, by the program `ffmpeg`, or the one in the package `imageio-ffmpeg`
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from edgevae.errors import EdgeVaeError, UnavailableError
from edgevae.frames import Frames

LPIPS_MIN_PX = 32
"""Frames with a shorter side are too small for AlexNet's pooling."""

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


def lpips_at(height_px: int, width_px: int) -> Lpips | str:
    """Return LPIPS for frames of a size, or why it is not available."""
    if min(height_px, width_px) < LPIPS_MIN_PX:
        return f"frames of {width_px}x{height_px} are too small, expected sides of {LPIPS_MIN_PX}"
    return open_lpips()


@cache
def ffmpeg_with_vmaf() -> tuple[str, None] | tuple[None, str]:
    """Return a program ffmpeg that has the filter libvmaf, or None and why there is none."""
    programs = [shutil.which("ffmpeg")]
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        programs.append(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    for program in filter(None, programs):
        done = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True)
        if " libvmaf " in done.stdout:
            return program, None
    return None, "no ffmpeg with the filter libvmaf; the package imageio-ffmpeg has one"


def vmaf(reference: Iterable[Frames], other: Iterable[Frames], *, folder: Path) -> float:
    """Return the mean VMAF of a clip, by the model that FFmpeg's libvmaf has built in (vmaf_v0.6.1).

    It is trained on 1080p seen from three heights away, and of equal frames a little below 100.

    Args:
        reference: Parts `[n, H, W, 3]` of the clip, in order.
        other: Likewise, of the same frames.
        folder: Where raw video is written meanwhile, 3 bytes per pixel of both.

    Raises:
        UnavailableError: there is no such ffmpeg.
        EdgeVaeError: it failed.
    """
    program, why = ffmpeg_with_vmaf()
    if program is None:
        raise UnavailableError(f"vmaf: {why}")
    log, raws, inputs = folder / "vmaf.json", [folder / "made.rgb", folder / "reference.rgb"], []
    for raw, parts in zip(raws, (other, reference), strict=True):
        height, width = _write_raw(parts, raw)
        size = f"{width}x{height}"
        inputs += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", raw.name]
    both = "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];[a][b]libvmaf=log_fmt=json:log_path="
    # In the folder, and names without one: a path in a filter would need two layers of escapes.
    command = [program, "-v", "error", *inputs, "-lavfi", f"{both}{log.name}", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    for raw in raws:
        raw.unlink()
    if done.returncode:
        last = " ".join(done.stderr.split())[-200:].strip() or "it said nothing"
        raise EdgeVaeError(f"ffmpeg failed at {size} with exit code {done.returncode}: {last}")
    frames = json.loads(log.read_text())["frames"]
    return statistics.fmean(frame["metrics"]["vmaf"] for frame in frames)


def _write_raw(parts: Iterable[Frames], path: Path) -> tuple[int, int]:
    """Write frames behind each other; return their height and width."""
    size = 0, 0
    with path.open("wb") as raw:
        for part in parts:
            raw.write(part.tobytes())
            size = part.shape[1], part.shape[2]
    return size
