"""What can run on this machine, and what mends the rest: one finding per driver, GPU, backend and CUDA layer.

Whatever loads native libraries is asked in a child process, all at once, so that a crash or a hang is a finding.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from edgevae.cuda.opening import DRIVERS
from edgevae.errors import EdgeVaeError
from edgevae.files import cache_folder
from edgevae.runtime import providers
from edgevae.runtime.backends import BACKENDS
from edgevae.runtime.obstacles import obstacles
from edgevae.runtime.trial import Trial, try_in_child

PLACES = (
    *((name, "cuda:0") for name in BACKENDS),
    ("onnxruntime", "cpu"),
)
"""Backends and where they run, as they are listed."""

_PURPOSE = {
    "tensorrt": "the fastest on a GPU",
    "tensorrt_rtx": "fast on a GPU of RTX kind",
    "onnxruntime": "runs every bundle without building",
    "onnxruntime_tensorrt": "ONNX Runtime's own TensorRT, by its name only",
}
_MARK = "edgevae-finding "


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    kind: str
    """`driver`, `gpu`, `backend`, `cuda` (CUDA from Python), `cache` or `package`."""
    name: str
    """What was looked for."""
    version: str
    """Its version, or `-`."""
    usable: bool
    """Whether edgevae can use it now."""
    notes: tuple[str, ...]
    """What it is for; or each thing that stands in the way, with the command that mends it."""


def diagnose() -> tuple[Finding, ...]:
    """Return the findings, in the order in which things are to be mended; takes some seconds."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        driver = pool.submit(_ask, "say_gpus()")
        backends = [pool.submit(_ask, f"say_backend({n!r}, {d!r})") for n, d in PLACES]
        layers = [pool.submit(_ask, f"say_layer({name!r})") for name in DRIVERS]
    found = list(_gpu_findings(*driver.result()))
    has_gpu = found[0].usable
    for (name, device), answer in zip(PLACES, backends, strict=True):
        found.append(_backend_finding(name, device, *answer.result(), has_gpu=has_gpu))
    if len(providers.distributions()) > 1:
        note = f"onnxruntime and onnxruntime-gpu overwrite each other; {providers.REPLACE}"
        found.append(Finding("package", "onnxruntime", "-", False, (note,)))
    for name, layer in zip(DRIVERS, layers, strict=True):
        found.append(_layer_finding(name, *layer.result(), has_gpu=has_gpu))
    found.append(_cache_finding())
    return tuple(found)


def say_gpus() -> None:
    """Print the GPUs; in a child process."""
    from edgevae.cuda.probe import gpus

    try:
        found = gpus()
    except EdgeVaeError as error:
        _say(obstacle=str(error))
        return
    for gpu in found:
        _say(
            gpu=f"cuda:{gpu.index}",
            name=gpu.name,
            capability=".".join(map(str, gpu.compute_capability)),
            memory_bytes=gpu.memory_bytes,
            integrated=gpu.integrated,
            cuda=".".join(map(str, gpu.cuda_version)),
            driver=gpu.driver,
        )


def say_backend(backend: str, device: str) -> None:
    """Print each obstacle of a backend as it is met, then its version; in a child process."""
    for obstacle in obstacles(backend, device):
        _say(obstacle=obstacle)
    module = sys.modules.get(backend.removesuffix("_tensorrt"))
    if module is not None:
        _say(version=str(getattr(module, "__version__", "-")))


def say_layer(name: str) -> None:
    """Open the first GPU through a CUDA layer and print what it is; in a child process."""
    from edgevae.cuda.opening import open_driver

    try:
        driver = open_driver(0, name=name)
        _say(version=driver.name)
        driver.close()
    except EdgeVaeError as error:
        _say(obstacle=str(error))


def _say(**finding: object) -> None:
    print(_MARK + json.dumps(finding), flush=True)  # noqa: T201  # to the parent


def _ask(call: str) -> tuple[list[dict[str, Any]], Trial]:  # Any: JSON values
    """Return what one of the functions above printed in a child process, and how that ended."""
    trial = try_in_child(f"from edgevae.runtime import diagnosis; diagnosis.{call}")
    said = [json.loads(line.removeprefix(_MARK)) for line in trial.lines if line.startswith(_MARK)]
    return said, trial


def _obstacles(said: list[dict[str, Any]], trial: Trial) -> list[str]:  # Any: JSON values
    notes = [str(one["obstacle"]) for one in said if "obstacle" in one]
    if trial.failure is not None:
        last = f": {trial.errors[-1][-200:]}" if trial.errors else ""
        notes.append(f"looking at it {trial.failure}{last}")
    return notes


def _gpu_findings(
    said: list[dict[str, Any]], trial: Trial
) -> Iterator[Finding]:  # Any: JSON values
    notes = _obstacles(said, trial)
    seen = [one for one in said if "gpu" in one]
    if not seen:
        yield Finding("driver", "NVIDIA driver", "-", False, tuple(notes))
        return
    first = seen[0]
    note = (f"CUDA up to {first['cuda']}", *notes)
    yield Finding("driver", "NVIDIA driver", first["driver"] or "-", True, note)
    for gpu in seen:
        shared = ", shared with the CPU" if gpu["integrated"] else ""
        about = f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.1f} GiB{shared}"
        yield Finding("gpu", gpu["gpu"], f"sm {gpu['capability']}", True, (about,))


def _backend_finding(
    name: str, device: str, said: list[dict[str, Any]], trial: Trial, *, has_gpu: bool
) -> Finding:  # Any: JSON values
    notes = _obstacles(said, trial)
    version = next((str(one["version"]) for one in said if "version" in one), "-")
    where = "cpu" if device == "cpu" else "cuda"
    if not notes:
        return Finding("backend", f"{name} {where}", version, True, (_PURPOSE[name],))
    if not has_gpu and where == "cuda" and any("obstacle" in one for one in said):
        notes[0] = "needs the NVIDIA driver and a GPU, see above"
        if name == "tensorrt_rtx" and version != "-":
            notes.append("its builder needs neither: `edgevae build --check` and the export use it")
    return Finding("backend", f"{name} {where}", version, False, tuple(notes))


def _layer_finding(
    name: str, said: list[dict[str, Any]], trial: Trial, *, has_gpu: bool
) -> Finding:  # Any: JSON values
    distribution = {"cuda-python": "cuda-bindings"}.get(name, name)
    version = providers.installed_version(distribution) or "-"
    notes = _obstacles(said, trial)
    if not has_gpu and version != "-":
        notes = ["installed; needs the NVIDIA driver and a GPU, see above"]
    elif version == "-":
        notes = [f"CUDA from Python, one of {' and '.join(DRIVERS)}: pip install {distribution}"]
    purpose = "CUDA from Python, for TensorRT and arrays on the GPU"
    return Finding("cuda", distribution, version, not notes, tuple(notes) or (purpose,))


def _cache_finding() -> Finding:
    folder = cache_folder()
    try:
        files = [path for path in folder.rglob("*") if path.is_file()]
        nbytes = sum(path.stat().st_size for path in files)
        nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not os.access(nearest, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        note = f"{folder}: {error.strerror}; set EDGEVAE_CACHE_DIR to a folder that can be written"
        return Finding("cache", "cache", "-", False, (note,))
    engines = sum(path.name == "engine.plan" for path in files)
    count = f"{engines} engine{'' if engines == 1 else 's'}"
    note = f"{folder}: {count}, {nbytes / 2**20:.1f} MiB; all of it can be made again"
    return Finding("cache", "cache", "-", True, (note,))
