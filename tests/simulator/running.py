"""Compiling the simulated driver, and running Python on it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parent
COMPILER = "gcc"

_LAZY = "import os, sys\nsys.setdlopenflags(os.RTLD_LAZY)\n"
"""pycuda is linked to calls that are not simulated: they may be missing as long as nobody makes them."""


def why_not() -> str | None:
    """Return why the simulator cannot be compiled here, None where it can."""
    return None if shutil.which(COMPILER) else f"{COMPILER} is not installed"


def compile_driver(folder: Path, *, source: Path = HERE / "libcuda.c") -> Path:
    """Compile a driver as `libcuda.so.1` in a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [COMPILER, "-O1", "-g", "-Wall", "-Wextra", "-shared", "-fPIC", "-pthread"]
    command += ["-fvisibility=hidden", "-Wl,-soname,libcuda.so.1"]
    partial = folder / f"{os.getpid()}.partial"
    subprocess.run([*command, source, "-o", partial, "-ldl"], check=True)
    partial.replace(folder / "libcuda.so.1")
    return folder


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Return the environment of a process on the simulator.

    Args:
        folder: What `compile_driver` returned.
        settings: `MEMORY_MIB=64` and the like, see libcuda.c.
    """
    own = {f"EDGEVAE_SIMULATED_{name}": str(value) for name, value in settings.items()}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("EDGEVAE_SIMULATED_")}
    libraries = os.pathsep.join(filter(None, [str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    modules = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return kept | {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": modules} | own


def run_python(code: str, folder: Path, *, timeout_s: float = 120, **settings: object) -> str:
    """Run Python code on the simulator and return what it printed.

    Raises:
        AssertionError: it failed; with everything that it said.
    """
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", _LAZY + textwrap.dedent(code)],
        env=environment(folder, **settings),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert child.returncode == 0, f"left with {child.returncode}\n{child.stdout}\n{child.stderr}"
    return child.stdout
