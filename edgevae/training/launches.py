"""Every start of a run, as one line of JSON in `launches.jsonl`: what, beside settings and data, decides its bits."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from edgevae.training.config import TrainConfig
from edgevae.training.processes import Processes
from edgevae.version import __version__

_PACKAGES = ("torch", "lightning", "numpy", "av", "pillow", "scikit-image", "scikit-learn")


def write_launch(path: Path, config: TrainConfig, processes: Processes, *, step: int) -> None:
    """Append a line on this start of a run; the lines of earlier starts stay.

    Args:
        path: The file.
        config: The run.
        processes: All that were started together; they are asked for nothing.
        step: Where it continues.
    """
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    launch = {
        "step": step,
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "seed": config.seed,
        "processes": processes.world,
        "processes_per_machine": processes.local_world,
        "threads": torch.get_num_threads(),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith("OMP_")},
        "platform": platform.platform(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
        "versions": {"edgevae": __version__, "python": platform.python_version(), **_versions()},
    }
    with path.open("a") as file:
        file.write(json.dumps(launch) + "\n")


def _versions() -> dict[str, str | None]:
    """Return the version of each package that has a part in the result; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
