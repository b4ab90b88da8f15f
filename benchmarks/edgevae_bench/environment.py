"""The machine and its software, as far as they decide how fast something runs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgevae.cuda.probe import Gpu
from edgevae.version import __version__
from edgevae_bench.nvml import open_nvml

PACKAGES = (
    *("numpy", "scipy", "onnxruntime", "onnxruntime-gpu", "torch", "av", "pillow"),
    *("tensorrt", "tensorrt-rtx", "cuda-bindings", "pycuda", "openvino"),
)
"""Distributions whose version is recorded; None for those that are not installed."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a benchmark ran."""

    cpu_name: str
    """As the system names it."""
    physical_cores: int
    """Of the machine."""
    logical_cores: int
    """Of the machine."""
    usable_cores: int
    """Logical cores that this process may run on."""
    ram_bytes: int
    """Of the machine."""
    os_name: str
    """System and release."""
    architecture: str
    """Of the CPU."""
    python_version: str
    """Of the interpreter."""
    edgevae_version: str
    """Of edgevae."""
    package_versions: dict[str, str | None]
    """By distribution."""
    git_commit: str | None
    """Of the checkout that edgevae runs from; None where it does not run from one."""
    git_modified: bool | None
    """Whether tracked files differ from that commit."""
    load_average_1min: float | None
    """Processes that wanted a CPU before the run, mean of a minute; None where the system does not say."""
    is_virtual: bool | None
    """Whether a hypervisor is below the system, so that others may share its cores; None where unknown."""
    cpu_governor: str | None
    """What chooses the CPU's clock, such as `performance`; None where the system does not tell."""
    power_mode: str | None
    """Of a Jetson, as `nvpmodel` names it; None elsewhere."""
    gpu: Gpu | None
    """The GPU that was measured; None for a benchmark on the CPU."""
    gpu_power_limit_w: float | None
    """Of the GPU; None where NVML is not there."""


def describe(gpu: Gpu | None = None, *, root: Path = Path("/")) -> Environment:
    """Return the environment of this process; about 30 ms.

    Args:
        gpu: The GPU that is to be measured.
        root: Where the file system begins, for what is read from /proc and /sys.
    """
    commit, modified = _git(Path(__file__).resolve())
    nvml = None if gpu is None else open_nvml(gpu.index)
    return Environment(
        cpu_name=cpu_name(),
        physical_cores=_physical_cores(),
        logical_cores=psutil.cpu_count() or 1,
        usable_cores=usable_cores(),
        ram_bytes=psutil.virtual_memory().total,
        os_name=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python_version=platform.python_version(),
        edgevae_version=__version__,
        package_versions={name: _version(name) for name in PACKAGES},
        git_commit=commit,
        git_modified=modified,
        load_average_1min=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        is_virtual=_is_virtual(root),
        cpu_governor=_governor(root),
        power_mode=_power_mode(),
        gpu=gpu,
        gpu_power_limit_w=None if nvml is None else nvml.power_limit_w(),
    )


def default_threads() -> int:
    """Return the physical cores that this process may use, at least 1; hyper-threads do not count."""
    return min(_physical_cores(), usable_cores())


def usable_cores() -> int:
    """Return how many logical cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1


def cpu_name() -> str:
    """Return the CPU's name: from /proc/cpuinfo, a board's device tree, or what Python knows."""
    for path, key in (
        (Path("/proc/cpuinfo"), "model name"),
        (Path("/proc/device-tree/model"), None),
    ):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if key is None:
            return text.strip("\0\n ")
        for line in text.splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _is_virtual(root: Path) -> bool | None:
    """Return whether the CPU says that a hypervisor runs it; None where /proc/cpuinfo has no flags."""
    text = _text(root / "proc" / "cpuinfo")
    flags = [line for line in text.splitlines() if line.startswith("flags")]
    return any("hypervisor" in line.split() for line in flags) if flags else None


def _governor(root: Path) -> str | None:
    """Return the governors of the cores, each once."""
    files = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({_text(file).strip() for file in files})) or None


def _power_mode() -> str | None:
    """Return a Jetson's power mode, such as `MAXN`."""
    try:
        done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in done.stdout.splitlines():
        if "Power Mode:" in line:
            return line.partition(":")[2].strip()
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _physical_cores() -> int:
    """Return the machine's cores; where the system tells only of logical ones (some ARM boards), those."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(file: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout that tracks `file`, and whether it was modified.

    An installed edgevae may lie in a virtual environment inside somebody else's checkout: only one that tracks our own
    file is ours.
    """
    if _run_git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None, None
    commit = _run_git(file.parent, "rev-parse", "HEAD")
    status = _run_git(file.parent, "status", "--porcelain", "--untracked-files=no")
    return commit, None if status is None else bool(status)


def _run_git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
